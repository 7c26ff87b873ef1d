package state

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/watch"
	"ottla/coord/wire"
)

// dump is everything that has to survive: nodes, lists, sessions, meta.
func dump(s *State) string {
	var b strings.Builder
	s.View(func(m *fsm.Machine) {
		var walk func(n *tree.Node)
		walk = func(n *tree.Node) {
			var st wire.Stat
			n.Stat(&st)
			fmt.Fprintf(&b, "%s %#v %+v created %d container %v ttl %d %v\n", n.Path(), n.Data(), st, n.Created(), n.Container(), n.TTL(), m.Tree().ACL(n))
			for _, name := range slices.Sorted(maps.Keys(n.Children())) {
				walk(n.Children()[name])
			}
		}
		walk(m.Tree().Root())
		var sessions []string
		m.EachSession(func(x fsm.Session) {
			owned := m.Tree().Owned(x.ID)
			slices.Sort(owned)
			sessions = append(sessions, fmt.Sprintf("%+v owns %v\n", x, owned))
		})
		slices.Sort(sessions)
		fmt.Fprintf(&b, "%v\nnodes %d bytes %d meta %x\n", sessions, m.Tree().Len(), m.Tree().DataBytes(), m.Meta())
	})
	return b.String()
}

var lists = [][]wire.ACL{
	wire.OpenACL,
	{{Perms: 31, ID: wire.WorldAnyone}, {Perms: 1, ID: wire.ID{Scheme: "ip", ID: "1.2.3.4"}}},
	{{Perms: 31, ID: wire.WorldAnyone}, {Perms: 2, ID: wire.ID{Scheme: "ip", ID: "1.2.3.0/24"}}},
}

func drawPath(t *rapid.T) string {
	return rapid.SampledFrom([]string{"/a", "/b", "/a/c", "/a/d", "/a/c/e", "/b/f", "/b-", "/b-/x",
		"/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats"}).Draw(t, "path")
}

func drawOp(t *rapid.T) (wire.Op, []byte) {
	path := wire.AppendString(nil, drawPath(t))
	version := rapid.SampledFrom([]int32{-1, -1, -1, 0, 1}).Draw(t, "version")
	data := rapid.SampledFrom([][]byte{nil, {}, []byte("x"), []byte("longer data"), []byte("count=2,bytes=9=;byteHardLimit=8")}).Draw(t, "data")
	switch rapid.SampledFrom([]string{"create", "create", "create", "delete", "delete", "set", "check"}).Draw(t, "op") {
	case "create":
		op := rapid.SampledFrom([]wire.Op{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL}).Draw(t, "kind")
		list := rapid.SampledFrom(lists).Draw(t, "acl")
		if op == wire.OpCreateTTL {
			body := wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(path, data), list), rapid.Int32Range(5, 6).Draw(t, "flags"))
			return op, wire.AppendLong(body, rapid.Int64Range(1, 500).Draw(t, "ttl"))
		}
		return op, wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(path, data), list), rapid.Int32Range(0, 4).Draw(t, "flags"))
	case "delete":
		return wire.OpDelete, wire.AppendInt(path, version)
	case "set":
		return wire.OpSetData, wire.AppendInt(wire.AppendBuffer(path, data), version)
	default:
		return wire.OpCheck, wire.AppendInt(path, version)
	}
}

func drawRequest(t *rapid.T) (r fsm.Request) {
	r.Session = rapid.Int64Range(1, 3).Draw(t, "session")
	r.Attach = uint32(rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "attach"))
	r.Time = rapid.Int64Range(1000, 2000).Draw(t, "time")
	switch rapid.SampledFrom([]string{"op", "op", "op", "op", "multi", "multi", "setACL", "open", "close", "attach", "expire", "reap"}).Draw(t, "request") {
	case "multi":
		r.Op = wire.OpMulti
		for range rapid.IntRange(0, 5).Draw(t, "parts") {
			op, body := drawOp(t)
			r.Body = append(wire.AppendMultiHeader(r.Body, op, false, -1), body...)
		}
		r.Body = wire.AppendMultiHeader(r.Body, wire.OpError, true, -1)
	case "setACL":
		r.Op = wire.OpSetACL
		r.Body = wire.AppendInt(wire.AppendACLs(wire.AppendString(nil, drawPath(t)), rapid.SampledFrom(lists).Draw(t, "acl")), -1)
	case "open":
		r.Op = wire.OpCreateSession
		r.Session += rapid.Int64Range(0, 20).Draw(t, "id")
		r.Body = fsm.CreateSessionBody([16]byte{byte(r.Session)}, 1000)
	case "close":
		r.Op = wire.OpCloseSession
	case "attach":
		r.Op, r.Body = fsm.OpAttach, fsm.AttachBody([]byte{byte(r.Session), 15: 0}, 2000)
	case "expire":
		r.Op = fsm.OpExpire
	case "reap":
		r.Op, r.Body = fsm.OpReap, fsm.ReapBody(drawPath(t), rapid.Int64Range(0, 100).Draw(t, "unused"))
	default:
		r.Op, r.Body = drawOp(t)
	}
	return r
}

// history is a log, and states that must follow it.
type history struct {
	index, term uint64
	entries     [][]byte
	terms       []uint64
}

const rules = fsm.FlagExtendedTypes | fsm.FlagQuotas | fsm.FlagEnforceQuota

func (h *history) draw(t *rapid.T) []byte {
	var b fsm.Batch
	b.Reset(nil, rapid.SampledFrom([]uint8{rules, rules, rules, 0}).Draw(t, "rules"), 1, h.index)
	for range rapid.IntRange(1, 6).Draw(t, "requests") {
		r := drawRequest(t)
		b.Append(&r)
	}
	if rapid.IntRange(0, 9).Draw(t, "new term") == 0 {
		h.term++
	}
	h.index++
	e := b.Bytes()
	h.entries, h.terms = append(h.entries, e), append(h.terms, h.term)
	return e
}

func open(t *rapid.T, h *history) *State {
	s := New()
	var b fsm.Batch
	b.Reset(nil, 0, 1, 0)
	for id := range int64(3) {
		b.Append(&fsm.Request{Op: wire.OpCreateSession, Session: id + 1, Body: fsm.CreateSessionBody([16]byte{byte(id + 1)}, 1000)})
	}
	h.index, h.term = 1, 1
	h.entries, h.terms = [][]byte{b.Bytes()}, []uint64{1}
	if _, err := s.Apply(1, 1, h.entries[0]); err != nil {
		t.Fatal(err)
	}
	return s
}

// store is what a disk would hold: the records of all checkpoints, later ones over earlier ones.
type store map[string]map[string][]byte

func (d store) put(r Record) {
	if d[r.Bucket] == nil {
		d[r.Bucket] = map[string][]byte{}
	}
	if r.Value == nil {
		delete(d[r.Bucket], string(r.Key))
	} else {
		d[r.Bucket][string(r.Key)] = slices.Clone(r.Value)
	}
}

func (d store) records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, bucket := range Buckets {
			for _, key := range slices.Sorted(maps.Keys(d[bucket])) {
				if !yield(Record{bucket, []byte(key), d[bucket][key]}, nil) {
					return
				}
			}
		}
	}
}

// TestCheckpoints applies a random history, reads checkpoints out while it goes on, and restores each: it must be the state at its
// index, and with the rest of the log the state at the end.
func TestCheckpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		s := open(t, &h)
		disk := store{}
		var (
			ckpt *Checkpoint
			next func() (Record, bool)
			stop = func() {}
			want string
		)
		defer func() { stop() }()
		finish := func() {
			for r, ok := next(); ok; r, ok = next() {
				disk.put(r)
			}
			stop()
			restored := New()
			if err := restored.Restore(ckpt.Index, ckpt.Term, ckpt.Meta, disk.records()); err != nil {
				t.Fatal(err)
			}
			if got := dump(restored); got != want {
				t.Fatalf("checkpoint at %d restored as\n%s\nwant\n%s", ckpt.Index, got, want)
			}
			for i := ckpt.Index; i < h.index; i++ {
				if _, err := restored.Apply(i+1, h.terms[i], h.entries[i]); err != nil {
					t.Fatal(err)
				}
			}
			if got := dump(restored); got != dump(s) {
				t.Fatalf("replayed to\n%s\nwant\n%s", got, dump(s))
			}
			ckpt = nil
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"apply", "apply", "apply", "checkpoint", "read"}).Draw(t, "step") {
			case "apply":
				e := h.draw(t)
				if _, err := s.Apply(h.index, h.term, e); err != nil {
					t.Fatal(err)
				}
			case "checkpoint":
				if ckpt != nil {
					finish()
					continue
				}
				c, err := s.Checkpoint()
				if err != nil {
					t.Fatal(err)
				}
				ckpt, want = c, dump(s)
				ckpt.slice = rapid.IntRange(1, 3).Draw(t, "slice")
				next, stop = iter.Pull(c.Records())
			case "read":
				for range rapid.IntRange(1, 4).Draw(t, "records") {
					if ckpt == nil {
						break
					}
					if r, ok := next(); ok {
						disk.put(r)
					}
				}
			}
		}
		if ckpt != nil {
			finish()
		}
	})
}

// outcome is a sink that writes down everything it hears.
type outcome struct{ b strings.Builder }

func (o *outcome) Applied(_ *fsm.Machine, inc, seq uint64, r *fsm.Request, res *fsm.Result) {
	fmt.Fprintf(&o.b, "%d %d op %d: %x %v %x %+v %d %d", inc, seq, r.Op, res.Zxid, res.Code, res.Body, res.Session, res.Opened, res.Closed)
	for i := range res.Events {
		fmt.Fprintf(&o.b, " [%d %s %x %v]", res.Events[i].Type, res.Events[i].Path, res.Events[i].Zxid, res.Events[i].ACL)
	}
	o.b.WriteByte('\n')
}

func (o *outcome) Released() {}

// TestDeterminism: the same log gives the same state and the same answers.
func TestDeterminism(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		s := open(t, &h)
		first := &outcome{}
		s.SetSink(first)
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			e := h.draw(t)
			if _, err := s.Apply(h.index, h.term, e); err != nil {
				t.Fatal(err)
			}
		}
		again, second := New(), &outcome{}
		for i, e := range h.entries {
			if i == 1 {
				again.SetSink(second)
			}
			if _, err := again.Apply(uint64(i+1), h.terms[i], e); err != nil {
				t.Fatal(err)
			}
		}
		if first.b.String() != second.b.String() {
			t.Fatalf("answers differ:\n%s\n%s", first.b.String(), second.b.String())
		}
		if a, b := dump(s), dump(again); a != b {
			t.Fatalf("states differ:\n%s\n%s", a, b)
		}
	})
}

func TestApplyRefusesWhatItCannotKnow(t *testing.T) {
	s := New()
	for _, e := range [][]byte{{9}, {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if _, err := s.Apply(1, 1, e); !errors.Is(err, fsm.ErrEntry) {
			t.Errorf("%x: %v", e, err)
		}
	}
	if _, err := s.Apply(5, 2, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(4, 2, nil); err == nil {
		t.Error("an older entry was applied")
	}
	if _, err := s.Apply(6, 1, nil); err == nil {
		t.Error("an entry of an older term was applied")
	}
}

func TestCheckpointMustBeRead(t *testing.T) {
	s := New()
	c, err := s.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for range c.Records() {
		break
	}
	if _, err := s.Checkpoint(); !errors.Is(err, ErrAbandoned) {
		t.Errorf("after an abandoned checkpoint: %v", err)
	}
}

// Damage of any record is noticed.
func TestRestoreNoticesDamage(t *testing.T) {
	s := New()
	var b fsm.Batch
	b.Reset(nil, 0, 1, 0)
	b.Append(&fsm.Request{Op: wire.OpCreateSession, Session: 1, Body: fsm.CreateSessionBody([16]byte{}, 1000)})
	b.Append(&fsm.Request{Op: wire.OpCreate, Session: 1, Attach: 1, Body: wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(wire.AppendString(nil, "/e"), []byte("x")), lists[1]), 1)})
	if _, err := s.Apply(1, 1, b.Bytes()); err != nil {
		t.Fatal(err)
	}
	c, err := s.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	disk := store{}
	for r := range c.Records() {
		disk.put(r)
	}
	restore := func() error { return New().Restore(c.Index, c.Term, c.Meta, disk.records()) }
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	for bucket, records := range disk {
		for key, value := range records {
			for i := range value {
				value[i] ^= 0x40
				if restore() == nil {
					t.Errorf("%s %q: byte %d flipped, and nobody noticed", bucket, key, i)
				}
				value[i] ^= 0x40
			}
			delete(records, key)
			if restore() == nil {
				t.Errorf("%s %q is missing, and nobody noticed", bucket, key)
			}
			records[key] = value
		}
	}
	for i := range c.Meta {
		c.Meta[i] ^= 0x40
		if restore() == nil {
			t.Errorf("meta: byte %d flipped, and nobody noticed", i)
		}
		c.Meta[i] ^= 0x40
	}
}

// recorder is a watcher.
type recorder struct {
	order *[]string
}

func (r *recorder) WatchEvent(e *watch.Event) {
	*r.order = append(*r.order, fmt.Sprintf("event %d %s", e.Type, e.Path))
}

type orderSink struct{ order *[]string }

func (o orderSink) Applied(m *fsm.Machine, _, seq uint64, _ *fsm.Request, res *fsm.Result) {
	*o.order = append(*o.order, fmt.Sprintf("applied %d %v", seq, res.Code))
}

func (o orderSink) Released() { *o.order = append(*o.order, "released") }

// Events come before the outcome of their request, and wakings after.
func TestOrderOfNotices(t *testing.T) {
	var order []string
	s := New()
	s.SetSink(orderSink{&order})
	s.View(func(*fsm.Machine) { s.Watch(&recorder{&order}, watch.Data, []byte("/a"), watch.OneShot) })
	var b fsm.Batch
	b.Reset(nil, 0, 1, 7)
	b.Append(&fsm.Request{Op: wire.OpCreateSession, Session: 1, Body: fsm.CreateSessionBody([16]byte{}, 1000)})
	b.Append(&fsm.Request{Op: wire.OpCreate, Session: 1, Attach: 1, Body: wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(wire.AppendString(nil, "/a"), nil), wire.OpenACL), 0)})
	b.Append(&fsm.Request{Op: wire.OpDelete, Session: 1, Attach: 1, Body: wire.AppendInt(wire.AppendString(nil, "/a"), -1)})
	if n, err := s.Apply(1, 1, b.Bytes()); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	want := []string{"applied 7 OK", "event 1 /a", "applied 8 OK", "applied 9 OK", "released"}
	if !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
	if w, p, n, fired := s.WatchCounts(); w+p+n != 0 || fired[wire.EventNodeCreated] != 1 {
		t.Errorf("watches left: %d %d %d, fired %v", w, p, n, fired)
	}
}
