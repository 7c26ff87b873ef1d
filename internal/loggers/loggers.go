// Package loggers gives the parts of a server loggers with names, whose levels can be changed while it runs.
//
// Names are paths with dots: a logger without a level of its own has that of the nearest logger above it, kafka.log of
// kafka.log.LogManager, and at last that of Root. A change counts for the next line that is logged. Each line says the name of its
// logger in the field "logger", unless it is Root.
//
// What a level costs: a line that is not logged is one atomic load. The package starts no goroutine.
package loggers

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// Root is the name of the logger above all others. Its level always is one of its own.
const Root = "root"

// Field is the key of the logger's name in a line.
const Field = "logger"

// Levels by their names, as log4j and Kafka's broker-loggers have them, from the most talkative to the most quiet.
var levels = []struct {
	name  string
	level zerolog.Level
}{
	{"TRACE", zerolog.TraceLevel}, {"DEBUG", zerolog.DebugLevel}, {"INFO", zerolog.InfoLevel}, {"WARN", zerolog.WarnLevel},
	{"ERROR", zerolog.ErrorLevel}, {"FATAL", zerolog.FatalLevel},
}

// ParseLevel finds a level by its name, in whatever case.
func ParseLevel(name string) (zerolog.Level, bool) {
	for _, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, true
		}
	}
	return 0, false
}

// FormatLevel is the level's name. What is above FATAL, where nothing is logged, is FATAL.
func FormatLevel(level zerolog.Level) string {
	for _, l := range levels {
		if level <= l.level {
			return l.name
		}
	}
	return "FATAL"
}

// Set is a server's loggers. Safe for concurrent use.
type Set struct {
	base zerolog.Logger

	mu    sync.Mutex
	gates map[string]*gate
}

// gate is a logger's level; zerolog asks it before each line.
type gate struct {
	effective atomic.Int32
	own       *zerolog.Level // guarded by Set.mu; nil: the level of what is above
}

// Sample implements zerolog.Sampler.
func (g *gate) Sample(level zerolog.Level) bool { return level >= zerolog.Level(g.effective.Load()) }

// New returns the loggers that write to base, whose level is Root's.
func New(base zerolog.Logger) *Set {
	level := base.GetLevel()
	root := &gate{own: &level}
	root.effective.Store(int32(level))
	if level != zerolog.Disabled {
		base = base.Level(zerolog.TraceLevel) // the gates decide
	}
	return &Set{base: base, gates: map[string]*gate{Root: root}}
}

// Logger is the logger of that name, made if there is none. Its level may not be changed by the caller, nor its sampler.
func (s *Set) Logger(name string) zerolog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.base.Sample(s.gateLocked(name))
	if name != Root {
		l = l.With().Str(Field, name).Logger()
	}
	return l
}

func (s *Set) gateLocked(name string) *gate {
	g := s.gates[name]
	if g == nil {
		g = new(gate)
		s.gates[name] = g
		g.effective.Store(int32(s.aboveLocked(name)))
	}
	return g
}

// aboveLocked is the level of the nearest logger above that has one of its own.
func (s *Set) aboveLocked(name string) zerolog.Level {
	for {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return *s.gates[Root].own
		}
		name = name[:dot]
		if g := s.gates[name]; g != nil && g.own != nil {
			return *g.own
		}
	}
}

// Levels are the names of all loggers and the levels that count for them.
func (s *Set) Levels() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]string, len(s.gates))
	for name, g := range s.gates {
		all[name] = FormatLevel(zerolog.Level(g.effective.Load()))
	}
	return all
}

// SetLevel gives the logger, made if there is none, a level of its own. false: there is no such level.
func (s *Set) SetLevel(name, level string) bool {
	l, ok := ParseLevel(level)
	if ok {
		s.change(name, &l)
	}
	return ok
}

// ResetLevel takes the logger's own level away. Root keeps its.
func (s *Set) ResetLevel(name string) {
	if name != Root {
		s.change(name, nil)
	}
}

func (s *Set) change(name string, own *zerolog.Level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateLocked(name).own = own
	for _, n := range slices.Sorted(maps.Keys(s.gates)) {
		g := s.gates[n]
		if g.own != nil {
			g.effective.Store(int32(*g.own))
		} else {
			g.effective.Store(int32(s.aboveLocked(n)))
		}
	}
}
