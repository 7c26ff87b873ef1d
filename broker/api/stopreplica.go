package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// StopReplicaRequest is kmsg's with version 4 laid out as Apache Kafka does: the KRaft flag stands before the controller epoch,
// where kmsg puts it behind. It is a kmsg.Request, and is what has to be sent in place of kmsg's.
type StopReplicaRequest struct{ kmsg.StopReplicaRequest }

// The fields that change places, as positions in the body.
const (
	stopFlag  = 4 // the flag's place, a byte; behind it the controller epoch
	stopEpoch = 5
	stopRest  = 9
)

// AppendTo appends the body in the request's version.
func (q *StopReplicaRequest) AppendTo(dst []byte) []byte {
	begin := len(dst)
	dst = q.StopReplicaRequest.AppendTo(dst)
	if q.Version == 4 {
		b := dst[begin:]
		flag := b[stopRest-1]
		copy(b[stopEpoch:stopRest], b[stopFlag:stopRest-1])
		b[stopFlag] = flag
	}
	return dst
}

// ReadFrom decodes a body of the version that was set, and keeps nothing of src.
func (q *StopReplicaRequest) ReadFrom(src []byte) error {
	if q.Version == 4 && len(src) >= stopRest {
		b := append([]byte(nil), src...)
		copy(b[stopFlag:], src[stopEpoch:stopRest])
		b[stopRest-1] = src[stopFlag]
		src = b
	}
	return q.StopReplicaRequest.ReadFrom(src)
}

// RegisterStopReplica adds StopReplica in versions min to max; the rest is as of Register.
func RegisterStopReplica(r *Registry, min, max int16, h func(ctx context.Context, req *Request, q *StopReplicaRequest) (kmsg.Response, error)) {
	var zero kmsg.StopReplicaRequest
	register(r, zero.Key(), min, max, func() *StopReplicaRequest { return new(StopReplicaRequest) }, h)
}
