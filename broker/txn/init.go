package txn

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// Register adds InitProducerId v0-5, ListTransactions v0-1 and DescribeTransactions v0.
func (p *ProducerIDs) Register(r *api.Registry) {
	api.Register(r, 0, 5, p.initProducerID)
	api.Register(r, 0, 1, listTransactions)
	api.Register(r, 0, 0, describeTransactions)
}

// initProducerID serves versions 0 to 5. From 3 on a producer may name the id and epoch that it has (KIP-360): one without a
// transactional id gets a new id all the same, as there is nothing that knows its last one.
func (p *ProducerIDs) initProducerID(ctx context.Context, _ *api.Request, req *kmsg.InitProducerIDRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	id, err := p.init(ctx, req)
	if err != nil {
		var known *kerr.Error
		if !errors.As(err, &known) {
			return nil, err // the connection has ended
		}
		resp.ErrorCode = known.Code
		return resp, nil
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return resp, nil
}

func (p *ProducerIDs) init(ctx context.Context, req *kmsg.InitProducerIDRequest) (int64, error) {
	switch {
	case req.Version >= 3 && (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		return 0, kerr.InvalidRequest
	case req.TransactionalID == nil:
		return p.Take(ctx)
	case *req.TransactionalID == "":
		return 0, kerr.InvalidRequest
	default:
		return 0, kerr.TransactionalIDAuthorizationFailed
	}
}
