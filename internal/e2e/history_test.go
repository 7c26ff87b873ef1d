//go:build unix

package e2e

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ottla/coord/coordtest/linear"
	"ottla/coord/coordtest/model"
	"ottla/coord/coordtest/speak"
	"ottla/coord/coordtest/stream"
	"ottla/coord/wire"
)

// session is a ZooKeeper client that has one request at a time under way and hands on everything that comes.
type session struct {
	nc      net.Conn
	in      *bufio.Reader
	conn    int // its number among all connections
	id      int64
	pw      []byte
	timeout time.Duration
	xid     int32
	zxid    int64 // highest seen
	event   func(model.Event)
}

var errExpired = errors.New("the session is over")

// connect opens a connection, for a new session if there is none yet.
func (s *session) connect(address string, conn int) error {
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	nc.SetDeadline(time.Now().Add(time.Hour))
	s.nc, s.in, s.conn, s.xid = nc, bufio.NewReader(nc), conn, 0
	pw := s.pw
	if pw == nil {
		pw = make([]byte, wire.PasswordSize)
	}
	b := wire.AppendLong(wire.AppendInt(nil, 0), s.zxid)
	b = wire.AppendBuffer(wire.AppendLong(wire.AppendInt(b, int32(s.timeout.Milliseconds())), s.id), pw)
	if err := s.send(append(b, 0)); err != nil {
		return err
	}
	f, err := s.frame()
	if err != nil {
		return err
	}
	d := wire.NewDecoder(f)
	d.Int()
	if timeout := d.Int(); timeout <= 0 {
		nc.Close()
		return errExpired
	}
	s.id, s.pw = d.Long(), slices.Clone(d.Buffer())
	return d.Err()
}

func (s *session) send(body []byte) error {
	_, err := s.nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func (s *session) frame() ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(s.in, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(s.in, b)
	return b, err
}

// do sends a request and waits for its answer.
func (s *session) do(op model.Op) (model.Result, error) {
	s.xid++
	code, body := speak.Encode(op)
	if err := s.send(append(wire.AppendInt(wire.AppendInt(nil, s.xid), int32(code)), body...)); err != nil {
		return model.Result{}, err
	}
	for {
		f, err := s.frame()
		if err != nil {
			return model.Result{}, err
		}
		d := wire.NewDecoder(f)
		xid, zxid, code := d.Int(), d.Long(), d.Int()
		if xid == wire.XidNotification {
			e := model.Event{Conn: s.conn, Type: d.Int(), Zxid: zxid}
			d.Int()
			e.Path = string(d.String())
			if s.event != nil {
				s.event(e)
			}
			continue
		}
		if xid != s.xid || zxid < s.zxid {
			return model.Result{}, fmt.Errorf("answer %d of zxid %#x to %d, behind %#x", xid, zxid, s.xid, s.zxid)
		}
		s.zxid = zxid
		return speak.Decode(op, code, d.Rest())
	}
}

// Folders of the history's nodes.
const (
	histTop    = "/h"
	histNodes  = "/h/n"   // nodes of all
	histSample = "/h/n/x" // some of them, for porcupine
	histPairs  = "/h/m"   // changed two at a time
	histOwn    = "/h/e"   // a folder for each client, for its ephemeral nodes
)

// storm is many sessions on one coordinator.
type storm struct {
	t       *testing.T
	coord   *Server
	check   *stream.Checker
	clients []*stormer
	conns   atomic.Int64
	serial  atomic.Int64
	done    atomic.Int64 // answers in all
	silent  atomic.Int64 // sessions that fell silent
	begin   time.Time

	sample sample
}

// sample is what is kept for porcupine: all that was done to a few nodes, until it is enough.
type sample struct {
	mu      sync.Mutex
	history linear.History
	begun   int
}

// take says whether one more operation may be kept.
func (s *sample) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	return s.begun <= sampleMax
}

func (s *sample) add(fn func(h *linear.History)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.history)
}

// stormer is one of them.
type stormer struct {
	*storm
	n   int
	s   session
	rng *rand.Rand
}

const (
	stormTimeout = 6 * time.Second
	stormTick    = 2 * time.Second
	sampleNodes  = 8
	sampleMax    = 10_000
)

// TestHistory lets many sessions do random things for a long time while the coordinator is killed over and over, and checks every answer,
// every event, and the whole tree behind each kill.
func TestHistory(t *testing.T) {
	coord := Coordinator(t, fmt.Sprint("tickTime=", stormTick.Milliseconds()), "globalOutstandingLimit=10000")
	st := &storm{t: t, coord: coord, begin: time.Now()}
	sessions, kills, total := Scale(40, 200), Scale(4, 50), int64(Scale(120_000, 24_000_000))
	if n, err := strconv.ParseInt(os.Getenv("HISTORY_OPS"), 10, 64); err == nil {
		total = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)

	setup := &session{timeout: stormTimeout}
	if err := setup.connect(coord.Address, 0); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{histTop, histNodes, histPairs, histOwn} {
		if r, err := setup.do(model.Op{Kind: model.Create, Path: path}); err != nil || r.Code != model.OK {
			t.Fatal(path, r, err)
		}
	}
	for n := range sessions {
		if r, err := setup.do(model.Op{Kind: model.Create, Path: st.own(n)}); err != nil || r.Code != model.OK {
			t.Fatal(r, err)
		}
		st.clients = append(st.clients, &stormer{storm: st, n: n, rng: rand.New(rand.NewPCG(seed, uint64(n))), s: session{timeout: stormTimeout}})
	}
	world := model.New()
	for path, is := range st.readAll() {
		world.Adopt(path, is)
	}
	st.check = stream.New(world, setup.zxid)
	setup.nc.Close()

	unknown := 0
	// Resident memory at the end of the server's first lives, in which the log's tail that a start replays grows to its full length, and
	// of its last.
	var early, late int64
	for kill := range kills + 1 {
		var running sync.WaitGroup
		for _, c := range st.clients {
			running.Go(c.run)
		}
		goal := total * int64(kill+1) / int64(kills+1)
		Await(t, time.Hour, fmt.Sprint(goal, " answers"), func() error {
			if len(st.check.Violations()) > 0 {
				return nil
			}
			if n := st.done.Load(); n < goal {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		if late = rss(t, coord.Process); kill <= kills/3 {
			early = max(early, late)
		}
		coord.Kill()
		running.Wait()
		coord.Restart(t)
		unknown += st.check.Resolve(histTop, st.readAll())
		if v := st.check.Violations(); len(v) > 0 {
			t.Fatalf("%s", strings.Join(v, "\n"))
		}
	}
	if Long() && late > early*5/4 {
		t.Errorf("%d MiB are resident at the end, %d were at first", late>>20, early>>20)
	}
	if ok, sure := st.sample.history.Check(10 * time.Minute); !ok || !sure {
		t.Errorf("the history of %d operations on %d nodes: linearizable %v, sure %v", st.sample.history.Len(), sampleNodes, ok, sure)
	}
	took := time.Since(st.begin)
	Result(t, "%d operations of %d sessions in %v, %d kills with %d operations under way, %d sessions that fell silent: every answer, event and tree as the model has it; porcupine over %d; %d MiB resident at most at first, %d MiB at the end",
		st.done.Load(), sessions, took.Round(time.Second), kills+1, unknown, st.silent.Load(), st.sample.history.Len(), early>>20, late>>20)
	coord.Stop(t)
}

func (st *storm) own(n int) string { return fmt.Sprintf("%s/%d", histOwn, n) }

// readAll reads the whole tree with a session of its own.
func (st *storm) readAll() map[string]model.Result {
	st.t.Helper()
	s := &session{timeout: stormTimeout}
	if err := s.connect(st.coord.Address, 0); err != nil {
		st.t.Fatal(err)
	}
	defer s.nc.Close()
	tree := map[string]model.Result{}
	for todo := []string{histTop}; len(todo) > 0; todo = todo[1:] {
		is, err := s.do(model.Op{Kind: model.Get, Path: todo[0]})
		if err != nil {
			st.t.Fatal(err)
		}
		if is.Code != model.OK {
			continue // its session has just ended
		}
		tree[todo[0]] = is
		if is.Stat.Children == 0 {
			continue
		}
		names, err := s.do(model.Op{Kind: model.Children, Path: todo[0]})
		if err != nil {
			st.t.Fatal(err)
		}
		for _, name := range names.Children {
			todo = append(todo, todo[0]+"/"+name)
		}
	}
	if _, err := s.do(model.Op{Kind: model.CloseSession}); err != nil {
		st.t.Fatal(err)
	}
	return tree
}

// run does random things until the server is gone.
func (c *stormer) run() {
	c.s.event = c.check.Event
	if !c.reconnect() {
		return
	}
	for {
		var ok bool
		switch n := c.rng.IntN(30_000); {
		case n == 0:
			ok = c.fallSilent()
		case n < 10:
			c.check.Gone(c.s.conn)
			c.s.nc.Close()
			ok = c.reconnect()
		case n < 16:
			if ok = c.do(model.Op{Kind: model.CloseSession}); ok {
				c.check.Gone(c.s.conn)
				c.s.id, c.s.pw = 0, nil
				ok = c.reconnect()
			}
		default:
			ok = c.do(c.next())
		}
		if !ok {
			return
		}
	}
}

func (c *stormer) reconnect() bool {
	err := c.s.connect(c.coord.Address, int(c.conns.Add(1)))
	if errors.Is(err, errExpired) { // its closeSession was under way in the crash
		c.s.id, c.s.pw = 0, nil
		err = c.s.connect(c.coord.Address, int(c.conns.Add(1)))
	}
	return err == nil
}

// do does one operation, under the eyes of the checker. False: the server is gone.
func (c *stormer) do(op model.Op) bool {
	c.check.Begin(c.n, c.s.conn, c.s.id, op)
	call := time.Since(c.begin)
	got, err := c.s.do(op)
	sampled := strings.HasPrefix(op.Path, histSample)
	if err != nil {
		if sampled {
			c.sample.add(func(h *linear.History) { h.Unknown(c.n, op, int64(call)) })
		}
		c.s.nc.Close()
		return false
	}
	c.check.Answer(c.n, c.s.zxid, got)
	if sampled {
		c.sample.add(func(h *linear.History) { h.Answered(c.n, op, int64(call), int64(time.Since(c.begin)), got) })
	}
	c.done.Add(1)
	return true
}

func (c *stormer) data() string {
	return fmt.Sprintf("%d:%.*s", c.serial.Add(1), c.rng.IntN(100), strings.Repeat(".", 100))
}

// next chooses an operation.
func (c *stormer) next() model.Op {
	node := fmt.Sprintf("%s/%d", histNodes, c.rng.IntN(10*len(c.clients))) // so many that few operations under way touch the same
	version := int32(-1)
	if c.rng.IntN(4) == 0 {
		version = int32(c.rng.IntN(4))
	}
	if c.rng.IntN(60) == 0 && c.sample.take() {
		node = fmt.Sprint(histSample, c.rng.IntN(sampleNodes))
		return [...]model.Op{
			{Kind: model.Create, Path: node, Data: c.data()}, {Kind: model.Set, Path: node, Data: c.data(), Version: version},
			{Kind: model.Delete, Path: node, Version: version}, {Kind: model.Get, Path: node}, {Kind: model.Exists, Path: node},
		}[c.rng.IntN(5)]
	}
	other := c.own(c.rng.IntN(len(c.clients)))
	if c.check.IsApart(other) {
		other = c.own(c.n)
	}
	switch n := c.rng.IntN(100); {
	case n < 12:
		return model.Op{Kind: model.Create, Path: node, Data: c.data()}
	case n < 32:
		return model.Op{Kind: model.Set, Path: node, Data: c.data(), Version: version}
	case n < 40:
		return model.Op{Kind: model.Delete, Path: node, Version: version}
	case n < 55:
		return model.Op{Kind: model.Get, Path: node, Watch: c.rng.IntN(10) == 0}
	case n < 63:
		return model.Op{Kind: model.Exists, Path: node, Watch: c.rng.IntN(10) == 0}
	case n < 68:
		return model.Op{Kind: model.Create, Path: fmt.Sprintf("%s/%d", c.own(c.n), c.rng.IntN(4)), Data: c.data(), Ephemeral: true}
	case n < 72:
		return model.Op{Kind: model.Delete, Path: fmt.Sprintf("%s/%d", c.own(c.n), c.rng.IntN(4)), Version: -1}
	case n < 78:
		return model.Op{Kind: model.Children, Path: other}
	case n < 84:
		which, a, b := c.rng.IntN(2*len(c.clients)), c.rng.IntN(2), c.rng.IntN(2)
		pair := func(i int) string { return fmt.Sprintf("%s/%d-%d", histPairs, which, i) }
		return [...]model.Op{
			{Kind: model.Multi, Ops: []model.Op{{Kind: model.Create, Path: pair(a), Data: c.data()}, {Kind: model.Create, Path: pair(b), Data: c.data()}}},
			{Kind: model.Multi, Ops: []model.Op{{Kind: model.Check, Path: pair(a), Version: version}, {Kind: model.Set, Path: pair(b), Data: c.data(), Version: -1}}},
			{Kind: model.Multi, Ops: []model.Op{{Kind: model.Delete, Path: pair(a), Version: -1}, {Kind: model.Set, Path: pair(b), Data: c.data(), Version: -1}}},
		}[c.rng.IntN(3)]
	case n < 90:
		return model.Op{Kind: model.Create, Path: fmt.Sprintf("%s/%d-", c.own(c.n), c.n), Data: c.data(), Ephemeral: true, Sequential: true}
	default:
		return model.Op{Kind: model.Sync, Path: histTop}
	}
}

// fallSilent lets the client's session end, and wants its ephemeral nodes to be there until then and not for longer.
func (c *stormer) fallSilent() bool {
	folder := c.own(c.n)
	paths, zxid := c.check.Apart(folder)
	c.check.Gone(c.s.conn)
	c.s.nc.Close()
	c.silent.Add(1)
	from := time.Now()
	look := &session{timeout: stormTimeout}
	if err := look.connect(c.coord.Address, 0); err != nil {
		return false
	}
	defer look.nc.Close()
	for {
		is, err := look.do(model.Op{Kind: model.Exists, Path: folder})
		if err != nil {
			return false
		}
		since := time.Since(from)
		switch gone := is.Stat.Children == 0; {
		case gone && len(paths) > 0 && since < stormTimeout-time.Second:
			c.t.Errorf("the ephemeral nodes of client %d have gone after %v", c.n, since)
			return false
		case gone:
			if len(paths) > 0 && is.Stat.Pzxid <= zxid {
				c.t.Errorf("the ephemeral nodes of client %d have gone at %#x, and were there at %#x", c.n, is.Stat.Pzxid, zxid)
			}
			c.check.Expired(folder, paths, is)
			c.s.id, c.s.pw = 0, nil
			return c.reconnect()
		case since > stormTimeout+2*stormTick+10*time.Second:
			c.t.Errorf("the ephemeral nodes of client %d are there after %v", c.n, since)
			return false
		}
		time.Sleep(100 * time.Millisecond)
	}
}
