package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPlantedBugs plants bugs into the server, each a patch in testdata, and wants the simulation to find them. A patch that does not
// apply any more has to be made anew for the code as it is.
func TestPlantedBugs(t *testing.T) {
	patches, err := filepath.Glob("testdata/*.patch")
	if err != nil || len(patches) < 3 {
		t.Fatal(patches, err)
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(patch), ".patch"), func(t *testing.T) {
			cmd := exec.Command("go", "test", "-count=1", "-overlay", plant(t, patch), "-run", "^TestSimulation$", ".")
			cmd.Env = append(os.Environ(), "OTTLA_SIM_SEEDS=2000", "OTTLA_SIM_FROM=1")
			out, err := cmd.CombinedOutput()
			found := regexp.MustCompile(`seed \d+, step \d+: .*`).Find(out)
			if err == nil || found == nil {
				t.Fatalf("2000 seeds do not find it: %v\n%.2000s", err, out)
			}
			t.Logf("%.300s", found)
		})
	}
}

var patched = regexp.MustCompile(`(?m)^\+\+\+ b/(.+)$`)

// plant applies a patch to copies of the files that it changes, and returns a file for go's -overlay that puts them in place.
func plant(t *testing.T, patch string) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for _, m := range patched.FindAllSubmatch(text, -1) {
		name := filepath.FromSlash(string(m[1]))
		src, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), src, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	apply := exec.Command("git", "apply", "-")
	apply.Dir, apply.Stdin = dir, strings.NewReader(string(text))
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("%s does not apply: %v\n%s", patch, err, out)
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}
