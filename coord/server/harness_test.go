package server_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"ottla/coord/server"
	"ottla/coord/state"
	"ottla/coord/wire"
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
}

func newLog(st *state.State) *log {
	l := &log{st: st, batches: make(chan []byte, 4), done: make(chan struct{}), stop: make(chan struct{})}
	go l.run()
	return l
}

func (l *log) Propose(b []byte) error {
	select {
	case l.batches <- b:
		return nil
	case <-l.stop:
		return errors.New("log is closed")
	}
}

func (l *log) run() {
	defer close(l.done)
	for index := uint64(1); ; index++ {
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
	b.log = newLog(b.st)
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
		close(b.log.stop)
		<-b.log.done
	})
	return b
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

// raw is a client that sends and receives bytes.
type raw struct {
	t  testing.TB
	nc net.Conn
}

func dial(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t, nc}
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// read returns the next frame, or the error that ended the connection.
func (r *raw) read() ([]byte, error) {
	r.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	var head [4]byte
	if _, err := io.ReadFull(r.nc, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r.nc, b)
	return b, err
}

func (r *raw) mustRead() []byte {
	r.t.Helper()
	b, err := r.read()
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// wantClosed fails unless the server ends the connection without another byte.
func (r *raw) wantClosed() {
	r.t.Helper()
	if b, err := r.read(); err == nil {
		r.t.Fatalf("got frame %x, want the connection closed", b)
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		r.t.Fatal("connection stays open")
	}
}

// connect opens a session (id 0) or attaches to one.
func (r *raw) connect(id int64, password []byte, timeout time.Duration, zxid int64) wire.ConnectResponse {
	r.t.Helper()
	if password == nil {
		password = make([]byte, wire.PasswordSize)
	}
	r.write(wire.AppendConnectRequest(nil, &wire.ConnectRequest{
		LastZxidSeen: zxid, TimeoutMs: int32(timeout.Milliseconds()), SessionID: id, Password: password, HasReadOnly: true,
	}))
	d := wire.NewDecoder(r.mustRead())
	d.Int()
	res := wire.ConnectResponse{TimeoutMs: d.Int(), SessionID: d.Long()}
	copy(res.Password[:], d.Buffer())
	res.HasReadOnly, res.ReadOnly = len(d.Rest()) == 1, d.Bool()
	if d.Err() != nil {
		r.t.Fatal(d.Err())
	}
	return res
}

// session is connect for a new session.
func (r *raw) session() wire.ConnectResponse { return r.connect(0, nil, 10*time.Second, 0) }

// request is a frame with a header.
func request(xid int32, op wire.Op, body []byte) []byte {
	b := wire.AppendInt(wire.AppendInt(nil, xid), int32(op))
	return frame(append(b, body...))
}

type reply struct {
	xid  int32
	zxid int64
	code wire.Code
	body []byte
}

func (r *raw) reply() reply {
	r.t.Helper()
	d := wire.NewDecoder(r.mustRead())
	out := reply{d.Int(), d.Long(), wire.Code(d.Int()), nil}
	out.body = d.Rest()
	if d.Err() != nil {
		r.t.Fatal(d.Err())
	}
	return out
}

func (r *raw) do(xid int32, op wire.Op, body []byte) reply {
	r.t.Helper()
	r.write(request(xid, op, body))
	return r.reply()
}

// Bodies of requests.

func str(s string) []byte { return wire.AppendString(nil, s) }

func pathFlag(path string, flag bool) []byte { return wire.AppendBool(str(path), flag) }

func pathInt(path string, n int32) []byte { return wire.AppendInt(str(path), n) }

func create(path string, data []byte, flags int32) []byte {
	return wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(str(path), data), wire.OpenACL), flags)
}

func setData(path string, data []byte, version int32) []byte {
	return wire.AppendInt(wire.AppendBuffer(str(path), data), version)
}
