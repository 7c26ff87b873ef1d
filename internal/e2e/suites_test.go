//go:build unix

package e2e

import (
	"path/filepath"
	"testing"
	"time"
)

// TestFranz plays franz-go's own integration tests against our broker: those of testdata/suites/franz.txt that always pass on Apache
// Kafka 3.9 must pass. scripts/long-franz plays more of them, on both.
func TestFranz(t *testing.T) {
	if Long() {
		t.Skip("scripts/long-franz plays all of them")
	}
	out := Run(t, 5*time.Minute, t.TempDir(), "timeout", "280", "env", "SIDES=ottla", "RECORDS=5000", "SKIP=TestIssue523|TestIssueFetchLarger",
		filepath.Join(Root, "scripts", "suite"), "franz", filepath.Join(t.TempDir(), "results.txt"))
	t.Log(out)
}
