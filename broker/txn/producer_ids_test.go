package txn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// controller hands out blocks of 1000, after a delay, and refuses while down.
type controller struct {
	mu    sync.Mutex
	given int64
	delay time.Duration
	down  bool
}

func (c *controller) AllocateProducerIDs(ctx context.Context) (Block, error) {
	select {
	case <-time.After(c.delay):
	case <-ctx.Done():
		return Block{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return Block{}, kerr.NotController
	}
	c.given += 1000
	return Block{First: c.given - 1000, Count: 1000}, nil
}

func (c *controller) blocks() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given / 1000
}

func (c *controller) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

func TestTheNextBlockIsAskedForAtNinetyPercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &controller{delay: 500 * time.Millisecond}
		p := NewProducerIDs(c, zerolog.Nop())
		defer p.Close()
		if n := c.blocks(); n != 0 {
			t.Fatalf("%d blocks before anybody asked", n)
		}
		began := time.Now()
		for want := range int64(2500) {
			id, err := p.Take(t.Context())
			if err != nil || id != want {
				t.Fatalf("id %d, %v; want %d", id, err, want)
			}
			synctest.Wait()
			switch want {
			case 0:
				if d := time.Since(began); d != c.delay {
					t.Errorf("the first id took %v", d)
				}
			case 898, 1898:
				time.Sleep(time.Second)
				if n := c.blocks(); n != want/1000+1 {
					t.Errorf("%d blocks after %d ids", n, want+1)
				}
			case 899, 1899:
				time.Sleep(time.Second)
				if n := c.blocks(); n != want/1000+2 {
					t.Errorf("%d blocks after %d ids", n, want+1)
				}
			}
		}
		if d := time.Since(began); d != 4*time.Second+c.delay {
			t.Errorf("requests waited: %v", d)
		}
	})
}

func TestWithoutAControllerRequestsAreToldToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &controller{down: true}
		p := NewProducerIDs(c, zerolog.Nop())
		defer p.Close()
		began := time.Now()
		if _, err := p.Take(t.Context()); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			t.Fatalf("got %v", err)
		}
		if d := time.Since(began); d != idWait {
			t.Errorf("waited %v", d)
		}
		c.setDown(false)
		if id, err := p.Take(t.Context()); err != nil || id != 0 {
			t.Fatalf("got %d, %v after the controller was back", id, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Take(gone); err != nil {
			t.Errorf("an id was there, but a request whose connection ends got %v", err)
		}
	})
}

func TestConcurrentRequestsGetDifferentIDs(t *testing.T) {
	p := NewProducerIDs(&controller{}, zerolog.Nop())
	defer p.Close()
	var mu sync.Mutex
	seen := map[int64]bool{}
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 1000 {
				id, err := p.Take(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[id] {
					t.Errorf("id %d twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	work.Wait()
}

func TestCloseWhileTheControllerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProducerIDs(&controller{delay: time.Hour}, zerolog.Nop())
		failed := make(chan error, 1)
		go func() {
			_, err := p.Take(context.Background())
			failed <- err
		}()
		synctest.Wait()
		p.Close()
		if err := <-failed; !errors.Is(err, kerr.CoordinatorNotAvailable) {
			t.Errorf("got %v", err)
		}
		if _, err := p.Take(context.Background()); !errors.Is(err, kerr.CoordinatorNotAvailable) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestInitProducerID(t *testing.T) {
	p := NewProducerIDs(&controller{}, zerolog.Nop())
	defer p.Close()
	r := api.NewRegistry()
	p.Register(r)
	entry, _ := r.Lookup(22)
	if entry.Min != 0 || entry.Max != 5 {
		t.Fatalf("versions %d to %d", entry.Min, entry.Max)
	}
	text := func(s string) *string { return &s }
	next := int64(0)
	for v := int16(0); v <= 5; v++ {
		for _, c := range []struct {
			what  string
			txn   *string
			id    int64
			epoch int16
			code  int16
			from  int16 // version
		}{
			{"without a transactional id", nil, -1, -1, 0, 0},
			{"with an id and epoch of its own", nil, 77, 3, 0, 3},
			{"with an id and no epoch", nil, 77, -1, kerr.InvalidRequest.Code, 3},
			{"with an empty transactional id", text(""), -1, -1, kerr.InvalidRequest.Code, 0},
			{"with a transactional id", text("tx"), -1, -1, kerr.TransactionalIDAuthorizationFailed.Code, 0},
		} {
			if v < c.from {
				continue
			}
			req := kmsg.NewPtrInitProducerIDRequest()
			req.Version, req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = v, c.txn, 60000, c.id, c.epoch
			answer, err := entry.Handle(context.Background(), &api.Request{Key: 22, Version: v, Body: req.AppendTo(nil), Conn: &api.Conn{}})
			if err != nil {
				t.Fatal(err)
			}
			resp := answer.(*kmsg.InitProducerIDResponse)
			want, epoch := int64(-1), int16(-1)
			if c.code == 0 {
				want, epoch = next, 0
				next++
			}
			if resp.Version != v || resp.ErrorCode != c.code || resp.ProducerID != want || resp.ProducerEpoch != epoch {
				t.Errorf("version %d %s: %+v, want id %d, epoch %d, error %d", v, c.what, resp, want, epoch, c.code)
			}
		}
	}
}
