package sim

import (
	"cmp"
	"slices"

	"ottla/coord/coordtest/model"
	"ottla/coord/coordtest/speak"
	"ottla/coord/wire"
)

// header is a decoded head of an answer or event.
type header struct {
	xid  int32
	zxid int64
	code int32
	body []byte
}

func head(frame []byte) header {
	d := wire.NewDecoder(frame)
	h := header{xid: d.Int(), zxid: d.Long(), code: d.Int()}
	h.body = d.Rest()
	return h
}

// inbox is what one client received in one step, oldest first.
type inbox struct {
	c      *client
	frames [][]byte
}

// collect takes in what all clients received since the last time, in the order of the zxids, and checks it.
func (r *run) collect() {
	var boxes []*inbox
	for _, c := range r.all {
		frames := c.take()
		boxes = append(boxes, &inbox{c, frames})
	}
	for {
		// What is not an answer needs no turn.
		for _, b := range boxes {
			for len(b.frames) > 0 && !b.answer() {
				r.collectFrame(b.c, b.frames[0])
				b.frames = b.frames[1:]
			}
		}
		boxes = slices.DeleteFunc(boxes, func(b *inbox) bool { return len(b.frames) == 0 })
		if len(boxes) == 0 {
			break
		}
		next := slices.MinFunc(boxes, func(a, b *inbox) int { return a.compare(b) })
		r.collectFrame(next.c, next.frames[0])
		next.frames = next.frames[1:]
	}
	for _, c := range r.all {
		if c.connected() && c.isGone() {
			if r.srv != nil && !r.srv.failed() && !r.disk.Off() {
				r.fail("client %d was disconnected", c.n)
			}
			r.log("client %d is disconnected", c.n)
			r.lost(c)
		}
	}
	if r.srv == nil || !r.srv.failed() && !r.disk.Off() {
		r.compareEvents()
	}
}

// answer says whether the next frame answers a request.
func (b *inbox) answer() bool {
	return b.c.session != 0 && b.c.attached && head(b.frames[0]).xid > 0
}

// compare orders answers by their zxid, a write before the reads behind it.
func (b *inbox) compare(o *inbox) int {
	x, y := head(b.frames[0]), head(o.frames[0])
	return cmp.Or(cmp.Compare(x.zxid, y.zxid), cmp.Compare(b.reads(), o.reads()), cmp.Compare(b.c.n, o.c.n))
}

func (b *inbox) reads() int {
	if len(b.c.outstanding) > 0 && b.c.outstanding[0].op.Kind.Writes() {
		return 0
	}
	return 1
}

// collectFrame takes in one frame.
func (r *run) collectFrame(c *client, frame []byte) {
	if !c.attached {
		r.connected(c, frame)
		return
	}
	h := head(frame)
	switch h.xid {
	case -1:
		d := wire.NewDecoder(h.body)
		e := model.Event{Conn: c.conn, Type: d.Int(), Zxid: h.zxid}
		d.Int()
		e.Path = string(d.String())
		r.log("client %d hears: %v at %#x", c.n, e, e.Zxid)
		r.heard[c.conn] = append(r.heard[c.conn], e)
		return
	case -2:
		r.log("client %d: ping answered at %#x", c.n, h.zxid)
		r.note(c, h)
		return
	}
	r.note(c, h)
	if len(c.outstanding) == 0 || c.outstanding[0].xid != h.xid {
		r.fail("client %d: answer %d, while %v are outstanding", c.n, h.xid, c.outstanding)
	}
	p := c.outstanding[0]
	c.outstanding = c.outstanding[1:]
	got, err := speak.Decode(p.op, h.code, h.body)
	if err != nil {
		r.fail("client %d: the answer to %v: %v", c.n, p.op, err)
	}
	r.log("client %d: %v -> %v at %#x", c.n, p.op, got, h.zxid)
	r.answered(c, p, h.zxid, got)
}

// note remembers the zxid that a client has seen, which never goes back.
func (r *run) note(c *client, h header) {
	if h.zxid < c.zxid {
		r.fail("client %d has seen %#x, and now %#x", c.n, c.zxid, h.zxid)
	}
	c.zxid = h.zxid
}

// connected takes in the answer to a connect request.
func (r *run) connected(c *client, frame []byte) {
	d := wire.NewDecoder(frame)
	d.Int()
	timeout, session, pw := d.Int(), d.Long(), slices.Clone(d.Buffer())
	if d.Err() != nil {
		r.fail("client %d: connect response: %v", c.n, d.Err())
	}
	if r.unclear[c.session] {
		r.dead[c.session] = timeout <= 0
		delete(r.unclear, c.session)
	}
	switch {
	case timeout > 0 && c.session == 0:
		c.session, c.pw, c.attached = session, pw, true
	case timeout > 0:
		if session != c.session || r.dead[session] {
			r.fail("client %d attached to %#x, and got %#x (over: %v)", c.n, c.session, session, r.dead[session])
		}
		c.attached = true
	default:
		if !r.dead[c.session] {
			r.fail("client %d: its session %#x is said to be over", c.n, c.session)
		}
		c.session, c.pw = 0, nil
	}
	r.log("client %d has session %#x", c.n, c.session)
	if !c.attached { // once more, with a new session
		c.hangUp()
		r.away = append(r.away, c)
	}
}

// answered compares an answer with the model's, and keeps it for the history.
func (r *run) answered(c *client, p pending, zxid int64, got model.Result) {
	var want model.Result
	if p.op.Kind.Writes() {
		if zxid <= r.zxid {
			r.fail("client %d: %v is a write of zxid %#x, and one of %#x was before it", c.n, p.op, zxid, r.zxid)
		}
		r.zxid = zxid
		var events []model.Event
		want, events = r.world.Write(zxid, p.sent, p.session, p.op)
		r.predict(want, events)
	} else {
		want = r.world.Read(c.conn, p.op)
	}
	if got.String() != want.String() {
		r.fail("client %d: %v at %#x was answered\n\t%v, and should be\n\t%v", c.n, p.op, zxid, got, want)
	}
	// What an answer shows has been told before it.
	for i, e := range r.expected[c.conn] {
		if e.Zxid <= zxid && i >= len(r.heard[c.conn]) {
			r.fail("client %d: the answer to %v shows %#x, whose event has not come: %v", c.n, p.op, zxid, e)
		}
	}
	r.history.answered(c.n, p, r.step, got)
	if p.op.Kind == model.CloseSession {
		r.dead[p.session] = true
		r.lost(c)
		r.world.Drop(c.conn)
		c.session, c.pw = 0, nil
		r.away = append(r.away, c)
	}
}

// predict notes the events of a write.
func (r *run) predict(_ model.Result, events []model.Event) {
	for _, e := range events {
		r.expected[e.Conn] = append(r.expected[e.Conn], e)
	}
}

// lost notes that a connection is over. Its watches are kept: what it heard last may have to be explained.
func (r *run) lost(c *client) {
	r.compareConn(c.conn, true)
	p := c.outstanding
	c.hangUp()
	c.outstanding = p // their outcome is unknown
}

// compareEvents wants all connections to have heard of exactly what the model says.
func (r *run) compareEvents() {
	for _, c := range r.all {
		if c.connected() {
			r.compareConn(c.conn, false)
		}
	}
}

func (r *run) compareConn(conn int, cutOff bool) {
	heard, expected := r.heard[conn], r.expected[conn]
	for i, e := range expected {
		if i >= len(heard) {
			if cutOff {
				return
			}
			r.fail("connection %d has not heard of %v at %#x", conn, e, e.Zxid)
		}
		if heard[i] != e {
			r.fail("connection %d heard %v at %#x, and should have heard %v at %#x", conn, heard[i], heard[i].Zxid, e, e.Zxid)
		}
	}
	if len(heard) > len(expected) && !cutOff {
		r.fail("connection %d heard %v, of which the model knows nothing", conn, heard[len(expected):])
	}
}
