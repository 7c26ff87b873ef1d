package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is an answer body.
type text string

func (s text) AppendTo(dst []byte) []byte { return append(dst, s...) }

// both runs a test with the raw socket calls of this system and with the portable ones.
func both(t *testing.T, f func(t *testing.T, portable bool)) {
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprintf("portable=%v", portable), func(t *testing.T) { f(t, portable) })
	}
}

// start runs a server on a free port until the test ends.
func start(t testing.TB, portable bool, entries []api.Entry, change func(*Config)) *Server {
	t.Helper()
	r := api.NewRegistry()
	for _, e := range entries {
		r.Add(e)
	}
	cfg := Config{Listeners: []Listener{{"PLAINTEXT", "127.0.0.1:0"}, {"OTHER", "127.0.0.1:0"}}, Registry: r, Logger: zerolog.Nop()}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	s.portable = portable
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr("PLAINTEXT").String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// frame makes a request with header v1.
func frame(key, version int16, correlation int32, body string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(binary.BigEndian.AppendUint16(b, 4), "test"...)
	if req := kmsg.RequestForKey(key); req != nil {
		if req.SetVersion(version); req.IsFlexible() {
			b = append(b, 0)
		}
	}
	b = append(b, body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// answer reads one answer: correlation id and the rest.
func answer(t testing.TB, c io.Reader) (int32, string) {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatalf("read answer: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("read answer: %v", err)
	}
	return int32(binary.BigEndian.Uint32(b)), string(b[4:])
}

func expect(t testing.TB, c io.Reader, correlation int32, body string) {
	t.Helper()
	if id, got := answer(t, c); id != correlation || got != body {
		t.Fatalf("answer %d %.60q, want %d %.60q", id, got, correlation, body)
	}
}

func expectClosed(t testing.TB, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("connection is open: read %d, %v", n, err)
	}
}

// eventually polls until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func echo(key, min, max int16) api.Entry {
	return api.Entry{Key: key, Min: min, Max: max, Handle: func(_ context.Context, r *api.Request) (api.Response, error) {
		return text(fmt.Sprintf("%s/%s", r.ClientID, r.Body)), nil
	}}
}

func TestRequestsAreAnsweredInOrder(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := start(t, portable, []api.Entry{echo(3, 0, 8), echo(18, 0, 2)}, nil)
		c := dial(t, s)
		var all []byte
		for i := range int32(300) {
			all = append(all, frame(3+15*int16(i%2), 0, i, fmt.Sprint("body ", i))...)
		}
		// In pieces that end anywhere.
		go func() {
			for len(all) > 0 {
				n := min(len(all), 37)
				if _, err := c.Write(all[:n]); err != nil {
					return
				}
				all = all[n:]
			}
		}()
		for i := range int32(300) {
			expect(t, c, i, fmt.Sprint("test/body ", i))
		}
	})
}

func TestLargeRequestsArriveWhole(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := start(t, portable, []api.Entry{echo(3, 0, 8)}, func(c *Config) { c.MaxRequestBytes = 8 << 20 })
		c := dial(t, s)
		for i, n := range []int{1, 65520, 65536, 100_000, 1 << 20, 3<<20 + 17, 5} {
			body := bytes.Repeat([]byte{'a' + byte(i)}, n)
			go c.Write(frame(3, 0, int32(i), string(body)))
			expect(t, c, int32(i), "test/"+string(body))
		}
		c.Write(frame(3, 0, 9, "end"))
		expect(t, c, 9, "test/end")
		eventually(t, "all memory is given back", func() bool { s.budget.mu.Lock(); defer s.budget.mu.Unlock(); return s.budget.used == 0 })
	})
}

func TestHeaders(t *testing.T) {
	s := start(t, false, []api.Entry{echo(3, 0, 12), echo(7, 0, 3), echo(18, 0, 4)}, nil)
	c := dial(t, s)
	// No client id, null client id, tags in the header.
	c.Write([]byte{0, 0, 0, 10, 0, 7, 0, 0, 0, 0, 0, 1, 'h', 'i'})
	expect(t, c, 1, "/hi")
	c.Write([]byte{0, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 2, 0xff, 0xff, 'h', 'i'})
	expect(t, c, 2, "/hi")
	c.Write([]byte{0, 0, 0, 19, 0, 3, 0, 9, 0, 0, 0, 3, 0, 1, 'x', 2, 0, 1, 'a', 5, 0, 'h', 'i'})
	expect(t, c, 3, "\x00x/hi") // the answer has tags in its header
	c.Write(frame(18, 3, 4, "hi"))
	expect(t, c, 4, "test/hi") // but not ApiVersions'
	// ApiVersions of an unknown version is answered in version 0 with the versions of itself.
	c.Write(frame(18, 99, 0x4d, "?"))
	expect(t, c, 0x4d, "\x00\x23\x00\x00\x00\x01\x00\x12\x00\x00\x00\x04")
	c.Write(frame(18, 0, 5, "on"))
	expect(t, c, 5, "test/on")
}

func TestHostileFramesCloseTheConnection(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := start(t, portable, []api.Entry{echo(3, 0, 12), echo(18, 0, 4)}, nil)
		long := binary.BigEndian.AppendUint32(nil, 100<<20+1)
		for name, b := range map[string][]byte{
			"negative length":        {0xff, 0xff, 0xff, 0xff},
			"length zero":            {0, 0, 0, 0},
			"shorter than a header":  {0, 0, 0, 7, 0, 3, 0, 0, 0, 0, 0},
			"longer than allowed":    long,
			"an HTTP request":        []byte("GET / HTTP/1.1\r\n\r\n"),
			"a TLS hello":            {0x16, 0x03, 0x01, 0x02, 0x00, 0x01},
			"no client id":           {0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0, 1},
			"client id cut off":      {0, 0, 0, 11, 0, 3, 0, 0, 0, 0, 0, 1, 0, 9, 'x'},
			"client id of length -2": {0, 0, 0, 11, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xfe, 'x'},
			"tags cut off":           {0, 0, 0, 12, 0, 3, 0, 9, 0, 0, 0, 1, 0, 0, 1, 0},
			"a billion tags":         {0, 0, 0, 15, 0, 3, 0, 9, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 3},
			"an unknown API":         frame(999, 0, 1, ""),
			"a negative API":         frame(-1, 0, 1, ""),
			"an API not registered":  frame(0, 0, 1, ""),
			"an unknown version":     frame(3, 13, 1, ""),
			"a negative version":     frame(3, -1, 1, ""),
		} {
			t.Run(name, func(t *testing.T) {
				c := dial(t, s)
				c.Write(append(frame(18, 0, 1, "first"), b...))
				expect(t, c, 1, "test/first") // what came before is answered
				expectClosed(t, c)
			})
		}
		eventually(t, "all are closed", func() bool { return s.Connections() == 0 })
	})
}

func TestErrorAndPanicOfAHandlerCloseItsConnectionOnly(t *testing.T) {
	s := start(t, false, []api.Entry{echo(3, 0, 8), {Key: 10, Handle: func(_ context.Context, r *api.Request) (api.Response, error) {
		if string(r.Body) == "panic" {
			panic("as asked")
		}
		return nil, errors.New("no")
	}}, {Key: 11, Handle: func(context.Context, *api.Request) (api.Response, error) { return nil, nil }}}, nil)
	for _, body := range []string{"error", "panic"} {
		c := dial(t, s)
		c.Write(append(frame(11, 0, 1, "no answer"), frame(3, 0, 2, "x")...))
		expect(t, c, 2, "test/x")
		c.Write(frame(10, 0, 3, body))
		expectClosed(t, c)
	}
	c := dial(t, s)
	c.Write(frame(3, 0, 4, "still here"))
	expect(t, c, 4, "test/still here")
}

// A handler that waits gets what was answered before out to the client, and holds up nobody else.
func TestWaitingHandler(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		release := make(chan struct{})
		s := start(t, portable, []api.Entry{echo(18, 0, 2), {Key: 1, Handle: func(ctx context.Context, r *api.Request) (api.Response, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return text("fetched " + string(r.Body)), nil
		}}}, nil)
		a, b := dial(t, s), dial(t, s)
		a.Write(append(append(frame(18, 0, 1, "x"), frame(1, 0, 2, "y")...), frame(18, 0, 3, "z")...))
		expect(t, a, 1, "test/x")
		b.Write(frame(18, 0, 1, "b"))
		expect(t, b, 1, "test/b")
		close(release)
		expect(t, a, 2, "fetched y")
		expect(t, a, 3, "test/z")
	})
}

// promise is a pending answer.
type promise struct {
	ch    chan struct{}
	body  string
	err   error
	ended *atomic.Int32 // counts Results
}

func (p *promise) Ready() <-chan struct{} { return p.ch }
func (p *promise) Result() (api.Response, error) {
	p.ended.Add(1)
	if p.err != nil || p.body == "" {
		return nil, p.err
	}
	return text(p.body), nil
}

// sweeper registers an API whose requests are answered "swept BODY": at once, or when done(BODY) is called for bodies that begin
// with '?'.
type sweeper struct {
	mu    sync.Mutex
	waits map[string]*promise
	sizes []int
	ended atomic.Int32 // answers that were asked for their Result
}

func (s *sweeper) entry() api.Entry {
	s.waits = map[string]*promise{}
	return api.Entry{Key: 0, Max: 2, Sweep: func(_ context.Context, reqs []*api.Request) []api.Answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sizes = append(s.sizes, len(reqs))
		var as []api.Answer
		for _, r := range reqs {
			body := string(r.Body)
			p := &promise{body: "swept " + body, ended: &s.ended}
			switch body[0] {
			case '?':
				p.ch = make(chan struct{})
				s.waits[body] = p
			case '-':
				p.body = "" // no answer is due
			case '!':
				p.err = errors.New("refused")
			}
			as = append(as, p)
		}
		return as
	}}
}

func (s *sweeper) waiting() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.waits) }

func (s *sweeper) done(body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.waits[body].ch)
	delete(s.waits, body)
}

func TestSweepLeavesAnswersPendingInOrder(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var sw sweeper
		s := start(t, portable, []api.Entry{sw.entry(), echo(3, 0, 8)}, nil)
		c := dial(t, s)
		send := func(id int32, body string) { c.Write(frame(0, 0, id, body)) }
		send(1, "a")
		expect(t, c, 1, "swept a")
		send(2, "?b")
		eventually(t, "b waits", func() bool { return sw.waiting() == 1 })
		send(3, "c")
		send(4, "-")
		send(5, "?d")
		eventually(t, "d waits, though b is not answered", func() bool { return sw.waiting() == 2 })
		c.Write(frame(3, 0, 6, "behind")) // must wait for all of them
		sw.done("?d")
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("answered out of order: %d %v", n, err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		sw.done("?b")
		expect(t, c, 2, "swept ?b")
		expect(t, c, 3, "swept c")
		expect(t, c, 5, "swept ?d")
		expect(t, c, 6, "test/behind")
		// Together in one read, and an error in the middle: what came before is answered, what comes behind is not.
		c.Write(bytes.Join([][]byte{frame(0, 0, 7, "e"), frame(0, 0, 8, "?f"), frame(0, 0, 9, "!"), frame(0, 0, 10, "g")}, nil))
		expect(t, c, 7, "swept e")
		eventually(t, "f waits", func() bool { return sw.waiting() == 1 })
		sw.done("?f")
		expect(t, c, 8, "swept ?f")
		expectClosed(t, c)
	})
}

func TestPendingAnswersAreBounded(t *testing.T) {
	var sw sweeper
	s := start(t, false, []api.Entry{sw.entry()}, nil)
	c := dial(t, s)
	go func() {
		for i := range int32(3 * pendingMax) {
			if _, err := c.Write(frame(0, 0, i, fmt.Sprint("?", i))); err != nil {
				return
			}
		}
	}()
	eventually(t, "the connection is full", func() bool { return sw.waiting() >= pendingMax })
	for i := range int32(3 * pendingMax) {
		body := fmt.Sprint("?", i)
		eventually(t, body+" was read", func() bool { sw.mu.Lock(); defer sw.mu.Unlock(); return sw.waits[body] != nil })
		if n := sw.waiting(); n > pendingMax+sweepMax {
			t.Fatalf("%d answers pending", n)
		}
		sw.done(body)
		expect(t, c, i, "swept "+body)
	}
}

func TestPendingConnectionThatDies(t *testing.T) {
	var sw sweeper
	s := start(t, false, []api.Entry{sw.entry()}, nil)
	c := dial(t, s)
	c.Write(frame(0, 0, 1, "?never"))
	eventually(t, "it waits", func() bool { return sw.waiting() == 1 })
	c.Write(frame(0, 0, 2, "behind"))
	c.Write(frame(0, 0, 3, "?neither"))
	eventually(t, "the second waits", func() bool { return sw.waiting() == 2 })
	c.Close()
	eventually(t, "the connection is gone", func() bool { return s.Connections() == 0 })
	// Each answer is asked for its result all the same, which ends what it waits for.
	if n := sw.ended.Load(); n != 3 {
		t.Errorf("%d of 3 answers were ended", n)
	}
	// So are those behind one that ends the connection.
	c = dial(t, s)
	c.Write(bytes.Join([][]byte{frame(0, 0, 1, "a"), frame(0, 0, 2, "!"), frame(0, 0, 3, "?b"), frame(0, 0, 4, "c")}, nil))
	expect(t, c, 1, "swept a")
	expectClosed(t, c)
	eventually(t, "the connection is gone", func() bool { return s.Connections() == 0 })
	if n := sw.ended.Load(); n != 7 {
		t.Errorf("%d of 7 answers were ended", n)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := start(t, portable, []api.Entry{echo(3, 0, 8)}, func(c *Config) { c.MaxIdle = 50 * time.Millisecond })
		c := dial(t, s)
		c.Write(frame(3, 0, 1, "x"))
		expect(t, c, 1, "test/x")
		expectClosed(t, c)
	})
}

// TestMutedConnectionsAreClosed: a client that is throttled for long, and long gone, keeps no connection, and no memory that others wait for.
func TestMutedConnectionsAreClosed(t *testing.T) {
	muting := echo(3, 0, 8)
	handle := muting.Handle
	muting.Handle = func(ctx context.Context, r *api.Request) (api.Response, error) {
		r.Conn.Mute(time.Hour)
		return handle(ctx, r)
	}
	t.Run("idle", func(t *testing.T) {
		s := start(t, false, []api.Entry{muting}, func(c *Config) { c.MaxIdle = 50 * time.Millisecond })
		c := dial(t, s)
		c.Write(frame(3, 0, 1, "x"))
		expect(t, c, 1, "test/x")
		expectClosed(t, c)
	})
	t.Run("with a part of a request", func(t *testing.T) {
		s := start(t, false, []api.Entry{muting}, func(c *Config) { c.RequestTimeout = 50 * time.Millisecond })
		c := dial(t, s)
		c.Write(append(frame(3, 0, 1, "x"), frame(3, 0, 2, "y")[:5]...))
		expect(t, c, 1, "test/x")
		others := s.budget.limit + 1
		s.budget.hold(nil, others)
		defer s.budget.letGo(others)
		eventually(t, "closed", func() bool { return s.Connections() == 0 })
	})
}

func TestCloseFinishesWhatWasAccepted(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var sw sweeper
		var began atomic.Int32
		s := start(t, portable, []api.Entry{sw.entry(), {Key: 1, Handle: func(ctx context.Context, r *api.Request) (api.Response, error) {
			began.Add(1)
			<-ctx.Done() // a long poll
			return text("nothing"), nil
		}}}, nil)
		idle, polling, producing := dial(t, s), dial(t, s), dial(t, s)
		polling.Write(frame(1, 0, 1, ""))
		producing.Write(append(frame(0, 0, 1, "?a"), frame(0, 0, 2, "b")...))
		eventually(t, "both are running", func() bool { return began.Load() == 1 && sw.waiting() == 1 })
		closed := make(chan error, 1)
		go func() { closed <- s.Close(context.Background()) }()
		expect(t, polling, 1, "nothing")
		expectClosed(t, polling)
		expectClosed(t, idle)
		if _, err := net.Dial("tcp", s.Addr("PLAINTEXT").String()); err == nil {
			t.Error("accepts while closing")
		}
		sw.done("?a")
		expect(t, producing, 1, "swept ?a")
		expect(t, producing, 2, "swept b")
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
	})
}

func TestCloseCutsWhatDoesNotEnd(t *testing.T) {
	var sw sweeper
	s := start(t, false, []api.Entry{sw.entry()}, nil)
	c := dial(t, s)
	c.Write(frame(0, 0, 1, "?never"))
	eventually(t, "it waits", func() bool { return sw.waiting() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Close: %v", err)
	}
	expectClosed(t, c)
}

func TestBindIsAllOrNothing(t *testing.T) {
	s := New(Config{Listeners: []Listener{{"A", "127.0.0.1:0"}}})
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	taken := s.Addr("A").String()
	two := New(Config{Listeners: []Listener{{"A", "127.0.0.1:0"}, {"B", taken}}})
	if err := two.Bind(); err == nil || two.Addr("A") != nil {
		t.Fatalf("bound a taken address: %v", err)
	}
	// Bound is not started: a client can connect and is answered once it is.
	c, err := net.Dial("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(frame(3, 0, 1, "early"))
	r := api.NewRegistry()
	r.Add(echo(3, 0, 8))
	s.cfg.Registry = r
	s.Start()
	expect(t, c, 1, "test/early")
	if s.Addr("A") == nil || s.Addr("nobody") != nil {
		t.Error("Addr")
	}
	c.Close()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Memory follows the bytes that arrive, not the length that is claimed.
func TestClaimedLengthCostsNothing(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := start(t, portable, []api.Entry{echo(3, 0, 8)}, nil)
		before := heap()
		for range 200 {
			c := dial(t, s)
			c.Write(binary.BigEndian.AppendUint32(nil, 100<<20))
			c.Write([]byte{0})
		}
		eventually(t, "all wait for the rest", func() bool {
			waiting := 0
			s.each(func(c *conn) {
				if c.partial.Load() && c.since.Load() != 0 {
					waiting++
				}
			})
			return waiting == 200
		})
		if grown := int64(heap()) - int64(before); grown > 20<<20 {
			t.Errorf("200 connections cost %d KiB", grown>>10)
		}
		c := dial(t, s)
		c.Write(frame(3, 0, 1, "x"))
		expect(t, c, 1, "test/x")
	})
}
