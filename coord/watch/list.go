package watch

// Each calls f for every registration in a table, in no order.
func (t *Tables) Each(table Table, f func(path string, w Watcher)) {
	for path, set := range t.paths[table] {
		set.each(func(w Watcher, _ Mode) { f(path, w) })
	}
}
