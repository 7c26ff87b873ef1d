package watch

import (
	"bytes"

	"ottla/coord/wire"
)

// Mode is a set of ways in which a watcher is registered for a path.
type Mode uint8

// Modes.
const (
	OneShot Mode = 1 << iota
	Persistent
	Recursive
)

// Table names one of the two tables.
type Table uint8

// Tables.
const (
	Data Table = iota
	Child
)

// Tables are all watches of a server. Use New.
type Tables struct {
	paths     [2]map[string]*watchers
	byWatcher map[Watcher]map[registration]struct{}
	recursive int // registrations with mode Recursive; without any, the ancestors need not be looked at
}

type registration struct {
	table Table
	path  string
}

// New has no watches.
func New() *Tables {
	return &Tables{
		paths:     [2]map[string]*watchers{{}, {}},
		byWatcher: map[Watcher]map[registration]struct{}{},
	}
}

// Add registers w.
func (t *Tables) Add(w Watcher, table Table, path []byte, mode Mode) {
	set := t.paths[table][string(path)]
	if set == nil {
		set = &watchers{}
		t.paths[table][string(path)] = set
	}
	had := set.get(w)
	if had|mode == had {
		return
	}
	set.put(w, had|mode)
	if mode&^had&Recursive != 0 {
		t.recursive++
	}
	if had != 0 {
		return
	}
	regs := t.byWatcher[w]
	if regs == nil {
		regs = make(map[registration]struct{})
		t.byWatcher[w] = regs
	}
	regs[registration{table, string(path)}] = struct{}{}
}

// Modes is how w is registered for path.
func (t *Tables) Modes(w Watcher, table Table, path []byte) Mode {
	if set := t.paths[table][string(path)]; set != nil {
		return set.get(w)
	}
	return 0
}

// Remove takes modes away from w, and says whether it had one of them.
func (t *Tables) Remove(w Watcher, table Table, path []byte, mode Mode) bool {
	set := t.paths[table][string(path)]
	if set == nil {
		return false
	}
	had := set.get(w)
	if had&mode == 0 {
		return false
	}
	t.reduce(w, table, string(path), set, had, had&^mode)
	return true
}

// reduce leaves w with the modes left, and forgets what is empty then.
func (t *Tables) reduce(w Watcher, table Table, path string, set *watchers, had, left Mode) {
	if had&^left&Recursive != 0 {
		t.recursive--
	}
	if left != 0 {
		set.put(w, left)
		return
	}
	set.remove(w)
	if set.len() == 0 {
		delete(t.paths[table], path)
	}
	regs := t.byWatcher[w]
	delete(regs, registration{table, path})
	if len(regs) == 0 {
		delete(t.byWatcher, w)
	}
}

// RemoveAll forgets a watcher.
func (t *Tables) RemoveAll(w Watcher) {
	for r := range t.byWatcher[w] {
		set := t.paths[r.table][r.path]
		t.reduce(w, r.table, r.path, set, set.get(w), 0)
	}
}

// Fire tells everybody concerned of an event and uses up one-shot watches. A watcher hears of an event once. Delete a node as
// NodeDeleted of it, then NodeChildrenChanged of its parent; create one as NodeCreated, then NodeChildrenChanged of the parent. It
// returns how many were told.
func (t *Tables) Fire(e *Event) (told int) {
	if e.Type == wire.EventNodeChildrenChanged {
		return t.fire(e, Child, nil)
	}
	if len(t.byWatcher) == 0 {
		return 0
	}
	both := e.Type == wire.EventNodeDeleted && t.paths[Child][string(e.Path)] != nil
	var heard map[Watcher]struct{} // only where one watcher may be found at two places
	if both || t.recursive > 0 {
		heard = map[Watcher]struct{}{}
	}
	told = t.fire(e, Data, heard)
	if t.recursive > 0 {
		told += t.fireAncestors(e, heard)
	}
	if both {
		told += t.fire(e, Child, heard)
	}
	return told
}

// fire tells the watchers of the very path. heard, if not nil, holds who was told before and is added to.
func (t *Tables) fire(e *Event, table Table, heard map[Watcher]struct{}) (told int) {
	set := t.paths[table][string(e.Path)]
	if set == nil {
		return 0
	}
	oneShot := false
	set.each(func(w Watcher, m Mode) {
		oneShot = oneShot || m&OneShot != 0
		if heard != nil {
			if _, ok := heard[w]; ok {
				return
			}
			heard[w] = struct{}{}
		}
		told++
		w.WatchEvent(e)
	})
	if oneShot {
		path := string(e.Path)
		for _, w := range set.with(OneShot) {
			had := set.get(w)
			t.reduce(w, table, path, set, had, had&^OneShot)
		}
	}
	return told
}

// fireAncestors tells recursive watchers above the path who have not heard yet.
func (t *Tables) fireAncestors(e *Event, heard map[Watcher]struct{}) (told int) {
	for path := e.Path; len(path) > 1; {
		i := bytes.LastIndexByte(path, '/')
		if i < 0 {
			break
		}
		path = path[:max(i, 1)]
		set := t.paths[Data][string(path)]
		if set == nil {
			continue
		}
		set.each(func(w Watcher, m Mode) {
			if m&Recursive == 0 {
				return
			}
			if _, ok := heard[w]; ok {
				return
			}
			heard[w] = struct{}{}
			told++
			w.WatchEvent(e)
		})
	}
	return told
}

// Counts are the numbers of watching connections, of watched paths in either table, and of registrations.
func (t *Tables) Counts() (watchers, paths, total int) {
	for _, regs := range t.byWatcher {
		total += len(regs)
	}
	return len(t.byWatcher), len(t.paths[Data]) + len(t.paths[Child]), total
}
