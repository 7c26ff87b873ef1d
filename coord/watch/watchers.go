package watch

// fewMax is where a path's watchers move from a slice to a map. Most paths have one.
const fewMax = 12

// watchers are those of one path in one table.
type watchers struct {
	few  []entry
	many map[Watcher]Mode
}

type entry struct {
	w Watcher
	m Mode
}

func (s *watchers) len() int { return len(s.few) + len(s.many) }

func (s *watchers) get(w Watcher) Mode {
	if s.many != nil {
		return s.many[w]
	}
	for i := range s.few {
		if s.few[i].w == w {
			return s.few[i].m
		}
	}
	return 0
}

func (s *watchers) put(w Watcher, m Mode) {
	if s.many != nil {
		s.many[w] = m
		return
	}
	for i := range s.few {
		if s.few[i].w == w {
			s.few[i].m = m
			return
		}
	}
	if len(s.few) < fewMax {
		s.few = append(s.few, entry{w, m})
		return
	}
	s.many = make(map[Watcher]Mode, 2*fewMax)
	for _, e := range s.few {
		s.many[e.w] = e.m
	}
	s.many[w] = m
	s.few = nil
}

func (s *watchers) remove(w Watcher) {
	if s.many != nil {
		delete(s.many, w)
		return
	}
	for i := range s.few {
		if s.few[i].w == w {
			last := len(s.few) - 1
			s.few[i] = s.few[last]
			s.few[last] = entry{}
			s.few = s.few[:last]
			return
		}
	}
}

func (s *watchers) each(f func(w Watcher, m Mode)) {
	for _, e := range s.few {
		f(e.w, e.m)
	}
	for w, m := range s.many {
		f(w, m)
	}
}

// with lists who has one of the modes.
func (s *watchers) with(mode Mode) (ws []Watcher) {
	s.each(func(w Watcher, m Mode) {
		if m&mode != 0 {
			ws = append(ws, w)
		}
	})
	return ws
}
