// Package stream checks what many clients see of one coordinator while it happens, in time that grows with the number of operations and
// memory that does not.
//
// # Order
//
// The zxid of each answer says when its operation happened: a write at its zxid, a read behind the last write. An operation that is sent
// after an answer of zxid z was received anywhere happens behind z, so that z is its bound; all answers up to the lowest bound of the
// operations under way are final, and go through coord/coordtest/model in their order.
//
// # What is wrong
//
//   - an answer that is not the model's (the times of stats apart, which only the server knows), or two writes of one zxid
//   - an event that the model does not predict for the connection, in that order, or one that is missing when an answer shows its write
//   - behind a crash: a tree that is not what the answered writes make, together with some of those under way (Resolve)
package stream

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"sync"

	"ottla/coord/coordtest/model"
)

// Pending is an operation without an answer.
type Pending struct {
	Client, Conn int
	Session      int64
	Op           model.Op
	bound        int64
}

// answer is one that is not final yet.
type answer struct {
	Pending
	zxid  int64
	heard int // events that its connection had heard before
	got   model.Result
	gone  bool // no answer: the connection is over
	seq   int  // keeps the order of answers that are otherwise alike
}

type answers []answer

func (a answers) Len() int { return len(a) }
func (a answers) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(a[i].zxid, a[j].zxid), cmp.Compare(a[i].rank(), a[j].rank()), cmp.Compare(a[i].seq, a[j].seq)) < 0
}
func (a answers) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *answers) Push(x any)   { *a = append(*a, x.(answer)) }
func (a *answers) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (a answer) rank() int {
	switch {
	case a.gone:
		return 2
	case a.Op.Kind.Writes():
		return 0
	}
	return 1
}

// ear is what a connection heard and should hear; pairs that agree are dropped.
type ear struct {
	heard, expected []model.Event
	heardAll        int // ever
	expectedAll     int
	over            bool
}

// flushEvery is how many answers are taken in between two looks at what is final.
const flushEvery = 64

// violationsMax is how many violations are kept.
const violationsMax = 20

// Checker is safe for concurrent use by many clients, each with at most one operation under way.
type Checker struct {
	mu         sync.Mutex
	world      *model.World
	last       int64 // zxid of the last write in the world
	seen       int64 // highest zxid received
	waiting    answers
	seq        int
	underWay   map[int]Pending // by client
	ears       map[int]*ear    // by connection
	apart      map[string]bool // folders whose ephemeral nodes may go at any time
	violations []string
	checked    int64
}

// New begins with the tree that is there.
func New(world *model.World, zxid int64) *Checker {
	return &Checker{world: world, last: zxid, seen: zxid, underWay: map[int]Pending{}, ears: map[int]*ear{}, apart: map[string]bool{}}
}

func (c *Checker) wrongLocked(format string, args ...any) {
	if len(c.violations) < violationsMax {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}

// Violations lists what was wrong, the first ones.
func (c *Checker) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.violations
}

// Checked is how many answers went through the model.
func (c *Checker) Checked() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checked
}

// Begin notes an operation that is about to be sent.
func (c *Checker) Begin(client, conn int, session int64, op model.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underWay[client] = Pending{client, conn, session, op, c.seen}
}

func (c *Checker) earLocked(conn int) *ear {
	e := c.ears[conn]
	if e == nil {
		e = &ear{}
		c.ears[conn] = e
	}
	return e
}

// Event notes an event that a connection received.
func (c *Checker) Event(e model.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ear := c.earLocked(e.Conn)
	ear.heard = append(ear.heard, e)
	ear.heardAll++
	c.matchLocked(e.Conn, ear)
}

// matchLocked drops what was heard as expected.
func (c *Checker) matchLocked(conn int, e *ear) {
	n := min(len(e.heard), len(e.expected))
	for i := range n {
		if e.heard[i] != e.expected[i] {
			c.wrongLocked("connection %d heard %v at %#x, and should have heard %v at %#x", conn, e.heard[i], e.heard[i].Zxid, e.expected[i], e.expected[i].Zxid)
		}
	}
	e.heard, e.expected = append(e.heard[:0], e.heard[n:]...), append(e.expected[:0], e.expected[n:]...)
}

// Answer notes the answer to the operation that a client has under way.
func (c *Checker) Answer(client int, zxid int64, got model.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.underWay[client]
	delete(c.underWay, client)
	c.seen = max(c.seen, zxid)
	c.pushLocked(answer{Pending: p, zxid: zxid, heard: c.earLocked(p.Conn).heardAll, got: got})
}

// Gone notes that a connection without an operation under way is over.
func (c *Checker) Gone(conn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earLocked(conn).over = true
	c.pushLocked(answer{Pending: Pending{Conn: conn}, zxid: c.seen, gone: true})
}

func (c *Checker) pushLocked(a answer) {
	c.seq++
	a.seq = c.seq
	heap.Push(&c.waiting, a)
	if c.seq%flushEvery == 0 {
		c.flushLocked()
	}
}

// flushLocked puts all answers that are final through the model.
func (c *Checker) flushLocked() {
	bound := int64(math.MaxInt64)
	for _, p := range c.underWay {
		bound = min(bound, p.bound)
	}
	for len(c.waiting) > 0 && c.waiting[0].zxid <= bound {
		c.finalLocked(heap.Pop(&c.waiting).(answer))
	}
}

func (c *Checker) finalLocked(a answer) {
	if a.gone {
		c.world.Drop(a.Conn)
		delete(c.ears, a.Conn)
		return
	}
	c.checked++
	var want model.Result
	if a.Op.Kind.Writes() {
		if a.zxid <= c.last {
			c.wrongLocked("client %d: %v is a write of zxid %#x, and one of %#x was before it", a.Client, a.Op, a.zxid, c.last)
		}
		c.last = a.zxid
		var events []model.Event
		want, events = c.world.Write(a.zxid, 0, a.Session, a.Op)
		for _, e := range events {
			ear := c.earLocked(e.Conn)
			ear.expected = append(ear.expected, e)
			ear.expectedAll++
			c.matchLocked(e.Conn, ear)
		}
	} else {
		if c.apart[a.Op.Path] || c.apart[model.Parent(a.Op.Path)] {
			return
		}
		want = c.world.Read(a.Conn, a.Op)
	}
	if got, want := timeless(a.got).String(), timeless(want).String(); got != want {
		c.wrongLocked("client %d: %v at %#x was answered\n\t%s, and should be\n\t%s", a.Client, a.Op, a.zxid, got, want)
	}
	if ear := c.ears[a.Conn]; ear != nil && a.heard < ear.expectedAll {
		c.wrongLocked("client %d: the answer to %v shows %#x, with only %d of %d events heard before", a.Client, a.Op, a.zxid, a.heard, ear.expectedAll)
	}
}

// timeless is a result without the server's clock.
func timeless(r model.Result) model.Result {
	if r.Stat != nil {
		s := *r.Stat
		s.Ctime, s.Mtime = 0, 0
		r.Stat = &s
	}
	if r.Results != nil {
		rs := make([]model.Result, len(r.Results))
		for i := range rs {
			rs[i] = timeless(r.Results[i])
		}
		r.Results = rs
	}
	return r
}

// Apart says that the ephemeral nodes of a folder may go at any time, since their session has fallen silent. What is read there is not
// compared until Expired. It returns what is there, and the zxid behind which they go.
func (c *Checker) Apart(folder string) (paths []string, zxid int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart[folder] = true
	for _, name := range c.world.Read(0, model.Op{Kind: model.Children, Path: folder}).Children {
		paths = append(paths, folder+"/"+name)
	}
	return paths, c.seen
}

// IsApart says whether a folder is so.
func (c *Checker) IsApart(folder string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apart[folder]
}

// Expired says that all that was in such a folder has gone, and what the folder's own statistics are.
func (c *Checker) Expired(folder string, paths []string, is model.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.apart, folder)
	for _, path := range paths {
		c.world.Forget(path)
	}
	c.world.Adopt(folder, is)
}
