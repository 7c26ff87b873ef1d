package state

import "ottla/coord/watch"

// EachWatch calls f for every registration in a table, in no order. Nothing fires meanwhile.
func (s *State) EachWatch(table watch.Table, f func(path string, w watch.Watcher)) {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	s.watches.Each(table, f)
}
