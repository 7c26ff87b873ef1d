package metadata

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// What an endpoint is (KIP-919): clients that look for a controller of KRaft say so.
const (
	endpointBroker     = 1
	endpointController = 2
)

// describeCluster serves DescribeCluster (KIP-700): versions 0 and 1, of which 1 says what kind of server is meant.
func (q *Query) describeCluster(ctx context.Context, r *api.Request, req *kmsg.DescribeClusterRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ControllerID, resp.EndpointType, resp.ClusterAuthorizedOperations = -1, endpointBroker, operationsOmitted
	if r.Version == 0 {
		req.EndpointType = endpointBroker
	}
	switch req.EndpointType {
	case endpointBroker:
	case endpointController:
		resp.ErrorCode = kerr.MismatchedEndpointType.Code
		resp.ErrorMessage = kmsg.StringPtr("The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
		return resp, nil
	default:
		resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		resp.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType))
		return resp, nil
	}
	im := q.known(ctx)
	resp.ClusterID = q.ClusterID
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	for i := range im.brokers {
		b := &im.brokers[i]
		e, ok := b.Endpoint(r.Conn.Listener)
		if !ok {
			continue
		}
		if b.ID == im.Controller() {
			resp.ControllerID = b.ID
		}
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.ID, e.Host, e.Port, b.Rack
		resp.Brokers = append(resp.Brokers, rb)
	}
	return resp, nil
}
