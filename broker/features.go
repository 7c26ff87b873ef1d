package broker

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ottla/broker/znode"
)

// features follows /feature (KIP-584): all that is kept of it is its version, the "finalized features epoch" of ApiVersions,
// since brokers in ZooKeeper mode have no features.
type features struct {
	zk  *znode.Client
	log zerolog.Logger

	epoch atomic.Int64
	look  chan struct{}
	stop  context.CancelFunc
	work  sync.WaitGroup
}

// followFeatures reads the node once, and again after each change and in each new session, on a goroutine that Close ends.
func followFeatures(ctx context.Context, zk *znode.Client, log zerolog.Logger) (*features, error) {
	f := &features{zk: zk, log: log, look: make(chan struct{}, 1)}
	f.epoch.Store(-1)
	zk.HandleData(znode.FeaturePath, func(znode.Event) { f.again() })
	zk.OnSession(znode.Hooks{After: func(context.Context, *znode.Session) { f.again() }})
	if err := f.read(ctx); err != nil {
		zk.Unhandle(znode.FeaturePath)
		return nil, err
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.work.Go(func() {
		for {
			select {
			case <-f.look:
				if err := f.read(ctx); err != nil && ctx.Err() == nil {
					f.log.Warn().Err(err).Msg("/feature could not be read")
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return f, nil
}

func (f *features) again() {
	select {
	case f.look <- struct{}{}:
	default: // a look is due already
	}
}

func (f *features) read(ctx context.Context) error {
	session, err := f.zk.Session(ctx)
	if err != nil {
		return err
	}
	epoch, err := session.FeatureEpoch(ctx)
	if err == nil {
		f.epoch.Store(epoch)
	}
	return err
}

// Epoch is the version of /feature as last read, -1 while there is none. A nil receiver has read nothing yet.
func (f *features) Epoch() int64 {
	if f == nil {
		return -1
	}
	return f.epoch.Load()
}

// Close stops following.
func (f *features) Close() {
	f.zk.Unhandle(znode.FeaturePath)
	f.stop()
	f.work.Wait()
}
