package watch

import (
	"fmt"
	"slices"
	"testing"

	"ottla/coord/wire"
)

// listener writes down what it hears.
type listener struct {
	name  string
	heard []string
}

var kinds = []string{"", "created", "deleted", "changed", "children"}

func (l *listener) WatchEvent(e *Event) {
	l.heard = append(l.heard, kinds[e.Type]+" "+string(e.Path))
}

func (l *listener) want(t *testing.T, what ...string) {
	t.Helper()
	if !slices.Equal(l.heard, what) {
		t.Errorf("%s heard %q, want %q", l.name, l.heard, what)
	}
	l.heard = nil
}

func fire(t *Tables, typ int32, path string) int {
	return t.Fire(&Event{Type: typ, Path: []byte(path), Zxid: 1})
}

func empty(t *testing.T, tables *Tables) {
	t.Helper()
	if w, p, n := tables.Counts(); w != 0 || p != 0 || n != 0 || tables.recursive != 0 {
		t.Errorf("left over: %d watchers, %d paths, %d registrations, %d recursive", w, p, n, tables.recursive)
	}
}

func TestOneShot(t *testing.T) {
	tables, a, b := New(), &listener{name: "a"}, &listener{name: "b"}
	p := []byte("/n")
	tables.Add(a, Data, p, OneShot)
	tables.Add(a, Data, p, OneShot)
	tables.Add(b, Data, p, OneShot)
	if n := fire(tables, wire.EventNodeDataChanged, "/n"); n != 2 {
		t.Errorf("%d told", n)
	}
	fire(tables, wire.EventNodeDataChanged, "/n")
	a.want(t, "changed /n")
	b.want(t, "changed /n")
	empty(t, tables)
}

func TestTablesAreSeparate(t *testing.T) {
	tables, a := New(), &listener{name: "a"}
	tables.Add(a, Child, []byte("/n"), OneShot)
	fire(tables, wire.EventNodeDataChanged, "/n")
	fire(tables, wire.EventNodeCreated, "/n")
	a.want(t)
	fire(tables, wire.EventNodeChildrenChanged, "/n")
	a.want(t, "children /n")
	tables.Add(a, Data, []byte("/n"), OneShot)
	fire(tables, wire.EventNodeChildrenChanged, "/n")
	a.want(t)
	fire(tables, wire.EventNodeCreated, "/n")
	a.want(t, "created /n")
	empty(t, tables)
}

// A deletion is told once to who watches data and children, and uses both watches up.
func TestDeleteIsToldOnce(t *testing.T) {
	tables, both, data, child := New(), &listener{name: "both"}, &listener{name: "data"}, &listener{name: "child"}
	p := []byte("/p/n")
	tables.Add(both, Data, p, OneShot)
	tables.Add(both, Child, p, OneShot)
	tables.Add(data, Data, p, OneShot)
	tables.Add(child, Child, p, OneShot)
	tables.Add(child, Child, []byte("/p"), OneShot)
	fire(tables, wire.EventNodeDeleted, "/p/n")
	fire(tables, wire.EventNodeChildrenChanged, "/p")
	both.want(t, "deleted /p/n")
	data.want(t, "deleted /p/n")
	child.want(t, "deleted /p/n", "children /p")
	empty(t, tables)
}

func TestPersistent(t *testing.T) {
	tables, a := New(), &listener{name: "a"}
	p := []byte("/n")
	tables.Add(a, Data, p, Persistent)
	tables.Add(a, Child, p, Persistent)
	tables.Add(a, Data, p, OneShot)
	for range 2 {
		fire(tables, wire.EventNodeCreated, "/n")
		fire(tables, wire.EventNodeCreated, "/n/k")
		fire(tables, wire.EventNodeChildrenChanged, "/n")
		fire(tables, wire.EventNodeDeleted, "/n")
		a.want(t, "created /n", "children /n", "deleted /n")
	}
	if m := tables.Modes(a, Data, p); m != Persistent {
		t.Errorf("modes %b left", m)
	}
	tables.RemoveAll(a)
	empty(t, tables)
}

func TestRecursive(t *testing.T) {
	tables, a, root := New(), &listener{name: "a"}, &listener{name: "root"}
	tables.Add(a, Data, []byte("/n"), Recursive)
	tables.Add(a, Data, []byte("/n/k"), Recursive)
	tables.Add(a, Data, []byte("/n/k"), OneShot)
	tables.Add(root, Data, []byte("/"), Recursive)
	fire(tables, wire.EventNodeCreated, "/n/k")
	fire(tables, wire.EventNodeChildrenChanged, "/n")
	fire(tables, wire.EventNodeDataChanged, "/n/k/deep")
	fire(tables, wire.EventNodeDeleted, "/n")
	fire(tables, wire.EventNodeDeleted, "/nothing")
	a.want(t, "created /n/k", "changed /n/k/deep", "deleted /n")
	root.want(t, "created /n/k", "changed /n/k/deep", "deleted /n", "deleted /nothing")
	fire(tables, wire.EventNodeDataChanged, "/")
	root.want(t, "changed /")
	tables.RemoveAll(a)
	tables.RemoveAll(root)
	empty(t, tables)
}

func TestRemove(t *testing.T) {
	tables, a := New(), &listener{name: "a"}
	p := []byte("/n")
	if tables.Remove(a, Data, p, OneShot) {
		t.Error("removed what was never there")
	}
	tables.Add(a, Data, p, OneShot)
	tables.Add(a, Data, p, Recursive)
	if tables.Remove(a, Data, p, Persistent) || tables.Remove(a, Child, p, OneShot) || tables.Remove(&listener{}, Data, p, OneShot) {
		t.Error("removed what is not there")
	}
	if !tables.Remove(a, Data, p, Recursive) {
		t.Error("not removed")
	}
	fire(tables, wire.EventNodeCreated, "/n/k")
	a.want(t)
	fire(tables, wire.EventNodeDataChanged, "/n")
	a.want(t, "changed /n")
	empty(t, tables)
}

// Many watchers of one path, and of many paths, leave nothing behind.
func TestMany(t *testing.T) {
	tables := New()
	var all []*listener
	for i := range 5 * fewMax {
		l := &listener{name: fmt.Sprint(i)}
		all = append(all, l)
		tables.Add(l, Data, []byte("/shared"), OneShot)
		tables.Add(l, Child, []byte("/shared"), Persistent)
		tables.Add(l, Data, fmt.Appendf(nil, "/own%d", i), Recursive)
	}
	if w, p, n := tables.Counts(); w != len(all) || p != len(all)+2 || n != 3*len(all) {
		t.Errorf("%d watchers, %d paths, %d registrations", w, p, n)
	}
	if n := fire(tables, wire.EventNodeDeleted, "/shared"); n != len(all) {
		t.Errorf("%d told", n)
	}
	for i, l := range all {
		l.want(t, "deleted /shared")
		if m := tables.Modes(l, Child, []byte("/shared")); m != Persistent {
			t.Errorf("modes %b", m)
		}
		if i%2 == 0 {
			tables.RemoveAll(l)
		}
	}
	if n := fire(tables, wire.EventNodeChildrenChanged, "/shared"); n != len(all)/2 {
		t.Errorf("%d told after half of them left", n)
	}
	for _, l := range all {
		tables.RemoveAll(l)
	}
	empty(t, tables)
}

func TestFireWithoutWatchersDoesNotAllocate(t *testing.T) {
	tables := New()
	tables.Add(&listener{}, Data, []byte("/elsewhere"), Persistent)
	e := &Event{Type: wire.EventNodeDataChanged, Path: []byte("/a/b/c")}
	if n := testing.AllocsPerRun(100, func() { tables.Fire(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFrameIsMadeOnce(t *testing.T) {
	e := &Event{Type: wire.EventNodeCreated, Path: []byte("/n"), Zxid: 9}
	if &e.Frame()[0] != &e.Frame()[0] {
		t.Error("made twice")
	}
}
