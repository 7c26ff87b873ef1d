package sim

import (
	"errors"
	"slices"

	"ottla/coord/coordtest/model"
	"ottla/coord/coordtest/speak"
)

// recover starts the server on what is left of the disk, reads everything, settles what became of the requests that were under way,
// and lets the clients come back. False: the next crash was sooner.
func (r *run) recover() bool {
	r.step++
	srv, started := boot(r.disk)
	srv.drain(r.rng.IntN, r.disposal, func() bool { return false })
	if err := <-started; err != nil {
		r.log("start: %v", err)
		if !r.disk.Off() && !errors.Is(err, errDisk) {
			r.fail("does not start: %v", err)
		}
		return false
	}
	r.srv = srv
	tree, ok := r.readAll()
	if !ok {
		return false
	}
	r.resolve(tree)
	r.away = slices.Clone(r.all)
	for {
		if !r.settle() {
			return false
		}
		if len(r.away) == 0 && !slices.ContainsFunc(r.all, func(c *client) bool { return !c.attached }) {
			return true
		}
	}
}

// readAll reads all nodes, with a session of its own.
func (r *run) readAll() (tree map[string]model.Result, ok bool) {
	c := r.audit
	defer c.hangUp()
	c.session, c.pw, c.zxid = 0, nil, 0
	r.conns++
	c.dial(r.srv.listener, r.conns)
	ask := func(op model.Op) (model.Result, bool) {
		if c.attached {
			c.send(op, 0, r.step)
		}
		r.srv.drain(r.rng.IntN, r.disposal, func() bool { return false })
		for _, f := range c.take() {
			if !c.attached {
				r.connected(c, f)
				return model.Result{}, true
			}
			c.zxid = head(f).zxid
			res, err := speak.Decode(op, head(f).code, head(f).body)
			if err != nil {
				r.fail("reading %v: %v", op, err)
			}
			return res, true
		}
		return model.Result{}, false
	}
	if _, ok := ask(model.Op{}); !ok {
		return nil, false
	}
	tree = map[string]model.Result{}
	for todo := []string{top}; len(todo) > 0; todo = todo[1:] {
		got, ok := ask(model.Op{Kind: model.Get, Path: todo[0]})
		if !ok {
			return nil, false
		}
		if got.Code != model.OK {
			continue // it is not there, as before the first life
		}
		tree[todo[0]] = got
		names, ok := ask(model.Op{Kind: model.Children, Path: todo[0]})
		if !ok {
			return nil, false
		}
		for _, name := range names.Children {
			todo = append(todo, todo[0]+"/"+name)
		}
	}
	_, ok = ask(model.Op{Kind: model.CloseSession})
	return tree, ok
}

// resolution searches what became of the writes without an answer: of each client the first ones may have been done, in any order
// between clients. It is found if the model then has exactly the tree that was read, and predicts the events that were heard.
type resolution struct {
	r      *run
	tree   map[string]model.Result
	writes [][]pending // by client
	tried  int
}

const triedMax = 200_000

func (r *run) resolve(tree map[string]model.Result) {
	s := &resolution{r: r, tree: tree}
	for _, c := range r.all {
		var ws []pending
		for _, p := range c.outstanding {
			if p.op.Kind.Writes() {
				ws = append(ws, p)
			}
			r.history.unknown(c.n, p)
		}
		c.outstanding = nil
		s.writes = append(s.writes, ws)
	}
	world, done, ok := s.search(r.world, make([]int, len(s.writes)), 0, nil)
	if !ok {
		if s.tried >= triedMax {
			r.fail("gave up on %v", s.writes)
		}
		r.fail("no outcome of %v makes the tree that was read\n\t%v\nof\n\t%v", s.writes, tree, r.world)
	}
	bound := s.bind(world)
	world.Rewrite(func(z int64) int64 {
		if z < 0 {
			return bound[z]
		}
		return z
	})
	for i, n := range done {
		for j, p := range s.writes[i] {
			if j < n {
				r.log("was done: %v", p.op)
			}
			if p.op.Kind == model.CloseSession {
				r.unclear[p.session] = true // without ephemeral nodes nothing shows it
			}
		}
	}
	for _, z := range bound {
		r.zxid = max(r.zxid, z)
	}
	r.world = world
	for conn := range r.heard {
		r.world.Drop(conn)
	}
	for _, c := range r.all {
		r.world.Drop(c.conn)
	}
}

// search tries done[i] writes of each client, and more. Zxids that are not known yet are -1, -2, ….
func (s *resolution) search(w *model.World, done []int, depth int64, events []model.Event) (*model.World, []int, bool) {
	if s.tried++; s.tried > triedMax {
		return nil, nil, false
	}
	if s.bind(w) != nil && s.predicts(events) {
		return w.Clone(), done, true
	}
	for i, ws := range s.writes {
		if done[i] == len(ws) {
			continue
		}
		p := ws[done[i]]
		next := w.Clone()
		_, more := next.Write(-depth-1, p.sent, p.session, p.op)
		nowDone := slices.Clone(done)
		nowDone[i]++
		if world, found, ok := s.search(next, nowDone, depth+1, append(slices.Clip(events), more...)); ok {
			return world, found, true
		}
	}
	return nil, nil, false
}

// bind compares a world with the tree that was read, and returns which zxids the made-up ones stand for; nil if it is another tree.
func (s *resolution) bind(w *model.World) map[int64]int64 {
	bound := map[int64]int64{}
	same := func(zxid, is int64) bool {
		if zxid >= 0 {
			return zxid == is
		}
		if b, ok := bound[zxid]; ok {
			return b == is
		}
		bound[zxid] = is
		return is > s.r.zxid
	}
	paths := w.Paths()
	if len(paths)-1 != len(s.tree) {
		return nil
	}
	for _, path := range paths {
		if path == "/" {
			continue
		}
		got, ok := s.tree[path]
		if !ok {
			return nil
		}
		want := w.Look(path)
		if got.Data != want.Data || !same(want.Stat.Czxid, got.Stat.Czxid) || !same(want.Stat.Mzxid, got.Stat.Mzxid) || !same(want.Stat.Pzxid, got.Stat.Pzxid) {
			return nil
		}
		g, v := *got.Stat, *want.Stat
		g.Czxid, g.Mzxid, g.Pzxid, v.Czxid, v.Mzxid, v.Pzxid = 0, 0, 0, 0, 0, 0
		if g != v {
			return nil
		}
	}
	// Later writes have higher zxids.
	var made []int64
	for z := range bound {
		made = append(made, z)
	}
	slices.Sort(made)
	for i := 1; i < len(made); i++ {
		if bound[made[i-1]] <= bound[made[i]] {
			return nil
		}
	}
	return bound
}

// predicts says whether the events explain what clients heard beyond the answers that came.
func (s *resolution) predicts(events []model.Event) bool {
	for _, c := range s.r.all {
		heard, expected := s.r.heard[c.conn], s.r.expected[c.conn]
		if len(heard) <= len(expected) {
			continue
		}
		var mine []model.Event
		for _, e := range events {
			if e.Conn == c.conn {
				mine = append(mine, e)
			}
		}
		for i, e := range heard[len(expected):] {
			if i >= len(mine) || mine[i].Type != e.Type || mine[i].Path != e.Path {
				return false
			}
		}
	}
	return true
}
