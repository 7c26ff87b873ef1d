package server_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"ottla/coord/server"
	"ottla/coord/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log applies batches in their order on one goroutine, as the real one does once they are durable.
type log struct {
	st      *state.State
	term    uint64
	batches chan []byte
	hold    sync.Mutex // held: nothing is applied
	done    chan struct{}
	stop    chan struct{}
	once    sync.Once
}

func newLog(st *state.State, first uint64) *log {
	l := &log{st: st, batches: make(chan []byte, 4), done: make(chan struct{}), stop: make(chan struct{})}
	go l.run(first)
	return l
}

func (l *log) close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}

func (l *log) Propose(b []byte) error {
	select {
	case l.batches <- b:
		return nil
	case <-l.stop:
		return errors.New("log is closed")
	}
}

func (l *log) run(first uint64) {
	defer close(l.done)
	for index := first; ; index++ {
		select {
		case b := <-l.batches:
			l.hold.Lock()
			_, err := l.st.Apply(index, l.term, b)
			l.hold.Unlock()
			if err != nil {
				panic(err)
			}
		case <-l.stop:
			return
		}
	}
}

// bench is a server on a port of the kernel's choice.
type bench struct {
	t    testing.TB
	st   *state.State
	log  *log
	srv  *server.Server
	addr string
}

func start(t testing.TB, change func(*server.Config)) *bench {
	t.Helper()
	cfg := server.Config{
		TickTime: 2 * time.Second, Words: []string{"*"}, Logger: zerolog.Nop(),
		Now: func() time.Time { return time.Unix(1700000000, 0) },
	}
	if change != nil {
		change(&cfg)
	}
	b := &bench{t: t, st: state.New()}
	b.log = newLog(b.st, 1)
	b.serve(cfg)
	return b
}

// resume starts another server over the state of one that was closed.
func resume(t testing.TB, old *bench, change func(*server.Config)) *bench {
	t.Helper()
	old.log.close()
	cfg := server.Config{Words: []string{"*"}, Logger: zerolog.Nop()}
	change(&cfg)
	b := &bench{t: t, st: old.st}
	index, _ := old.st.Applied()
	b.log = newLog(b.st, index+1)
	b.serve(cfg)
	return b
}

func (b *bench) serve(cfg server.Config) {
	t := b.t
	t.Helper()
	srv, err := server.New(cfg, b.st, b.log)
	if err != nil {
		t.Fatal(err)
	}
	b.srv = srv
	srv.Start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		b.log.close()
	})
}

// zk connects go-zookeeper's client.
func (b *bench) zk() *zk.Conn {
	b.t.Helper()
	c, events, err := zk.Connect([]string{b.addr}, 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(quiet{}))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	deadline := time.After(10 * time.Second)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-deadline:
			b.t.Fatal("no session after 10 s")
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
