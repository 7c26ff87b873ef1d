package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
	"ottla/broker/peer/peertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func updateMetadata(epoch int32) *kmsg.UpdateMetadataRequest {
	r := kmsg.NewPtrUpdateMetadataRequest()
	r.SetVersion(8)
	r.ControllerEpoch = epoch
	return r
}

// TestChannelKeepsOrderAndRetries sends through a broker that breaks connections, before and after carrying requests out.
func TestChannelKeepsOrderAndRetries(t *testing.T) {
	var mu sync.Mutex
	var seen []int32
	var calls atomic.Int32
	reg := api.NewRegistry()
	api.Register(reg, 8, 8, func(_ context.Context, r *api.Request, q *kmsg.UpdateMetadataRequest) (kmsg.Response, error) {
		if r.ClientID != "7" {
			t.Errorf("client id %q", r.ClientID)
		}
		n := calls.Add(1)
		if n%5 == 2 {
			return nil, errors.New("before")
		}
		mu.Lock()
		seen = append(seen, q.ControllerEpoch)
		mu.Unlock()
		if n%5 == 4 {
			return nil, errors.New("after: the request will come again")
		}
		resp := kmsg.NewPtrUpdateMetadataResponse()
		resp.ErrorCode = int16(q.ControllerEpoch)
		return resp, nil
	})
	s := peertest.Serve(t, reg)
	ch := NewChannel(Config{ClientID: "7"}, Node{1, s.Host, s.Port})
	answers := make(chan int16, 10)
	for i := range int32(10) {
		ch.Send(updateMetadata(i), func(r kmsg.Response) { answers <- r.(*kmsg.UpdateMetadataResponse).ErrorCode })
	}
	for i := range int16(10) {
		select {
		case got := <-answers:
			if got != i {
				t.Fatalf("answer %d in place of %d", got, i)
			}
		case <-testContext(t).Done():
			t.Fatalf("no answer %d", i)
		}
	}
	ch.Close()
	ch.Wait()
	mu.Lock()
	defer mu.Unlock()
	for i := 1; i < len(seen); i++ {
		if seen[i] != seen[i-1] && seen[i] != seen[i-1]+1 {
			t.Errorf("order: %v", seen)
		}
	}
}

// TestStopReplicaLayout compares a request on the wire with that of an Apache 3.9 controller: the KRaft flag comes first.
func TestStopReplicaLayout(t *testing.T) {
	got := make(chan []byte, 1)
	reg := api.NewRegistry()
	reg.Add(api.Entry{Key: 5, Min: 4, Max: 4, Handle: func(_ context.Context, r *api.Request) (api.Response, error) {
		got <- append([]byte(nil), r.Body...)
		resp := kmsg.NewPtrStopReplicaResponse()
		resp.SetVersion(4)
		return resp, nil
	}})
	s := peertest.Serve(t, reg)
	ch := NewChannel(Config{ClientID: "1"}, Node{1, s.Host, s.Port})
	defer func() { ch.Close(); ch.Wait() }()
	q := new(api.StopReplicaRequest)
	q.SetVersion(4)
	q.ControllerID, q.ControllerEpoch, q.BrokerEpoch = 1, 7, 9
	ch.Send(q, nil)
	b := <-got
	if len(b) < 17 || b[4] != 0 || binary.BigEndian.Uint32(b[5:]) != 7 || binary.BigEndian.Uint64(b[9:]) != 9 {
		t.Errorf("%x", b)
	}
}

func TestChannelCloseInterrupts(t *testing.T) {
	reg := api.NewRegistry()
	api.Register(reg, 8, 8, func(ctx context.Context, _ *api.Request, _ *kmsg.UpdateMetadataRequest) (kmsg.Response, error) {
		<-ctx.Done() // never answers
		return nil, ctx.Err()
	})
	s := peertest.Serve(t, reg)
	for _, to := range []Node{{1, s.Host, s.Port}, {2, "127.0.0.1", 1}} {
		ch := NewChannel(Config{}, to)
		ch.Send(updateMetadata(1), func(kmsg.Response) { t.Error("answered") })
		ch.Send(updateMetadata(2), nil)
		time.AfterFunc(20*time.Millisecond, ch.Close)
		ch.Wait()
	}
}

func controllerAt(s *peertest.Server) func() (Node, bool) {
	return func() (Node, bool) { return Node{3, s.Host, s.Port}, true }
}

// TestAllocateFollowsTheController asks a broker that is no controller any more, until metadata names the next one.
func TestAllocateFollowsTheController(t *testing.T) {
	serve := func(f func(q *kmsg.AllocateProducerIDsRequest, r *kmsg.AllocateProducerIDsResponse)) *peertest.Server {
		reg := api.NewRegistry()
		api.RegisterVersions(reg, func() int64 { return -1 })
		api.Register(reg, 0, 0, func(_ context.Context, _ *api.Request, q *kmsg.AllocateProducerIDsRequest) (kmsg.Response, error) {
			r := kmsg.NewPtrAllocateProducerIDsResponse()
			f(q, r)
			return r, nil
		})
		return peertest.Serve(t, reg)
	}
	var asked atomic.Int32
	old := serve(func(_ *kmsg.AllocateProducerIDsRequest, r *kmsg.AllocateProducerIDsResponse) {
		asked.Add(1)
		r.ErrorCode = kerr.NotController.Code
	})
	new := serve(func(q *kmsg.AllocateProducerIDsRequest, r *kmsg.AllocateProducerIDsResponse) {
		if q.BrokerID != 5 || q.BrokerEpoch != 55 {
			r.ErrorCode = kerr.StaleBrokerEpoch.Code
			return
		}
		r.ProducerIDStart, r.ProducerIDLen = 4000, 1000
	})
	c := NewController(Config{}, func() (Node, bool) {
		switch {
		case asked.Load() == 0:
			return Node{1, old.Host, old.Port}, true
		case asked.Load() < 2:
			asked.Add(1)
			return Node{}, false // unknown for a moment
		}
		return Node{2, new.Host, new.Port}, true
	})
	defer c.Close()
	start, count, err := c.AllocateProducerIDs(testContext(t), 5, 55)
	if start != 4000 || count != 1000 || err != nil {
		t.Error(start, count, err)
	}
	if _, _, err := c.AllocateProducerIDs(testContext(t), 5, 54); !errors.Is(err, kerr.StaleBrokerEpoch) {
		t.Error(err)
	}
}

func TestUnsupportedByTheController(t *testing.T) {
	reg := api.NewRegistry()
	api.RegisterVersions(reg, func() int64 { return -1 })
	c := NewController(Config{}, controllerAt(peertest.Serve(t, reg)))
	defer c.Close()
	if _, _, err := c.AllocateProducerIDs(testContext(t), 1, 1); !errors.Is(err, errUnsupported) {
		t.Error(err)
	}
}

func TestControlledShutdown(t *testing.T) {
	var calls atomic.Int32
	reg := api.NewRegistry()
	api.Register(reg, 0, 3, func(_ context.Context, r *api.Request, q *kmsg.ControlledShutdownRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrControlledShutdownResponse()
		switch n := calls.Add(1); {
		case r.Version != 3 || q.BrokerID != 1 || q.BrokerEpoch != 11:
			resp.ErrorCode = kerr.StaleBrokerEpoch.Code
		case n == 1:
			return nil, errors.New("closes the connection")
		case n == 2:
			resp.PartitionsRemaining = append(resp.PartitionsRemaining, kmsg.ControlledShutdownResponsePartitionsRemaining{Topic: "t", Partition: 4})
		}
		return resp, nil
	})
	s := peertest.Serve(t, reg)
	c := NewController(Config{Timeout: 10 * time.Second}, controllerAt(s))
	defer c.Close()
	if err := c.ControlledShutdown(testContext(t), 1, 11, 1, 0); err == nil || !strings.Contains(err.Error(), "t-4") {
		t.Error(err)
	}
	if err := c.ControlledShutdown(testContext(t), 1, 11, 3, 0); err != nil {
		t.Error(err)
	}
	if err := c.ControlledShutdown(testContext(t), 1, 12, 2, 0); !errors.Is(err, kerr.StaleBrokerEpoch) {
		t.Error(err)
	}
	c.Close()
	if err := c.ControlledShutdown(testContext(t), 1, 11, 1, 0); err == nil {
		t.Error("a closed client answered")
	}
}

// TestHostileAnswers feeds the reader frames that lie.
func TestHostileAnswers(t *testing.T) {
	for name, frame := range map[string][]byte{
		"huge claim":        {0x7f, 0xff, 0xff, 0xff},
		"short":             {0, 0, 0, 2, 0, 0},
		"wrong correlation": {0, 0, 0, 5, 0, 0, 0, 99, 0},
		"endless tags":      {0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"tag beyond end":    {0, 0, 0, 8, 0, 0, 0, 1, 1, 0, 0x7f, 1},
		"endless body tags": {0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"many body tags":    {0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 0x80, 0x80, 0x80, 0x10},
		"no body":           {0, 0, 0, 5, 0, 0, 0, 1, 0},
		"cut":               {0, 0, 1, 0, 0, 0},
	} {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 4)
			_, _ = io.ReadFull(theirs, b)
			_, _ = io.CopyN(io.Discard, theirs, int64(binary.BigEndian.Uint32(b)))
			_, _ = theirs.Write(frame)
			_ = theirs.Close()
		}()
		c := &conn{cfg: Config{}.withDefaults(), net: ours, format: kmsg.NewRequestFormatter()}
		if _, err := c.roundTrip(context.Background(), updateMetadata(1)); err == nil {
			t.Errorf("%s: no error", name)
		}
		c.close()
	}
}

// TestAnswersHaveShapes: every version of what a broker asks another can be decoded.
func TestAnswersHaveShapes(t *testing.T) {
	for _, c := range []struct {
		req      kmsg.Request
		from, to int16
	}{
		{kmsg.NewPtrLeaderAndISRRequest(), 0, 7},
		{new(api.StopReplicaRequest), 0, 4},
		{kmsg.NewPtrUpdateMetadataRequest(), 0, 8},
		{kmsg.NewPtrControlledShutdownRequest(), 0, 3},
		{kmsg.NewPtrAllocateProducerIDsRequest(), 0, kmsg.NewPtrAllocateProducerIDsRequest().MaxVersion()},
		{kmsg.NewPtrApiVersionsRequest(), 0, 3},
	} {
		for v := c.from; v <= c.to; v++ {
			resp := c.req.ResponseKind()
			resp.SetVersion(v)
			body := resp.AppendTo(nil)
			if err := decode(resp, body); err != nil {
				t.Errorf("%T v%d: %v", resp, v, err)
			}
			for n := range body {
				if err := decode(resp, body[:n]); err == nil {
					t.Errorf("%T v%d: %d of %d bytes decode", resp, v, n, len(body))
				}
			}
		}
	}
}
