package sim

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/coord/coordtest"
	"ottla/internal/fs"
)

// listener hands out pipes, since sockets are not part of a bubble.
type listener struct {
	accept chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newListener() *listener {
	return &listener{accept: make(chan net.Conn, 64), closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case nc := <-l.accept:
		return nc, nil
	}
}

// Close also ends the connections that were not accepted yet, as a kernel does.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	for {
		select {
		case nc := <-l.accept:
			nc.Close()
		default:
			return nil
		}
	}
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2181} }

// dial returns the client's end of a connection that the server has yet to accept.
func (l *listener) dial(n int) net.Conn {
	ours, theirs := net.Pipe()
	select {
	case <-l.closed:
		theirs.Close()
	default:
		l.accept <- &pipe{theirs, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 10000 + n}}
	}
	return ours
}

// pipe is the server's end, with an address as sockets have one.
type pipe struct {
	net.Conn
	remote net.Addr
}

func (p *pipe) RemoteAddr() net.Addr { return p.remote }

// gate lets the server's changes of its disk happen one at a time, when and as the simulation says.
type gate struct {
	mu      sync.Mutex
	waiting []*diskOp
}

type diskOp struct {
	op   fs.Op
	name string
	say  chan fs.Rule
}

// ask is fs.Rule's Gate.
func (g *gate) ask(op fs.Op, name string) fs.Rule {
	d := &diskOp{op, name, make(chan fs.Rule)}
	g.mu.Lock()
	g.waiting = append(g.waiting, d)
	g.mu.Unlock()
	return <-d.say
}

// pending lists what waits, in an order that does not depend on the scheduler: no two goroutines of the server change the same file.
func (g *gate) pending() []*diskOp {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortStableFunc(g.waiting, func(a, b *diskOp) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.op, b.op)) })
	return slices.Clone(g.waiting)
}

// let decides one operation.
func (g *gate) let(d *diskOp, how fs.Rule) {
	g.mu.Lock()
	g.waiting = slices.DeleteFunc(g.waiting, func(w *diskOp) bool { return w == d })
	g.mu.Unlock()
	d.say <- how
}

// server is one life of the coordinator, on a disk that outlives it.
type server struct {
	*coord.Server
	listener *listener
	disk     *fs.Crash
	gate     *gate
	served   chan error
}

const tick = 2 * time.Second

var errDisk = errors.New("input/output error")

// boot begins to start the coordinator; the result comes once the simulation has let its disk go on.
func boot(disk *fs.Crash) (*server, <-chan error) {
	s := &server{listener: newListener(), disk: disk, gate: &gate{}, served: make(chan error, 1)}
	faulty := fs.NewFaulty(disk)
	faulty.Inject(fs.Rule{Op: fs.AnyChange, Gate: s.gate.ask})
	c := config.Default()
	c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout = tick, 2*tick, 20*tick
	c.MaxClientCnxns = 0
	c.SegmentBytes, c.CheckpointTxns = 2048, 12 // small, so that a run fills segments and makes checkpoints
	o := coord.Options{Config: c, Logger: zerolog.Nop(), Listener: s.listener}
	coordtest.OnDisk(faulty)(&o)
	started := make(chan error, 1)
	go func() {
		var err error
		if s.Server, err = coord.New(o); err == nil {
			go func() { s.served <- s.Serve() }()
		}
		started <- err
	}()
	return s, started
}

// failed says whether the server has stopped by itself.
func (s *server) failed() bool { return len(s.served) > 0 }

// drain lets the disk do what it is asked, one operation at a time in an order that next chooses, until nobody asks or stop says so.
func (s *server) drain(next func(n int) int, how func(d *diskOp) fs.Rule, stop func() bool) {
	for {
		synctest.Wait()
		waiting := s.gate.pending()
		if len(waiting) == 0 || stop() {
			return
		}
		d := waiting[next(len(waiting))]
		s.gate.let(d, how(d))
	}
}
