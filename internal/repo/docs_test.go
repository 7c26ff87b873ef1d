package repo

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// TestPackagesSayWhatTheyAre wants a package comment in every package, commands included.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Doc,GoFiles", "ottla/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Name, Doc string
			GoFiles               []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 {
			continue // only tests
		}
		if want := "Package " + p.Name; p.Name != "main" && !strings.HasPrefix(p.Doc, want) || p.Doc == "" {
			t.Errorf("%s: the package comment is missing or does not begin with %q", p.ImportPath, want)
		}
	}
}
