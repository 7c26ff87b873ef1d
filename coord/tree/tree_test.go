package tree

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"ottla/coord/wire"
)

func TestLookup(t *testing.T) {
	tr := New()
	a, _ := tr.Create(tr.Root(), "a", nil, wire.OpenACL, 0, 1, 1)
	b, _ := tr.Create(a, "b", nil, wire.OpenACL, 0, 2, 1)
	for path, want := range map[string]*Node{
		"": tr.Root(), "/": tr.Root(), "/a": a, "/a/b": b, "/a/": nil, "/a//b": nil, "a": nil, "a/b": nil, "//a": nil, "//": nil, "/b": nil, "/a/b/c": nil,
		"/a/b/": nil, "/zookeeper/config/": nil,
	} {
		if got := tr.Lookup([]byte(path)); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
	if got := b.Path(); got != "/a/b" {
		t.Errorf("path %q", got)
	}
	p := []byte("/a/b")
	if n := testing.AllocsPerRun(100, func() { tr.Lookup(p) }); n != 0 {
		t.Errorf("a look-up costs %v allocations", n)
	}
}

func TestValidPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b": true, "/...": true, "/.a": true, "/a b": true, "/é": true, "/\uf900": true, "/\uffef": true, "/\u00a0": true,
		"": false, "a": false, "/a/": false, "//": false, "/a//b": false, "/.": false, "/..": false, "/a/./b": false, "/a/../b": false,
		"/\x00": false, "/\x1f": false, "/\x7f": false, "/\u009f": false, "/\ue000": false, "/\uf8ff": false, "/\ufff0": false, "/\uffff": false,
		"/\U00010000": false, "/\xff": false, "/\xed\xa0\x80": false, "/\ufffd": false,
	} {
		if got := ValidPath(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// The counter of creations stops at its end, and what clients see of it overflows.
func TestCreatedStops(t *testing.T) {
	tr := New()
	p, _ := tr.Create(tr.Root(), "p", nil, wire.OpenACL, 0, 1, 1)
	p.created = math.MaxInt32 - 1
	for i, want := range []int32{math.MaxInt32, math.MaxInt32} {
		_, u := tr.Create(p, fmt.Sprint(i), nil, wire.OpenACL, 0, 2, 1)
		if p.Created() != want {
			t.Errorf("created %d", p.Created())
		}
		if i == 1 {
			tr.Revert(u)
		}
	}
	var s wire.Stat
	if p.Stat(&s); s.Cversion != -2-1 || p.Created() != math.MaxInt32 {
		t.Errorf("cversion %d, created %d", s.Cversion, p.Created())
	}
}

func TestVersionsWrap(t *testing.T) {
	tr := New()
	n, _ := tr.Create(tr.Root(), "n", nil, wire.OpenACL, 0, 1, 1)
	n.version = math.MaxInt32
	tr.SetData(n, nil, 2, 2)
	if n.Version() != math.MinInt32 {
		t.Errorf("version %d", n.Version())
	}
}

func TestOwners(t *testing.T) {
	for owner, want := range map[int64]struct {
		ephemeral int64
		container bool
		ttl       int64
	}{
		0:                       {},
		0x0100000000000001:      {ephemeral: 0x0100000000000001},
		ContainerOwner:          {container: true},
		TTLOwner(1):             {ttl: 1},
		TTLOwner(TTLMax):        {ttl: TTLMax},
		-0x0200000000000000 + 5: {ephemeral: -0x0200000000000000 + 5}, // server id 254
	} {
		n := &Node{owner: owner}
		if n.EphemeralOwner() != want.ephemeral || n.Container() != want.container || n.TTL() != want.ttl {
			t.Errorf("%x: ephemeral %x, container %v, ttl %d", owner, n.EphemeralOwner(), n.Container(), n.TTL())
		}
	}
}

// Lists that nobody refers to are forgotten, whatever becomes of the change that brought or took them.
func TestACLTable(t *testing.T) {
	tr := New()
	before := tr.ACLs()
	list := []wire.ACL{{Perms: 1, ID: wire.WorldAnyone}, {Perms: 2, ID: wire.ID{Scheme: "ip", ID: "1.2.3.4"}}}
	n, u := tr.Create(tr.Root(), "n", nil, list, 0, 1, 1)
	if tr.ACLs() != before+1 || len(tr.ACL(n)) != 2 {
		t.Fatalf("%d lists, %v", tr.ACLs(), tr.ACL(n))
	}
	tr.Revert(u)
	if tr.ACLs() != before {
		t.Errorf("%d lists after a create was reverted", tr.ACLs())
	}
	n, _ = tr.Create(tr.Root(), "n", nil, list, 0, 1, 1)
	u = tr.Delete(n, 2)
	tr.Revert(u)
	if len(tr.ACL(n)) != 2 {
		t.Errorf("list after a delete was reverted: %v", tr.ACL(n))
	}
	tr.Settle(tr.Delete(n, 3))
	if tr.ACLs() != before {
		t.Errorf("%d lists after the delete", tr.ACLs())
	}
	n, _ = tr.Create(tr.Root(), "n", nil, list, 0, 1, 1)
	tr.SetACL(n, list)
	tr.SetACL(n, wire.OpenACL)
	if tr.ACLs() != before {
		t.Errorf("%d lists after setACL", tr.ACLs())
	}
}

// Nodes that come and go between two captures do not pile up.
func TestChurnIsForgotten(t *testing.T) {
	tr := New()
	for i := range 10000 {
		n, _ := tr.Create(tr.Root(), "n", []byte("x"), wire.OpenACL, 0, int64(i), 1)
		tr.Settle(tr.Delete(n, int64(i)))
	}
	if n := len(tr.dirt.list); n > 2100 {
		t.Errorf("%d nodes are remembered", n)
	}
	if len(tr.dirt.gone) != 0 {
		t.Errorf("%d deletions of nodes that were never stored are remembered", len(tr.dirt.gone))
	}
}

// TestMemory: what a znode costs decides how many fit. coord-design measured 307 B for names and data like these.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("fills 60 MB")
	}
	const parents, each = 100, 2000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tr := New()
	app, _ := tr.Create(tr.Root(), "app", nil, wire.OpenACL, 0, 1, 1)
	for i := range parents {
		p, _ := tr.Create(app, fmt.Sprintf("svc-%05d", i), nil, wire.OpenACL, 0, 1, 1)
		for j := range each {
			tr.Create(p, fmt.Sprintf("node-%010d", j), make([]byte, 100), wire.OpenACL, 0, 1, 1)
		}
	}
	c := tr.BeginCapture() // the list of what changed is not what a znode costs at rest
	for c.Next(func(string, []byte) bool { return true }) {
	}
	tr.EndCapture(c)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := (after.HeapAlloc - before.HeapAlloc) / (parents * each); per > 330 {
		t.Errorf("%d B per znode", per)
	} else {
		t.Logf("%d B per znode", per)
	}
	runtime.KeepAlive(tr)
}

func FuzzLoad(f *testing.F) {
	tr := New()
	f.Add("/n", appendNode(nil, "/n", &Node{data: []byte("x")}))
	f.Add("/", appendNode(nil, "/", tr.root))
	f.Fuzz(func(t *testing.T, path string, record []byte) {
		for _, sealed := range [][]byte{record, append(record[:len(record):len(record)], 0, 0, 0, 0)} {
			tr := Empty()
			if err := tr.Load("/", appendNode(nil, "/", &Node{})); err != nil {
				t.Fatal(err)
			}
			if len(sealed) >= 4 { // with a good checksum, so that what is behind it is tried too
				body := sealed[:len(sealed)-4]
				sum := checksum(path, body)
				sealed = append(body[:len(body):len(body)], byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
			}
			if tr.Load(path, sealed) == nil && tr.Lookup([]byte(path)) == nil {
				t.Fatalf("%q was loaded and cannot be found", path)
			}
			_ = tr.LoadACL([]byte(path), sealed)
		}
	})
}
