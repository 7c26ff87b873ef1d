package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ottla/coord/coordtest"
)

// A directory that a kill left is dumped, spoilt, repaired and dumped again.
func TestDumpAndRepair(t *testing.T) {
	o := coordtest.Options(t)
	srv, err := coordtest.StartWith(t, o)
	if err != nil {
		t.Fatal(err)
	}
	s := servers{zookeeper: srv.Address()}
	s.prints(t, "ottla zk create -z {Z} /first text", "/first\n")
	s.prints(t, "ottla zk create -z {Z} /second spoilt", "/second\n")
	s.prints(t, "ottla zk create -z {Z} /third text", "/third\n")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(o.Config.DataDir)); err != nil {
		t.Fatal(err)
	}
	if err := srv.Stop(); err != nil {
		t.Fatal(err)
	}
	dump := func(args string, code int, key func(line map[string]any) string) (seen []string) {
		t.Helper()
		r := s.call(t, "", "ottla coordinator dump "+dir+args)
		if r.code != code {
			t.Fatalf("dump: status %d, %s", r.code, r.errs)
		}
		for line := range strings.Lines(r.out) {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if k := key(v); k != "" {
				seen = append(seen, k)
			}
		}
		return seen
	}
	node := func(v map[string]any) string {
		if path, _ := v["path"].(string); v["kind"] == "node" && !strings.HasPrefix(path, "/zookeeper") {
			data, _ := v["data"].(string)
			return path + "=" + data
		}
		return ""
	}
	entry := func(v map[string]any) (text string) {
		requests, _ := v["requests"].([]any)
		for _, r := range requests {
			for _, op := range r.(map[string]any)["ops"].([]any) {
				if path, ok := op.(map[string]any)["path"]; ok {
					text += op.(map[string]any)["op"].(string) + path.(string)
				}
			}
		}
		return text
	}
	same := func(what string, got []string, want string) {
		t.Helper()
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", what, got, want)
		}
	}
	same("nodes", dump("", 0, node), "/= /first=text /second=spoilt /third=text")
	same("log", dump(" --log", 0, entry), "create/first create/second create/third")

	logs, err := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs[0], bytes.Replace(b, []byte("spoilt"), []byte("spoilT"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	s.fails(t, "ottla coordinator check --override dataDir="+dir, 1, "is damaged at offset", "ottla coordinator repair")
	s.fails(t, "ottla coordinator repair "+dir, 0, "damage", "/third", "nothing was changed")
	same("log with damage", dump(" --log", 1, entry), "create/first create/third")
	s.fails(t, "ottla coordinator repair --yes "+dir, 0, "kept", ".wal.damaged-1", "repaired")
	s.fails(t, "ottla coordinator check --override dataDir="+dir, 0, "no damage")
	s.fails(t, "ottla coordinator repair "+dir, 0, "nothing to repair")
	same("nodes after the repair", dump("", 0, node), "/= /first=text")
}
