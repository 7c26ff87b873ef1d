package network

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ottla/broker/api"
)

// recorder is an Observer that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	begun   []int32
	answers int
	ended   []Exchange
}

func (r *recorder) Begin(q *api.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, q.CorrelationID)
}

func (r *recorder) Answer(int16, api.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers++
}

func (r *recorder) End(x *Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, *x)
}

// of waits for the end of the request with the correlation id.
func (r *recorder) of(t *testing.T, id int32) (x Exchange) {
	t.Helper()
	eventually(t, "request is over", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.IndexFunc(r.ended, func(x Exchange) bool { return x.CorrelationID == id })
		if i >= 0 {
			x = r.ended[i]
		}
		return i >= 0
	})
	return x
}

// Where the time of requests goes, of every kind: one that works, one that waits for others, those of a sweep that are pending,
// one without an answer, one whose answer is a file.
func TestObserver(t *testing.T) {
	const pause = 20 * time.Millisecond
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, portable bool) {
		var sw sweeper
		var rec recorder
		var closed atomic.Int32
		s := start(t, portable, []api.Entry{
			sw.entry(), echo(18, 0, 2),
			{Key: 1, Max: 2, Handle: func(_ context.Context, r *api.Request) (api.Response, error) {
				r.Follower = true
				return &region{f: f, n: 1 << 20, closed: &closed}, nil
			}},
			{Key: 3, Max: 2, Handle: func(ctx context.Context, r *api.Request) (api.Response, error) {
				time.Sleep(pause)
				done := api.Waiting(ctx)
				time.Sleep(pause)
				done()
				begin := time.Now()
				time.Sleep(pause)
				api.Waited(ctx, time.Since(begin))
				r.Conn.Mute(pause)
				return text("ok"), nil
			}},
		}, func(c *Config) { c.Observer = &rec })
		c := dial(t, s)

		c.Write(bytes.Join([][]byte{frame(3, 1, 1, "work"), frame(18, 0, 2, "next")}, nil))
		expect(t, c, 1, "ok")
		expect(t, c, 2, "test/next")
		x := rec.of(t, 1)
		if x.Key != 3 || x.Version != 1 || x.ClientID != "test" || x.Conn.ClientHost != "127.0.0.1" || x.Follower ||
			x.Together != 1 || x.RequestBytes != len(frame(3, 1, 1, "work"))-4 || x.AnswerBytes != 4+len("ok") {
			t.Errorf("%+v", x)
		}
		if x.Remote < 2*pause || x.Local < pause || x.Throttle <= 0 || x.Throttle > pause || x.Queue < 0 || x.AnswerQueue < 0 || x.Send <= 0 {
			t.Errorf("worked for %v, waited twice as long: %+v", pause, x)
		}
		if x = rec.of(t, 2); x.Queue < 3*pause || x.Remote != 0 || x.Total() < x.Queue {
			t.Errorf("was behind: %+v", x)
		}

		c.Write(bytes.Join([][]byte{frame(0, 0, 3, "a"), frame(0, 0, 4, "?b"), frame(0, 0, 5, "c"), frame(0, 0, 6, "-")}, nil))
		expect(t, c, 3, "swept a")
		eventually(t, "b waits", func() bool { return sw.waiting() == 1 })
		time.Sleep(pause)
		sw.done("?b")
		expect(t, c, 4, "swept ?b")
		expect(t, c, 5, "swept c")
		for id := int32(3); id <= 6; id++ {
			x := rec.of(t, id)
			if waits := id > 3; waits != (x.Remote >= pause) || x.Total() > 10*time.Second || x.Together != 4 {
				t.Errorf("%d: %+v", id, x)
			}
			if id == 6 && (x.AnswerBytes != 0 || x.Send != 0) {
				t.Errorf("has no answer: %+v", x)
			}
		}

		c.Write(frame(1, 0, 7, ""))
		answer(t, c)
		if x = rec.of(t, 7); !x.Follower || x.AnswerBytes != 4+5+1<<20 || x.Send <= 0 {
			t.Errorf("%+v", x)
		}

		// Who is gone before the answer has no end; what was begun is told all the same.
		gone := dial(t, s)
		gone.Write(frame(0, 0, 8, "?never"))
		eventually(t, "it waits", func() bool { return sw.waiting() == 1 })
		gone.(*net.TCPConn).SetLinger(0)
		gone.Close()
		eventually(t, "connection is closed", func() bool { return s.Connections() == 1 })
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if !slices.Equal(rec.begun, []int32{1, 2, 3, 4, 5, 6, 7, 8}) || len(rec.ended) != 7 || rec.answers < 6 {
			t.Errorf("begun %v, %d ended, %d answers", rec.begun, len(rec.ended), rec.answers)
		}
	})
}
