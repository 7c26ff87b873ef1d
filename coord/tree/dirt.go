package tree

import (
	"slices"
	"strings"
)

// dirt remembers what changed since the last capture.
type dirt struct {
	gen     uint32              // the running generation, from 1
	list    []*Node             // nodes changed in it, some of them dead by now
	dead    int                 // about how many
	gone    map[string]struct{} // paths deleted in it that an earlier capture has a record of
	capture *Capture
}

func newDirt() dirt { return dirt{gen: 1, gone: map[string]struct{}{}} }

// touch is called before a node changes.
func (d *dirt) touch(n *Node) {
	if n.dirty == d.gen {
		return
	}
	if n.dirty != 0 && d.capture != nil {
		d.capture.save(n)
	}
	n.dirty = d.gen
	d.list = append(d.list, n)
}

// add is called for a new node once it is linked.
func (d *dirt) add(n *Node) {
	n.dirty = d.gen
	d.list = append(d.list, n)
	if len(d.gone) == 0 {
		return
	}
	if path := n.Path(); d.isGone(path) {
		delete(d.gone, path)
		n.flags |= flagStored
	}
}

func (d *dirt) isGone(path string) bool {
	_, ok := d.gone[path]
	return ok
}

// remove is called for a node that is gone; touch was called before.
func (d *dirt) remove(n *Node) {
	n.flags |= flagDead
	if n.flags&flagStored != 0 {
		d.gone[n.Path()] = struct{}{}
	}
}

// bury forgets dead nodes once they are half of the list: a server whose clients make and delete nodes all day would keep them all until
// the next capture. It is called when the death of a node is final.
func (d *dirt) bury() {
	if d.dead++; d.dead < 1024 || d.dead < len(d.list)/2 {
		return
	}
	d.list = slices.DeleteFunc(d.list, func(n *Node) bool { return n.flags&flagDead != 0 })
	d.dead = 0
}

// restore is remove taken back.
func (d *dirt) restore(n *Node) {
	n.flags &^= flagDead
	if n.flags&flagStored != 0 {
		delete(d.gone, n.Path())
	}
}

// Capture is the changes of one generation, read out while the tree changes on. BeginCapture and EndCapture need the writer's
// lock, Next a reader's; Prepare needs none.
type Capture struct {
	tree  *Tree
	items []captured
	saved map[*Node][]byte // records of nodes that changed before their turn
}

type captured struct {
	path string
	node *Node // nil: deleted
}

// BeginCapture closes the running generation. The capture before it must have ended.
func (t *Tree) BeginCapture() *Capture {
	d := &t.dirt
	if d.capture != nil {
		panic("tree: a capture is running")
	}
	c := &Capture{tree: t, saved: map[*Node][]byte{}, items: make([]captured, 0, len(d.list)+len(d.gone))}
	for _, n := range d.list {
		c.items = append(c.items, captured{node: n})
	}
	for path := range d.gone {
		c.items = append(c.items, captured{path: path})
	}
	d.list, d.dead, d.gone, d.capture = nil, 0, map[string]struct{}{}, c
	d.gen++
	return c
}

// EndCapture ends the capture, all of whose records were read.
func (t *Tree) EndCapture(c *Capture) {
	if t.dirt.capture == c {
		t.dirt.capture = nil
	}
}

// save keeps the record of a node that is about to change.
func (c *Capture) save(n *Node) {
	c.saved[n] = appendNode(nil, n.Path(), n)
	n.flags |= flagStored
}

// Prepare computes the paths and puts them in order.
func (c *Capture) Prepare() {
	for i := range c.items {
		if n := c.items[i].node; n != nil {
			c.items[i].path = n.Path()
		}
	}
	slices.SortFunc(c.items, func(a, b captured) int { return strings.Compare(a.path, b.path) })
}

// Next yields records in the order of their paths, nil for a deleted path, until yield returns false, and says whether there may be more. A
// path comes once. A record is valid until yield returns.
func (c *Capture) Next(yield func(path string, record []byte) bool) bool {
	var buf []byte
	for more := true; more && len(c.items) > 0; {
		it := c.items[0]
		c.items = c.items[1:]
		n := it.node
		if n == nil {
			more = yield(it.path, nil)
			continue
		}
		if r, ok := c.saved[n]; ok {
			delete(c.saved, n)
			more = yield(it.path, r)
			continue
		}
		if n.flags&flagDead != 0 {
			continue // it died in the captured generation; if a record of it was ever stored, its path is among the deleted
		}
		n.dirty = 0
		n.flags |= flagStored
		buf = appendNode(buf[:0], it.path, n)
		more = yield(it.path, buf)
	}
	return len(c.items) > 0
}
