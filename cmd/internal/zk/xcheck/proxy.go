package xcheck

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"ottla/coord/wire"
)

// Difference is something that B said otherwise than A.
type Difference struct {
	Connection int    `json:"connection"`
	Session    string `json:"session"`
	Request    string `json:"request,omitempty"` // operation and path; "": an event
	Where      string `json:"where"`             // connect, reply, event, order or close
	Field      string `json:"field"`
	A          string `json:"a"`
	B          string `json:"b"`
}

// String is one line.
func (d Difference) String() string {
	what := d.Request
	if what == "" {
		what = "-"
	}
	return fmt.Sprintf("connection %d, session %s, %s: %s %s: A %s, B %s", d.Connection, d.Session, what, d.Where, d.Field, d.A, d.B)
}

// Summary counts what went through.
type Summary struct {
	Connections int `json:"connections"`
	Requests    int `json:"requests"`
	Events      int `json:"events"`
	Differences int `json:"differences"`
}

// Proxy holds two servers against each other. Set A, B and Report before Serve.
type Proxy struct {
	A, B     string           // host:port
	Patience time.Duration    // how long one server may take longer than the other; 0: ten seconds
	Report   func(Difference) // called by one goroutine at a time

	turn sync.Mutex // one request at a time
	m    *mapping

	mu      sync.Mutex
	summary Summary
	open    map[net.Conn]bool
}

const frameMax = 64 << 20

// Serve takes clients until ctx ends, and returns when the last one is gone.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) (Summary, error) {
	p.m, p.open = newMapping(), map[net.Conn]bool{}
	if p.Patience <= 0 {
		p.Patience = 10 * time.Second
	}
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		p.turn.Lock() // the request under way is answered
		defer p.turn.Unlock()
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.open {
			c.Close()
		}
	})
	defer stop()
	var wg sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			wg.Wait()
			if ctx.Err() != nil {
				err = nil
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.summary, err
		}
		if !p.track(ctx, c) {
			continue
		}
		p.mu.Lock()
		p.summary.Connections++
		number := p.summary.Connections
		p.mu.Unlock()
		wg.Go(func() {
			defer p.untrack(c)
			p.serve(ctx, c, number)
		})
	}
}

func (p *Proxy) track(ctx context.Context, c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *Proxy) untrack(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *Proxy) report(d Difference) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.summary.Differences++
	p.Report(d)
}

// serve is the life of a client's connection.
func (p *Proxy) serve(ctx context.Context, c net.Conn, number int) {
	x := &exchange{p: p, client: c, number: number, paired: make(chan struct{}, 1)}
	var in wire.Buffer
	first, err := x.first(&in)
	if err != nil {
		return
	}
	var servers [2]net.Conn
	for i, address := range []string{p.A, p.B} {
		s, err := (&net.Dialer{Timeout: p.Patience}).DialContext(ctx, "tcp", address)
		if err != nil {
			x.differ("", "connect", "dial", "", fmt.Sprintf("%c: %v", 'A'+i, err))
			return
		}
		if !p.track(ctx, s) {
			return
		}
		defer p.untrack(s)
		servers[i] = s
	}
	x.a, x.b = servers[0], servers[1]
	if first == nil {
		x.word(&in)
		return
	}
	if !x.connect(first) {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() {
		for _, s := range servers {
			s.Close()
		}
	}()
	for side := range servers {
		wg.Go(func() { x.read(side, servers[side]) })
	}
	for {
		frame, err := next(c, &in)
		if err != nil || !x.step(frame) {
			return
		}
	}
}

// next reads a frame.
func next(c net.Conn, in *wire.Buffer) ([]byte, error) {
	for {
		frame, err := in.Next(frameMax)
		if frame != nil || err != nil {
			return frame, err
		}
		if err := in.Fill(c); err != nil {
			return nil, err
		}
	}
}

// exchange is a client's connection.
type exchange struct {
	p            *Proxy
	client, a, b net.Conn
	number       int
	session      string

	mu      sync.Mutex
	answers [2][]message
	events  [2][]message
	counted [2]int  // answers so far
	ended   [2]bool // the server has closed
	op      wire.Op // of the request under way
	request string
	paired  chan struct{} // a token: the answers to the request have been compared, or a server has closed
}

func (x *exchange) differ(request, where, field, a, b string) {
	x.p.report(Difference{Connection: x.number, Session: x.session, Request: request, Where: where, Field: field, A: a, B: b})
}

// first reads the connect request; nil: it is a four-letter word.
func (x *exchange) first(in *wire.Buffer) ([]byte, error) {
	for {
		if b := in.Peek(4); len(b) == 4 && int32(binary.BigEndian.Uint32(b)) > frameMax {
			return nil, nil
		}
		frame, err := in.Next(frameMax)
		if frame != nil || err != nil {
			return frame, err
		}
		if err := in.Fill(x.client); err != nil {
			return nil, err
		}
	}
}

// word lets A answer a four-letter word.
func (x *exchange) word(in *wire.Buffer) {
	if _, err := x.a.Write(in.Peek(4)); err != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := x.a.Read(buf)
		if n > 0 {
			if _, werr := x.client.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// connect makes a session on both servers, or takes one up again.
func (x *exchange) connect(frame []byte) bool {
	req, err := wire.DecodeConnectRequest(frame)
	if err != nil {
		return false
	}
	x.p.turn.Lock()
	defer x.p.turn.Unlock()
	reqA := req
	reqB := req
	reqB.LastZxidSeen = x.p.m.zxidOfB(req.LastZxidSeen)
	if s, ok := x.p.m.sessionOfB(req.SessionID); ok && req.SessionID != 0 {
		reqB.SessionID, reqB.Password = s.id, s.password
	}
	var frames [2][]byte
	var errs [2]error
	for i, side := range []struct {
		c   net.Conn
		req *wire.ConnectRequest
	}{{x.a, &reqA}, {x.b, &reqB}} {
		var in wire.Buffer
		if _, errs[i] = side.c.Write(wire.AppendConnectRequest(nil, side.req)); errs[i] == nil {
			_ = side.c.SetReadDeadline(time.Now().Add(x.p.Patience))
			frames[i], errs[i] = next(side.c, &in)
			_ = side.c.SetReadDeadline(time.Time{})
		}
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		x.differ("", "connect", "answer", said(errs[0]), said(errs[1]))
	}
	if errs[0] != nil || errs[1] != nil {
		return false
	}
	a, id, _ := handshake(frames[0])
	b, _, secret := handshake(frames[1])
	x.session = fmt.Sprintf("0x%x", uint64(id))
	x.p.m.compare(&a, &b, func(field, a, b string) { x.differ("", "connect", field, a, b) })
	if id != 0 {
		x.p.m.password(id, append([]byte(nil), secret...))
	}
	return x.answer(frames[0]) == nil
}

func said(err error) string {
	if err == nil {
		return "answered"
	}
	return "did not: " + err.Error()
}

// answer gives a frame to the client.
func (x *exchange) answer(frame []byte) error {
	_, err := x.client.Write(wire.EndFrame(append(wire.BeginFrame(nil), frame...), 0))
	return err
}

var operations = map[wire.Op]string{
	wire.OpCreate: "create", wire.OpDelete: "delete", wire.OpExists: "exists", wire.OpGetData: "getData", wire.OpSetData: "setData", wire.OpGetACL: "getACL",
	wire.OpSetACL: "setACL", wire.OpGetChildren: "getChildren", wire.OpSync: "sync", wire.OpPing: "ping", wire.OpGetChildren2: "getChildren2", wire.OpCheck: "check",
	wire.OpMulti: "multi", wire.OpCreate2: "create2", wire.OpReconfig: "reconfig", wire.OpCheckWatches: "checkWatches", wire.OpRemoveWatches: "removeWatches",
	wire.OpCreateContainer: "createContainer", wire.OpCreateTTL: "createTTL", wire.OpMultiRead: "multiRead", wire.OpAuth: "auth", wire.OpSetWatches: "setWatches",
	wire.OpGetEphemerals: "getEphemerals", wire.OpGetAllChildrenNumber: "getAllChildrenNumber", wire.OpSetWatches2: "setWatches2", wire.OpAddWatch: "addWatch",
	wire.OpWhoAmI: "whoAmI", wire.OpCloseSession: "closeSession",
}

// describe is a request in words.
func describe(op wire.Op, d wire.Decoder) string {
	name := operations[op]
	if name == "" {
		name = fmt.Sprint("operation ", int32(op))
	}
	switch op {
	case wire.OpPing, wire.OpMulti, wire.OpMultiRead, wire.OpAuth, wire.OpSetWatches, wire.OpSetWatches2, wire.OpWhoAmI, wire.OpCloseSession, wire.OpReconfig:
		return name
	}
	if path := d.String(); d.Err() == nil {
		name += " " + string(path)
	}
	return name
}

// step sends a request to both servers and waits until their answers have been compared. False: the connection is over.
func (x *exchange) step(frame []byte) bool {
	d := wire.NewDecoder(frame)
	_, op := d.Int(), wire.Op(d.Int())
	if d.Err() != nil {
		return false
	}
	if op == wire.OpSASL {
		x.differ("sasl", "order", "login", "cannot be sent to both", "cannot be sent to both")
		return false
	}
	toB := frame
	const zxidAt = 8
	if (op == wire.OpSetWatches || op == wire.OpSetWatches2) && len(frame) >= zxidAt+8 {
		toB = append([]byte(nil), frame...)
		binary.BigEndian.PutUint64(toB[zxidAt:], uint64(x.p.m.zxidOfB(d.Long())))
	}
	x.p.turn.Lock()
	defer x.p.turn.Unlock()
	x.mu.Lock()
	x.op, x.request = op, describe(op, wire.NewDecoder(frame[8:]))
	over, before := x.ended[0] || x.ended[1], x.counted
	x.mu.Unlock()
	if over {
		return x.finish()
	}
	x.p.mu.Lock()
	x.p.summary.Requests++
	x.p.mu.Unlock()
	for _, s := range []struct {
		c net.Conn
		b []byte
	}{{x.a, frame}, {x.b, toB}} {
		if _, err := s.c.Write(wire.EndFrame(append(wire.BeginFrame(nil), s.b...), 0)); err != nil {
			return x.finish()
		}
	}
	timer := time.NewTimer(x.p.Patience)
	defer timer.Stop()
	for {
		select {
		case <-x.paired:
			x.mu.Lock()
			both := x.counted[0] > before[0] && x.counted[1] > before[1]
			over := x.ended[0] || x.ended[1]
			x.mu.Unlock()
			if over || op == wire.OpCloseSession {
				return x.finish()
			}
			if both {
				return true
			}
		case <-timer.C:
			x.mu.Lock()
			a, b := len(x.answers[0]), len(x.answers[1])
			x.mu.Unlock()
			x.differ(x.request, "reply", "answers within "+x.p.Patience.String(), fmt.Sprint(a), fmt.Sprint(b))
			return false
		}
	}
}

// finish waits until both servers have closed the connection as one of them did, and reports what one has said more.
func (x *exchange) finish() bool {
	timer := time.NewTimer(x.p.Patience)
	defer timer.Stop()
	for {
		x.mu.Lock()
		ended, answers, events := x.ended, [2]int{len(x.answers[0]), len(x.answers[1])}, [2]int{len(x.events[0]), len(x.events[1])}
		x.mu.Unlock()
		if ended[0] && ended[1] {
			if answers[0] != answers[1] {
				x.differ(x.request, "reply", "answers left", fmt.Sprint(answers[0]), fmt.Sprint(answers[1]))
			}
			if events[0] != events[1] {
				x.differ(x.request, "event", "events left", fmt.Sprint(events[0]), fmt.Sprint(events[1]))
			}
			return false
		}
		select {
		case <-x.paired:
		case <-timer.C:
			x.differ(x.request, "close", "closed", fmt.Sprint(ended[0]), fmt.Sprint(ended[1]))
			return false
		}
	}
}

// read takes what a server sends: A's goes to the client, both are compared.
func (x *exchange) read(side int, c net.Conn) {
	var in wire.Buffer
	for {
		frame, err := next(c, &in)
		if err != nil {
			x.mu.Lock()
			x.ended[side] = true
			both := x.ended[0] && x.ended[1]
			x.mu.Unlock()
			if both {
				x.client.Close()
			}
			x.wake()
			return
		}
		d := wire.NewDecoder(frame)
		m := message{xid: d.Int(), frame: append([]byte(nil), frame...)}
		if side == 0 && x.answer(m.frame) != nil {
			x.client.Close()
		}
		x.mu.Lock()
		if m.xid == wire.XidNotification {
			m.after = x.counted[side]
			x.events[side] = append(x.events[side], m)
		} else {
			x.counted[side]++
			x.answers[side] = append(x.answers[side], m)
		}
		x.compareLocked()
		x.mu.Unlock()
		x.wake()
	}
}

func (x *exchange) wake() {
	select {
	case x.paired <- struct{}{}:
	default:
	}
}

// compareLocked holds against each other what has come from both.
func (x *exchange) compareLocked() {
	for len(x.events[0]) > 0 && len(x.events[1]) > 0 {
		a, b := x.events[0][0], x.events[1][0]
		x.events[0], x.events[1] = x.events[0][1:], x.events[1][1:]
		x.p.mu.Lock()
		x.p.summary.Events++
		x.p.mu.Unlock()
		if a.after != b.after {
			ra, rb := read(a.frame, 0), read(b.frame, 0)
			x.differ("", "order", fmt.Sprint("answers before the event ", ra.names()), fmt.Sprint(a.after), fmt.Sprint(b.after, " ", rb.names()))
		}
		x.pair("", "event", a, b)
	}
	for len(x.answers[0]) > 0 && len(x.answers[1]) > 0 {
		a, b := x.answers[0][0], x.answers[1][0]
		x.answers[0], x.answers[1] = x.answers[0][1:], x.answers[1][1:]
		x.pair(x.request, "reply", a, b)
	}
}

func (x *exchange) pair(request, where string, a, b message) {
	ra, rb := read(a.frame, x.op), read(b.frame, x.op)
	x.p.m.compare(&ra, &rb, func(field, a, b string) { x.differ(request, where, field, a, b) })
}
