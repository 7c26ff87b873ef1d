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

// TestZooKeeperSuites plays some of the own tests of go-zookeeper and kazoo against our coordinator: those of testdata/suites that pass on
// ZooKeeper 3.9 must pass. scripts/long-zksuites plays all of them, on both.
func TestZooKeeperSuites(t *testing.T) {
	if Long() {
		t.Skip("scripts/long-zksuites plays all of them")
	}
	t.Parallel()
	Python(t, "recipes.py")
	Peers(t, "zookeeper")
	for name, only := range map[string]string{
		"go-zookeeper": "Integration_(Create|Multi|GetSetACL|Auth|Children|ChildWatch|SetWatchers|Lock|MultiLevelLock)",
		"kazoo":        "test_barrier or test_counter or test_election or test_party or test_queue",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Log(Run(t, 3*time.Minute, t.TempDir(), "env", "SIDES=ottla", "ONLY="+only,
				filepath.Join(Root, "scripts", "suite"), name, filepath.Join(t.TempDir(), "results.txt")))
		})
	}
}
