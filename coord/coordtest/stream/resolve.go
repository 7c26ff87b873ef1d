package stream

import (
	"container/heap"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"ottla/coord/coordtest/model"
)

// optionsMax is how many outcomes of one group of operations are tried.
const optionsMax = 20_000

// Resolve is called when the server has crashed, is back, and all clients have stopped. tree is everything below top as it is now. The
// operations under way are settled: those that touch the same nodes form a group, and some of a group were done, in some order, so that its
// nodes are as they were read. It returns how many may have been done, and drops all connections.
func (c *Checker) Resolve(top string, tree map[string]model.Result) (unknown int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lost []Pending
	for _, p := range c.underWay {
		if p.Op.Kind.Writes() {
			lost = append(lost, p)
		}
	}
	slices.SortFunc(lost, func(a, b Pending) int { return a.Client - b.Client })
	c.flushLocked()
	clear(c.underWay)

	touched := map[string]bool{} // nodes that operations under way may have changed, and folders above them
	newest := int64(0)
	for _, g := range c.groupLocked(lost, tree) {
		for _, path := range g.paths {
			touched[path], touched[model.Parent(path)] = true, true
		}
		for _, a := range g.answers {
			newest = max(newest, a.zxid)
		}
		if !c.settled(g, tree) {
			c.wrongLocked("no outcome of %v, among %v, makes what is there: %s", g.ops, g.answers, g.show(tree))
		}
	}
	c.flushLocked() // the answers that no operation under way can have changed
	c.compareTreeLocked(top, tree, touched)
	for _, path := range c.world.Paths() {
		if _, there := tree[path]; !there && strings.HasPrefix(path, top) {
			c.world.Forget(path)
		}
	}
	for path, is := range tree {
		c.world.Adopt(path, is)
		newest = max(newest, is.Stat.Czxid, is.Stat.Mzxid, is.Stat.Pzxid)
	}
	c.last = max(c.last, newest)
	c.seen = max(c.seen, c.last)
	for conn, e := range c.ears {
		for _, h := range e.heard {
			if !touched[h.Path] {
				c.wrongLocked("connection %d heard %v, and the write behind it is not there any more", conn, h)
			}
		}
		c.world.Drop(conn)
	}
	clear(c.ears)
	return len(lost)
}

// compareTreeLocked compares all nodes that nothing under way has touched. Of folders that were touched, the creations that they count are
// between those that are certain and those that are possible.
func (c *Checker) compareTreeLocked(top string, tree map[string]model.Result, touched map[string]bool) {
	for _, path := range c.world.Paths() {
		if !strings.HasPrefix(path, top) || c.apart[path] || c.apart[model.Parent(path)] {
			continue
		}
		is, there := tree[path]
		want := c.world.Look(path)
		switch {
		case touched[path]:
		case !there:
			c.wrongLocked("%s is lost; it was %v", path, want)
		case timeless(is).String() != timeless(want).String():
			c.wrongLocked("%s is\n\t%v, and should be\n\t%v", path, timeless(is), timeless(want))
		}
	}
	for path, is := range tree {
		if c.world.Look(path).Code != model.OK && !touched[path] && !c.apart[model.Parent(path)] {
			c.wrongLocked("%s is there, and should not be: %v", path, is)
		}
	}
}

// group are operations under way that touch the same nodes, and the answers that are not final and show these nodes: what was under way may
// have been done before them, and only its own answer was lost.
type group struct {
	ops     []Pending
	answers []answer // in their order
	paths   []string
	bound   int64 // what was under way is behind it
}

func (g group) show(tree map[string]model.Result) string {
	var b strings.Builder
	for _, path := range g.paths {
		if is, ok := tree[path]; ok {
			fmt.Fprintf(&b, "%s: %v; ", path, is)
		} else {
			fmt.Fprintf(&b, "%s: not there; ", path)
		}
	}
	return b.String()
}

// groupLocked puts operations together that share a node, and takes the answers that share it out of those that wait.
func (c *Checker) groupLocked(lost []Pending, tree map[string]model.Result) (groups []group) {
	listed := map[string]bool{} // folders whose children somebody has listed
	for _, a := range c.waiting {
		if a.Op.Kind == model.Children {
			listed[a.Op.Path] = true
		}
	}
	touches := func(p Pending) (paths []string) {
		for _, path := range c.paths(p, tree) {
			if up := model.Parent(path); listed[up] && p.Op.Kind.Writes() {
				paths = append(paths, c.family(up, tree)...)
			} else if listed[path] {
				paths = append(paths, c.family(path, tree)...)
			}
			paths = append(paths, path)
		}
		return paths
	}
	join := func(g group) {
		rest := groups[:0]
		for _, o := range groups {
			if slices.ContainsFunc(o.paths, func(path string) bool { return slices.Contains(g.paths, path) }) {
				g.ops, g.answers = append(g.ops, o.ops...), append(g.answers, o.answers...)
				g.paths, g.bound = append(g.paths, o.paths...), min(g.bound, o.bound)
			} else {
				rest = append(rest, o)
			}
		}
		groups = append(rest, g)
	}
	for _, p := range lost {
		join(group{ops: []Pending{p}, paths: touches(p), bound: p.bound})
	}
	// An answer may bring groups together, and with them other answers in.
	for again := true; again; {
		again = false
		var apart answers
		for _, a := range c.waiting {
			paths := touches(a.Pending)
			if a.gone || !slices.ContainsFunc(groups, func(g group) bool {
				return slices.ContainsFunc(g.paths, func(path string) bool { return slices.Contains(paths, path) })
			}) {
				apart = append(apart, a)
				continue
			}
			join(group{answers: []answer{a}, paths: paths, bound: math.MaxInt64})
			again = true
		}
		c.waiting = apart
	}
	heap.Init(&c.waiting)
	for i := range groups {
		slices.Sort(groups[i].paths)
		groups[i].paths = slices.Compact(groups[i].paths)
		sort.Sort(answers(groups[i].answers))
	}
	return groups
}

// family is a folder and all that is or was in it.
func (c *Checker) family(folder string, tree map[string]model.Result) []string {
	paths := []string{folder}
	for _, name := range c.world.Read(0, model.Op{Kind: model.Children, Path: folder}).Children {
		paths = append(paths, folder+"/"+name)
	}
	for path := range tree {
		if model.Parent(path) == folder {
			paths = append(paths, path)
		}
	}
	return paths
}

// paths are the nodes that an operation may have changed. The name of a sequential node is found by its data, which no other has.
func (c *Checker) paths(p Pending, tree map[string]model.Result) (paths []string) {
	switch p.Op.Kind {
	case model.Multi:
		for _, op := range p.Op.Ops {
			paths = append(paths, c.paths(Pending{Session: p.Session, Op: op}, tree)...)
		}
	case model.CloseSession:
		paths = c.world.Owned(p.Session)
	case model.Create:
		if !p.Op.Sequential {
			return []string{p.Op.Path}
		}
		for path, is := range tree {
			if strings.HasPrefix(path, p.Op.Path) && is.Data == p.Op.Data {
				paths = append(paths, path)
			}
		}
	default:
		paths = []string{p.Op.Path}
	}
	return paths
}

// settled tries all subsets of a group's operations in all orders, between the answers.
func (c *Checker) settled(g group, tree map[string]model.Result) bool {
	tries := 0
	var try func(w *model.World, left []Pending, answers []answer, depth int64) bool
	try = func(w *model.World, left []Pending, answers []answer, depth int64) bool {
		if tries++; tries > optionsMax {
			return false
		}
		if len(answers) == 0 && c.matches(w, g, tree) {
			return true
		}
		if len(answers) > 0 {
			next, a := w.Clone(), answers[0]
			if c.fits(next, a) && try(next, left, answers[1:], depth) {
				return true
			}
		}
		for i, p := range left {
			next := w.Clone()
			op := p.Op
			if op.Kind == model.Create && op.Sequential { // under the name that it got
				paths := c.paths(p, tree)
				if len(paths) != 1 {
					continue
				}
				op.Path, op.Sequential = paths[0], false
			}
			next.Write(-depth-1, 0, p.Session, op)
			if try(next, slices.Delete(slices.Clone(left), i, i+1), answers, depth+1) {
				return true
			}
		}
		return false
	}
	c.checked += int64(len(g.answers))
	return try(c.world.Sub(g.paths), g.ops, g.answers, 0)
}

// fits does what an answer is about, and says whether the world gives that answer; zxids apart, since some are not known yet.
func (c *Checker) fits(w *model.World, a answer) bool {
	var want model.Result
	if a.Op.Kind.Writes() {
		want, _ = w.Write(a.zxid, 0, a.Session, a.Op)
	} else if c.apart[a.Op.Path] || c.apart[model.Parent(a.Op.Path)] {
		return true
	} else {
		want = w.Read(a.Conn, a.Op)
	}
	return placeless(timeless(a.got)).String() == placeless(timeless(want)).String()
}

// placeless is a result without zxids.
func placeless(r model.Result) model.Result {
	if r.Stat != nil {
		s := *r.Stat
		s.Czxid, s.Mzxid, s.Pzxid = 0, 0, 0
		r.Stat = &s
	}
	for i := range r.Results { // timeless has made a copy of them
		r.Results[i] = placeless(r.Results[i])
	}
	return r
}

// matches compares a group's nodes with what was read. Made-up zxids, -1, -2, …, stand for some above the last known one, in that order.
func (c *Checker) matches(w *model.World, g group, tree map[string]model.Result) bool {
	bound := map[int64]int64{}
	same := func(zxid, is int64) bool {
		if zxid >= 0 {
			return zxid == is
		}
		b, known := bound[zxid]
		bound[zxid] = is
		return is > g.bound && (!known || b == is)
	}
	for _, path := range g.paths {
		is, there := tree[path]
		want := w.Look(path)
		if there != (want.Code == model.OK) {
			return false
		}
		if !there {
			continue
		}
		a, b := *timeless(is).Stat, *timeless(want).Stat
		if is.Data != want.Data || !same(b.Czxid, a.Czxid) || !same(b.Mzxid, a.Mzxid) || !same(b.Pzxid, a.Pzxid) {
			return false
		}
		a.Czxid, a.Mzxid, a.Pzxid, b.Czxid, b.Mzxid, b.Pzxid = 0, 0, 0, 0, 0, 0
		if a != b {
			return false
		}
	}
	before := int64(math.MaxInt64)
	for z := int64(-len(bound)) - int64(len(g.ops)); z < 0; z++ { // from the last on
		if is, ok := bound[z]; ok {
			if is >= before {
				return false
			}
			before = is
		}
	}
	return true
}
