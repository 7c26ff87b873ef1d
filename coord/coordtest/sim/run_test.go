package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing/synctest"
	"time"

	"ottla/coord/coordtest"
	"ottla/coord/coordtest/model"
	"ottla/coord/coordtest/speak"
	"ottla/internal/fs"
)

// Sizes of a run.
const (
	clients     = 4
	lives       = 4  // of the server
	stepsMax    = 45 // of one life
	pendingMax  = 3  // requests of a client under way
	sessionTime = 10 * time.Second
)

// run is one simulated history. Its own goroutine is the only one that decides anything.
type run struct {
	rng   *rand.Rand
	trace strings.Builder
	disk  *fs.Crash
	srv   *server
	all   []*client
	away  []*client // that connect next
	audit *client   // reads everything behind a crash
	plan  plan

	step  int
	conns int // connections so far
	cut   int // the operation of the disk, counted down, in which this life ends; 0: none
	eio   int // the one that fails
	held  bool

	world    *model.World
	zxid     int64 // of the last write known
	expected map[int][]model.Event
	heard    map[int][]model.Event
	dead     map[int64]bool // sessions that are over
	unclear  map[int64]bool // sessions whose end was under way in a crash, and nothing shows whether it came
	history  history
}

// violation is what a run that found something panics with.
type violation string

func (r *run) fail(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }

func (r *run) log(format string, args ...any) {
	fmt.Fprintf(&r.trace, "%d ", r.step)
	fmt.Fprintf(&r.trace, format, args...)
	r.trace.WriteByte('\n')
}

// simulate runs a seed's history and returns its trace, and what was wrong in it, if anything was. To be called in a bubble.
func simulate(seed uint64) (trace string, wrong error) {
	r := &run{
		rng: rand.New(rand.NewPCG(seed, 0x73696d)), disk: coordtest.NewDisk(), world: model.New(),
		expected: map[int][]model.Event{}, heard: map[int][]model.Event{}, dead: map[int64]bool{}, unclear: map[int64]bool{},
	}
	r.plan.rng = r.rng
	defer func() {
		if p := recover(); p != nil {
			v, ok := p.(violation)
			if !ok {
				panic(p)
			}
			wrong = fmt.Errorf("seed %d, step %d: %s", seed, r.step, string(v))
		}
		r.abandon()
		trace = r.trace.String()
	}()
	for n := range clients {
		r.all = append(r.all, &client{n: n, timeout: int32(sessionTime / time.Millisecond)})
	}
	r.audit = &client{n: clients, timeout: int32(sessionTime / time.Millisecond)}
	for life := range lives {
		r.cut, r.eio = 0, 0
		if life > 0 || r.rng.IntN(4) > 0 {
			switch r.rng.IntN(4) {
			case 0: // a clean stop, or a crash when nothing is under way
			case 1:
				r.eio = 1 + r.rng.IntN(60)
			default:
				r.cut = 1 + r.rng.IntN(60)
			}
		}
		if r.live() && life < lives-1 && r.rng.IntN(2) == 0 {
			r.stop()
			continue
		}
		r.crash()
	}
	r.cut, r.eio = 0, 0
	if !r.recover() {
		r.fail("a start without a fault failed")
	}
	r.history.check(r)
	return "", nil
}

// live starts the server and lets clients work with it until enough has happened or it is gone. True: it is still there.
func (r *run) live() bool {
	if !r.recover() {
		return false
	}
	for _, path := range base { // those that an earlier life did not get to
		if r.world.Look(path).Code != model.OK && !r.ask(r.all[0], model.Op{Kind: model.Create, Path: path}) {
			return false
		}
	}
	for range 5 + r.rng.IntN(stepsMax) {
		r.step++
		if !r.act() {
			return false
		}
	}
	return true
}

// act does one thing.
func (r *run) act() bool {
	c := r.all[r.rng.IntN(len(r.all))]
	switch n := r.rng.IntN(100); {
	case n < 8: // the disk takes its time, or is done
		r.held = !r.held
		r.log("disk held: %v", r.held)
	case n < 11:
		if !c.attached || !c.connected() {
			return true
		}
		r.log("client %d: ping", c.n)
		c.ping()
	case n < 14 && r.quiet():
		r.log("client %d hangs up and comes back", c.n)
		r.reconnect(c)
	case n < 16 && r.quiet():
		return r.expire(c)
	default:
		if op, ok := r.plan.next(c); ok {
			r.log("client %d: %v", c.n, op)
			c.send(op, time.Now().UnixMilli(), r.step)
		}
	}
	return r.settle()
}

// settle lets everything happen that can, and checks what it led to. False: the server is gone.
func (r *run) settle() bool {
	r.srv.drain(r.rng.IntN, r.disposal, func() bool { return r.held })
	r.collect()
	for len(r.away) > 0 { // one after the other, since the order decides their sessions' ids
		c := r.away[0]
		r.away = r.away[1:]
		r.conns++
		c.dial(r.srv.listener, r.conns)
		r.srv.drain(r.rng.IntN, r.disposal, func() bool { return r.held })
		r.collect()
	}
	if !r.srv.failed() {
		return true
	}
	r.log("the server has stopped by itself")
	return false
}

// disposal decides what becomes of an operation of the disk.
func (r *run) disposal(d *diskOp) fs.Rule {
	switch {
	case r.cut == 1:
		r.log("power cut in %v %s", d.op, d.name)
		r.disk.CutAt(r.disk.Ops() + 1)
	case r.eio == 1 && !strings.HasSuffix(d.name, "state.db.tmp"): // bbolt's place is whole or not at all
		r.log("error of the disk in %v %s", d.op, d.name)
		r.eio = 0
		return fs.Rule{Err: errDisk, Short: int64(r.rng.IntN(200))}
	}
	if r.cut > 0 {
		r.cut--
	}
	if r.eio > 1 {
		r.eio--
	}
	return fs.Rule{}
}

// quiet says that nothing is under way.
func (r *run) quiet() bool {
	for _, c := range r.all {
		if len(c.outstanding) > 0 || !c.connected() || !c.attached {
			return false
		}
	}
	return !r.held
}

// reconnect gives a client another connection. Its session goes on, unless it is over: then the next one begins.
func (r *run) reconnect(c *client) {
	if c.connected() {
		r.world.Drop(c.conn)
		c.hangUp()
		synctest.Wait()
	}
	r.away = append(r.away, c)
}

// ask sends one request and waits for its answer. False: the server is gone.
func (r *run) ask(c *client, op model.Op) bool {
	r.step++
	c.send(op, time.Now().UnixMilli(), r.step)
	return r.settle()
}

// expire lets a client fall silent until its session is over; the others go on.
func (r *run) expire(c *client) bool {
	session, owned := c.session, r.world.Owned(c.session)
	r.log("client %d falls silent, and leaves %v", c.n, owned)
	r.world.Drop(c.conn)
	c.hangUp()
	other := r.all[(c.n+1)%len(r.all)]
	pass := func(d time.Duration) bool {
		for ; d > 0; d -= time.Second {
			time.Sleep(time.Second)
			for _, o := range r.all {
				if o != c {
					o.ping()
				}
			}
			r.srv.drain(r.rng.IntN, r.disposal, func() bool { return false })
			if r.srv.failed() {
				r.collect()
				return false
			}
		}
		return true
	}
	if !pass(sessionTime - time.Second) {
		return false
	}
	for _, path := range owned { // still there
		if !r.ask(other, model.Op{Kind: model.Exists, Path: path}) {
			return false
		}
	}
	// From here on its end may be under way in a crash.
	if !pass(2*tick + time.Second) {
		r.all[c.n].outstanding = []pending{{op: model.Op{Kind: model.CloseSession}, session: session}}
		return false
	}
	r.dead[session] = true
	if len(owned) > 0 { // else nothing but the answer to its next connect request shows it
		zxid, ok := r.lastChange(other, model.Parent(owned[0]))
		if !ok {
			r.all[c.n].outstanding = []pending{{op: model.Op{Kind: model.CloseSession}, session: session}}
			return false
		}
		if zxid <= r.zxid {
			r.fail("session %#x is over, and its nodes %v are still there", session, owned)
		}
		r.zxid = zxid
		r.predict(r.world.Write(zxid, 0, session, model.Op{Kind: model.CloseSession}))
	}
	r.reconnect(c)
	return r.settle()
}

// lastChange asks for a node's pzxid, without the model: it tells the zxid of the end of a session, which no answer does.
func (r *run) lastChange(c *client, path string) (int64, bool) {
	op := model.Op{Kind: model.Exists, Path: path}
	c.send(op, 0, r.step)
	r.srv.drain(r.rng.IntN, r.disposal, func() bool { return false })
	for _, f := range c.take() {
		h := head(f)
		if h.xid != c.xid {
			r.collectFrame(c, f)
			continue
		}
		c.outstanding = nil
		r.note(c, h)
		got, err := speak.Decode(op, h.code, h.body)
		if err != nil || got.Stat == nil {
			r.fail("%v is answered %v, %v", op, got, err)
		}
		return got.Stat.Pzxid, !r.srv.failed()
	}
	c.outstanding = nil
	return 0, false
}

// stop stops the server cleanly.
func (r *run) stop() {
	r.held = false
	if !r.settle() {
		r.crash()
		return
	}
	r.step++
	r.log("clean stop")
	go r.srv.Close()
	r.srv.drain(r.rng.IntN, r.disposal, func() bool { return false })
	r.over()
	r.disk = r.disk.Survivor(fs.KeepAll, 0)
}

// crash ends the server's life wherever it is: the power goes, or only the process dies.
func (r *run) crash() {
	r.step++
	r.disk.Cut()
	r.held = false
	if r.srv != nil {
		go r.srv.Close()
		r.srv.drain(r.rng.IntN, func(*diskOp) fs.Rule { return fs.Rule{} }, func() bool { return false })
		r.over()
	}
	loss, seed := fs.Losses[r.rng.IntN(len(fs.Losses))], r.rng.Uint64()
	r.log("crash: %v", loss)
	r.disk = r.disk.Survivor(loss, seed)
}

// over takes in the last that clients hear of a life.
func (r *run) over() {
	r.collect()
	<-r.srv.served
	r.srv, r.away = nil, nil
}

// abandon ends everything, so that the bubble can end.
func (r *run) abandon() {
	r.disk.Cut()
	if r.srv != nil {
		go r.srv.Close()
		r.srv.drain(r.rng.IntN, func(*diskOp) fs.Rule { return fs.Rule{} }, func() bool { return false })
		<-r.srv.served
	}
	for _, c := range append(r.all, r.audit) {
		c.hangUp()
	}
}
