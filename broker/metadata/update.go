package metadata

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/topic"
)

// Fence refuses requests of controllers that have been superseded, and requests meant for an earlier life of this broker.
// LeaderAndIsr, UpdateMetadata and StopReplica share one. Safe for concurrent use.
type Fence struct {
	// BrokerEpoch is this broker's current epoch: the czxid of its registration.
	BrokerEpoch func() int64

	controllerEpoch atomic.Int32
}

// Check returns STALE_BROKER_EPOCH or STALE_CONTROLLER_EPOCH, or remembers the controller's epoch and returns nil. A broker
// epoch of -1 is not checked, and a greater one than ours is fine: the controller may have seen our new registration first.
func (f *Fence) Check(controllerEpoch int32, brokerEpoch int64) error {
	if brokerEpoch != -1 && brokerEpoch < f.BrokerEpoch() {
		return kerr.StaleBrokerEpoch
	}
	for {
		seen := f.controllerEpoch.Load()
		if controllerEpoch < seen {
			return kerr.StaleControllerEpoch
		}
		if f.controllerEpoch.CompareAndSwap(seen, controllerEpoch) {
			return nil
		}
	}
}

// Updater serves UpdateMetadata.
type Updater struct {
	Store *Store
	Fence *Fence
	// Deleted is told, after the image has changed, which partitions were deleted. It must not block.
	Deleted func([]topic.Partition)

	// mu is held from the check to the change: what a controller said that has been superseded in between must not come last.
	mu sync.Mutex
}

// Register adds UpdateMetadata v0-8.
func (u *Updater) Register(r *api.Registry) {
	api.Register(r, 0, 8, func(_ context.Context, _ *api.Request, req *kmsg.UpdateMetadataRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrUpdateMetadataResponse()
		u.mu.Lock()
		defer u.mu.Unlock()
		if err := u.Fence.Check(req.ControllerEpoch, req.BrokerEpoch); err != nil {
			resp.ErrorCode = api.Code(err)
			return resp, nil
		}
		if deleted := u.Store.Apply(req); len(deleted) > 0 {
			u.Deleted(deleted)
		}
		return resp, nil
	})
}
