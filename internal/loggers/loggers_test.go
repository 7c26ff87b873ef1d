package loggers

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

func TestLevelsAreInheritedAlongTheDots(t *testing.T) {
	var out bytes.Buffer
	s := New(zerolog.New(&out).Level(zerolog.WarnLevel))
	manager, other, root := s.Logger("kafka.log.LogManager"), s.Logger("kafka.logger"), s.Logger(Root)
	child := manager.With().Str("dir", "/d").Logger()
	said := func() string {
		out.Reset()
		child.Trace().Msg("trace")
		child.Debug().Msg("debug")
		child.Info().Msg("info")
		other.Info().Msg("other")
		root.Info().Msg("root")
		child.Error().Msg("error")
		var all []string
		for line := range strings.Lines(out.String()) {
			_, m, _ := strings.Cut(line, `"message":"`)
			all = append(all, strings.TrimSuffix(m, "\"}\n"))
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "error"},
		{func() { s.SetLevel("kafka.log", "DEBUG") }, "debug info error"},
		{func() { s.SetLevel("kafka", "info") }, "debug info other error"},
		{func() { s.SetLevel("kafka.log.LogManager", "TRACE") }, "trace debug info other error"},
		{func() { s.ResetLevel("kafka.log.LogManager") }, "debug info other error"},
		{func() { s.ResetLevel("kafka.log") }, "info other error"},
		{func() { s.ResetLevel("kafka") }, "error"},
		{func() { s.SetLevel(Root, "INFO") }, "info other root error"},
		{func() { s.ResetLevel(Root) }, "info other root error"},
		{func() { s.SetLevel(Root, "LOUD") }, "info other root error"},
		{func() { s.SetLevel("kafka", "FATAL") }, "root"},
	} {
		step.do()
		if got := said(); got != step.want {
			t.Errorf("said %q, want %q with %v", got, step.want, s.Levels())
		}
	}
	want := map[string]string{"root": "INFO", "kafka": "FATAL", "kafka.log": "FATAL", "kafka.log.LogManager": "FATAL", "kafka.logger": "FATAL"}
	if diff := cmp.Diff(want, s.Levels()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	s.SetLevel("kafka.log", "TRACE")
	child.Trace().Msg("x")
	if got, want := out.String(), `{"level":"trace","logger":"kafka.log.LogManager","dir":"/d","message":"x"}`+"\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDisabledStaysDisabled(t *testing.T) {
	s := New(zerolog.Nop())
	l := s.Logger("a")
	s.SetLevel("a", "TRACE")
	if l.Error().Enabled() {
		t.Error("a logger that writes nowhere is enabled")
	}
}

func TestConcurrentUse(t *testing.T) {
	s := New(zerolog.New(new(bytes.Buffer)).Level(zerolog.Disabled))
	var wg sync.WaitGroup
	for _, name := range []string{"a", "a.b", "a.b.c", "d"} {
		wg.Go(func() {
			l := s.Logger(name)
			for range 100 {
				s.SetLevel("a", "DEBUG")
				l.Debug().Msg("")
				s.ResetLevel("a")
				s.Levels()
			}
		})
	}
	wg.Wait()
}
