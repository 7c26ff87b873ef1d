package state

import (
	"ottla/coord/fsm"
	"ottla/coord/watch"
)

// Of is a state that begins with a machine made elsewhere, before the first entry.
func Of(m *fsm.Machine) *State { return &State{machine: m, watches: watch.New()} }
