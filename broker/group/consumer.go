package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// The group protocol of KIP-848 belongs to clusters without ZooKeeper. A broker with ZooKeeper advertises its two APIs all the same,
// and clients know by the answer that they must use the classic one.

// consumerGroupHeartbeat serves version 0.
func (c *Coordinator) consumerGroupHeartbeat(context.Context, *api.Request, *kmsg.ConsumerGroupHeartbeatRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode = code(kerr.UnsupportedVersion)
	return resp, nil
}

// consumerGroupDescribe serves version 0.
func (c *Coordinator) consumerGroupDescribe(_ context.Context, _ *api.Request, req *kmsg.ConsumerGroupDescribeRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, id := range req.Groups {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.ErrorCode = id, code(kerr.UnsupportedVersion)
		resp.Groups = append(resp.Groups, g)
	}
	return resp, nil
}
