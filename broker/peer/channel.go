package peer

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// retryPause lies between attempts to send a request.
const retryPause = 100 * time.Millisecond

// Channel sends requests to one broker, in order, one in flight. Safe for concurrent use.
type Channel struct {
	cfg    Config
	to     Node
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	queue []queued
	wake  chan struct{} // has a token while queue may have something
}

type queued struct {
	req  kmsg.Request
	done func(kmsg.Response)
}

// NewChannel starts a channel. It connects when there is something to send.
func NewChannel(cfg Config, to Node) *Channel {
	c := &Channel{cfg: cfg.withDefaults(), to: to, wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(c.run)
	return c
}

// Send queues a request, whose version is set and which must not be changed any more. done, if not nil, gets the answer on the
// channel's goroutine, and must not block; it is not called if the channel is closed before. The queue has no bound: it holds
// what a controller has to say to a broker that does not answer, until that broker's session expires.
func (c *Channel) Send(req kmsg.Request, done func(kmsg.Response)) {
	c.mu.Lock()
	c.queue = append(c.queue, queued{req, done})
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Close drops what has not been answered, and returns at once; Wait waits.
func (c *Channel) Close() { c.cancel() }

// Wait returns when a closed channel's goroutine has ended: no done is called afterwards.
func (c *Channel) Wait() { c.wg.Wait() }

func (c *Channel) run() {
	var conn *conn
	defer func() {
		if conn != nil {
			conn.close()
		}
	}()
	for {
		q, ok := c.first()
		if !ok {
			return
		}
		for failures := 0; ; failures++ {
			var resp kmsg.Response
			var err error
			if conn == nil {
				conn, err = dial(c.ctx, c.cfg, c.to)
			}
			if err == nil {
				if resp, err = conn.roundTrip(c.ctx, q.req); err != nil {
					conn.close()
					conn = nil
				}
			}
			if c.ctx.Err() != nil {
				return
			}
			if err == nil {
				if q.done != nil {
					q.done(resp)
				}
				break
			}
			level := zerolog.DebugLevel
			if failures%100 == 0 { // ten seconds
				level = zerolog.WarnLevel
			}
			c.cfg.Logger.WithLevel(level).Err(err).Stringer("to", c.to).Str("request", kmsg.NameForKey(q.req.Key())).Msg("request could not be sent; trying on")
			select {
			case <-time.After(retryPause):
			case <-c.ctx.Done():
				return
			}
		}
	}
}

// first takes the next request from the queue, waiting for one; ok is false when the channel is closed.
func (c *Channel) first() (q queued, ok bool) {
	for {
		c.mu.Lock()
		if len(c.queue) > 0 && c.ctx.Err() == nil {
			q = c.queue[0]
			c.queue[0] = queued{}
			c.queue = c.queue[1:]
			c.mu.Unlock()
			return q, true
		}
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-c.ctx.Done():
			return q, false
		}
	}
}
