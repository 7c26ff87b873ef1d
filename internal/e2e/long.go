//go:build unix

package e2e

import (
	"os"
	"testing"
	"time"
)

// Long says that this run is the long form: full numbers of rounds, and bounds of time and memory that only a quiet machine
// can be held to. scripts/long-* set OTTLA_LONG.
func Long() bool { return os.Getenv("OTTLA_LONG") != "" }

// Scale is short in CI and long in the long form.
func Scale(short, long int) int {
	if Long() {
		return long
	}
	return short
}

// Within checks a bound of time: the bound itself in the long form, ten times as much elsewhere.
func Within(t testing.TB, what string, took, bound time.Duration) {
	t.Helper()
	if !Long() {
		bound *= 10
	}
	if took > bound {
		t.Errorf("%s took %v, more than %v", what, took.Round(time.Millisecond), bound)
	}
}

// Result is a figure of this run: the long form prints it in its last line.
func Result(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("RESULT "+format, args...)
}
