package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Controller asks whoever is the controller. Safe for concurrent use; requests go one at a time.
type Controller struct {
	cfg Config
	// find is the controller as the last UpdateMetadata named it, on the listener that brokers use.
	find   func() (Node, bool)
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	at       Node
	conn     *conn
	versions map[int16]int16 // highest of each API that the connection's broker serves; nil until asked
}

// NewController uses find to look for the controller before each attempt.
func NewController(cfg Config, find func() (Node, bool)) *Controller {
	c := &Controller{cfg: cfg.withDefaults(), find: find}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close closes the connection. A request in flight fails, as do later ones.
func (c *Controller) Close() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked()
}

func (c *Controller) dropLocked() {
	if c.conn != nil {
		c.conn.close()
	}
	c.conn, c.versions = nil, nil
}

// AllocateProducerIDs gets a block of producer ids for a broker: start and the count from there on. It tries until ctx ends, or
// the controller refuses the broker.
func (c *Controller) AllocateProducerIDs(ctx context.Context, broker int32, epoch int64) (start int64, count int32, err error) {
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID, req.BrokerEpoch = broker, epoch
	for {
		resp, err := c.ask(ctx, req, true)
		if err != nil {
			return 0, 0, err
		}
		r := resp.(*kmsg.AllocateProducerIDsResponse)
		err = kerr.ErrorForCode(r.ErrorCode)
		switch {
		case err == nil && r.ProducerIDLen > 0:
			return r.ProducerIDStart, r.ProducerIDLen, nil
		case err == nil:
			return 0, 0, fmt.Errorf("controller gave %d producer ids", r.ProducerIDLen)
		case !errors.Is(err, kerr.NotController):
			return 0, 0, err
		}
		if err := pause(ctx, retryPause); err != nil { // a new one is about to be announced
			return 0, 0, err
		}
	}
}

// ControlledShutdown asks the controller to move away what the broker leads, up to attempts times with backoff in between, and
// returns nil once nothing is left that could be moved.
func (c *Controller) ControlledShutdown(ctx context.Context, broker int32, epoch int64, attempts int, backoff time.Duration) error {
	req := kmsg.NewPtrControlledShutdownRequest()
	req.SetVersion(3)
	req.BrokerID, req.BrokerEpoch = broker, epoch
	err := errors.New("no attempt is allowed")
	for n := range attempts {
		if n > 0 {
			if pause(ctx, backoff) != nil {
				return err
			}
		}
		var resp kmsg.Response
		attempt, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		resp, err = c.ask(attempt, req, false)
		cancel()
		if err != nil {
			continue
		}
		r := resp.(*kmsg.ControlledShutdownResponse)
		if err = kerr.ErrorForCode(r.ErrorCode); err != nil {
			continue
		}
		if len(r.PartitionsRemaining) == 0 {
			return nil
		}
		err = fmt.Errorf("%d partitions are still led here, %s-%d among them", len(r.PartitionsRemaining), r.PartitionsRemaining[0].Topic, r.PartitionsRemaining[0].Partition)
	}
	return err
}

// ask sends a request to the controller, until it is answered or ctx ends.
func (c *Controller) ask(ctx context.Context, req kmsg.Request, negotiate bool) (kmsg.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := errors.New("no controller is known")
	for {
		if c.ctx.Err() != nil {
			return nil, errClosed
		}
		if at, ok := c.find(); ok {
			var resp kmsg.Response
			if resp, err = c.tryLocked(ctx, at, req, negotiate); err == nil {
				return resp, nil
			}
			c.dropLocked()
			if errors.Is(err, errUnsupported) {
				return nil, err
			}
			err = fmt.Errorf("controller, %v: %w", at, err)
		}
		if pause(ctx, retryPause) != nil {
			return nil, err
		}
	}
}

var errClosed = errors.New("the connection to the controller is closed")

var errUnsupported = errors.New("the controller does not serve the request")

func (c *Controller) tryLocked(ctx context.Context, at Node, req kmsg.Request, negotiate bool) (kmsg.Response, error) {
	if c.conn != nil && c.at != at {
		c.dropLocked()
	}
	if c.conn == nil {
		conn, err := dial(ctx, c.cfg, at)
		if err != nil {
			return nil, err
		}
		c.conn, c.at = conn, at
	}
	if negotiate {
		if err := c.negotiateLocked(ctx); err != nil {
			return nil, err
		}
		highest, ok := c.versions[req.Key()]
		if !ok {
			return nil, fmt.Errorf("%w (%s)", errUnsupported, kmsg.NameForKey(req.Key()))
		}
		req.SetVersion(min(highest, req.MaxVersion()))
	}
	return c.conn.roundTrip(ctx, req)
}

func (c *Controller) negotiateLocked(ctx context.Context) error {
	if c.versions != nil {
		return nil
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(3)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "ottla", "1"
	resp, err := c.conn.roundTrip(ctx, req)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.ApiVersionsResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return err
	}
	c.versions = map[int16]int16{}
	for _, k := range r.ApiKeys {
		c.versions[k.ApiKey] = k.MaxVersion
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
