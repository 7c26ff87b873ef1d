package stream

import (
	"fmt"
	"strings"
	"testing"

	"ottla/coord/coordtest/model"
)

// server is the model in the place of a server, for two clients, whose answers and events a test can spoil.
type server struct {
	t     *testing.T
	check *Checker
	world *model.World
	zxid  int64
}

func newServer(t *testing.T) *server {
	start := func() *model.World {
		w := model.New()
		w.Write(1, 0, 0, model.Op{Kind: model.Create, Path: "/h"})
		return w
	}
	return &server{t, New(start(), 1), start(), 1}
}

// do lets a client do an operation; spoil may change what comes of it. Connections have the numbers of their clients.
func (s *server) do(client int, op model.Op, spoil func(r *model.Result, events *[]model.Event)) {
	s.check.Begin(client, client, int64(client), op)
	var r model.Result
	var events []model.Event
	if op.Kind.Writes() {
		s.zxid++
		r, events = s.world.Write(s.zxid, 0, int64(client), op)
	} else {
		r = s.world.Read(client, op)
	}
	if spoil != nil {
		spoil(&r, &events)
	}
	for _, e := range events {
		s.check.Event(e)
	}
	s.check.Answer(client, s.zxid, r)
}

// crash loses the operations under way, or not: tree is what survives.
func (s *server) crash(survives *model.World) {
	tree := map[string]model.Result{}
	for _, path := range survives.Paths() {
		if strings.HasPrefix(path, "/h") {
			tree[path] = survives.Look(path)
		}
	}
	s.check.Resolve("/h", tree)
}

func create(name, data string) model.Op {
	return model.Op{Kind: model.Create, Path: "/h/" + name, Data: data}
}

func set(name, data string) model.Op {
	return model.Op{Kind: model.Set, Path: "/h/" + name, Data: data, Version: -1}
}

func get(name string, watch bool) model.Op {
	return model.Op{Kind: model.Get, Path: "/h/" + name, Watch: watch}
}

func TestChecker(t *testing.T) {
	for _, tc := range []struct {
		name  string
		wrong string // what the violation says; "": none
		story func(s *server)
	}{
		{"nothing wrong", "", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.do(2, get("a", true), nil)
			s.do(1, set("a", "2"), nil)
			s.do(2, get("a", false), nil)
			s.check.Begin(1, 1, 1, set("a", "3"))
			s.check.Begin(2, 2, 2, create("b", "4"))
			s.world.Write(s.zxid+1, 0, 2, create("b", "4"))
			s.crash(s.world)
			s.do(1, get("b", false), nil)
		}},
		{"an answer of an old state", "was answered", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.do(1, set("a", "2"), nil)
			s.do(2, get("a", false), func(r *model.Result, _ *[]model.Event) { r.Data = "1" })
		}},
		{"two writes of one zxid", "is a write of zxid", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.zxid--
			s.do(2, create("b", "1"), nil)
		}},
		{"a lost event", "events heard before", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.do(2, get("a", true), nil)
			s.do(1, set("a", "2"), func(_ *model.Result, es *[]model.Event) { *es = nil })
			s.do(2, get("a", false), nil)
		}},
		{"a doubled event", "should have heard", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.do(2, get("a", true), nil)
			s.do(1, set("a", "2"), func(_ *model.Result, es *[]model.Event) { *es = append(*es, *es...) })
			s.do(2, get("a", true), nil)
			s.do(1, set("a", "3"), nil)
		}},
		{"an event that nothing caused", "is not there any more", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.do(2, get("a", true), nil)
			s.check.Event(model.Event{Conn: 2, Type: model.DataChanged, Path: "/h/a", Zxid: s.zxid + 1})
			s.crash(s.world)
		}},
		{"an acknowledged write lost in a crash", "and should be", func(s *server) {
			s.do(1, create("a", "1"), nil)
			before := s.world.Clone()
			s.do(1, set("a", "2"), nil)
			s.crash(before)
		}},
		{"an acknowledged node lost in a crash", "/h/a is lost", func(s *server) {
			before := s.world.Clone()
			s.do(1, create("a", "1"), nil)
			s.check.Begin(2, 2, 2, create("b", "2")) // so that the folder may have changed
			s.crash(before)
		}},
		{"a write under way that was done twice", "no outcome of", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.check.Begin(1, 1, 1, set("a", "2"))
			s.world.Write(s.zxid+1, 0, 1, set("a", "2"))
			s.world.Write(s.zxid+2, 0, 1, set("a", "2"))
			s.crash(s.world)
		}},
		{"a node that nobody made", "should not be", func(s *server) {
			s.do(1, create("a", "1"), nil)
			s.world.Write(s.zxid+1, 0, 1, create("b", "2"))
			s.crash(s.world)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			tc.story(s)
			for i := range 2 * flushEvery { // what is final is looked at now and then
				s.do(3, model.Op{Kind: model.Sync, Path: fmt.Sprint("/h/", i)}, nil)
			}
			got := strings.Join(s.check.Violations(), "\n")
			if (tc.wrong == "") != (got == "") || !strings.Contains(got, tc.wrong) {
				t.Errorf("found %q, want %q", got, tc.wrong)
			}
		})
	}
}
