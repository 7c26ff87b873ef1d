package coord_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ottla/coord"
	"ottla/coord/coordtest"
	"ottla/coord/ensemble"
	"ottla/coord/state"
	"ottla/coord/store"
)

func held(i int) string { return fmt.Sprintf("<data of %d>%0300d", i, 0) }

// spoilable is what kill -9 leaves of a coordinator: /a and /a/0 to /a/19 are in state.db, /a/20 to /a/29 in the log behind it, in several segments. zxid is the highest
// that a client saw.
func spoilable(t *testing.T) (dir string, zxid int64) {
	t.Helper()
	o := coordtest.Options(t)
	o.Config.SegmentBytes = 4096
	dir = o.Config.DataDir
	for round := range 3 {
		srv, err := coordtest.StartWith(t, o)
		must(t, err)
		c := dial(t, srv.Address())
		must(t, c.connect())
		if round == 0 {
			must(t, c.create("/a", []byte("<data of a>"), 0))
		}
		for i := range 10 {
			n := round*10 + i
			must(t, c.create(fmt.Sprintf("/a/%d", n), []byte(held(n)), 0))
		}
		zxid = c.zxid
		if round == 2 {
			killed := t.TempDir()
			must(t, os.CopyFS(killed, os.DirFS(dir)))
			dir = killed
		}
		c.close()
		must(t, srv.Stop()) // with a checkpoint
	}
	return dir, zxid
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
	must(t, err)
	slices.Sort(list)
	if len(list) < 3 {
		t.Fatalf("segments: %v", list)
	}
	return list
}

// spoil changes a byte wherever the text stands in the file.
func spoil(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Contains(b, []byte(text)) {
		t.Fatalf("%s does not hold %q", path, text)
	}
	must(t, os.WriteFile(path, bytes.ReplaceAll(b, []byte(text), []byte("?"+text[1:])), 0o600))
}

// withDelta puts what the log holds into a delta too, as in the moment before it is merged.
func withDelta(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(store.Options{Dir: dir, SegmentBytes: 4096})
	must(t, err)
	defer s.Close()
	st := state.New()
	must(t, s.Load(func(h store.Header, records iter.Seq2[store.Record, error]) error {
		return st.Restore(h.Index, h.Term, h.Meta, func(yield func(state.Record, error) bool) {
			for r, err := range records {
				if !yield(state.Record(r), err) {
					return
				}
			}
		})
	}))
	_, err = ensemble.Replay(s, func(index, term uint64, batch []byte) error {
		_, err := st.Apply(index, term, batch)
		return err
	})
	must(t, err)
	c, err := st.Checkpoint()
	must(t, err)
	must(t, s.Commit(store.Header{Index: c.Index, Term: c.Term, Meta: c.Meta}, func(yield func(store.Record) bool) {
		for r := range c.Records() {
			if !yield(store.Record(r)) {
				return
			}
		}
	}))
	if _, err := os.Stat(filepath.Join(dir, "delta")); err != nil {
		t.Fatal(err)
	}
}

// Every damage that a start refuses: the plan changes nothing, the repair leaves what is expected of /a/0 to /a/29, keeps what was there, and the coordinator starts
// above all zxids that it ever gave.
func TestRepair(t *testing.T) {
	all := func(int) bool { return true }
	below := func(n int) func(int) bool { return func(i int) bool { return i < n } }
	but := func(n int) func(int) bool { return func(i int) bool { return i != n } }
	for _, c := range []struct {
		name    string
		spoil   func(t *testing.T, dir string)
		want    func(i int) bool
		lost    string // a path among those of the entries given up
		givenUp string
		kept    string // a file that stays under another name
	}{
		{"record of the log", func(t *testing.T, dir string) { spoil(t, segments(t, dir)[1], "<data of 24>") }, below(24), "/a/29", "", "log/*.wal"},
		{"segment in the middle", func(t *testing.T, dir string) { must(t, os.Remove(segments(t, dir)[1])) }, nil, "/a/29", "", "log/*.wal"},
		{"segment behind the checkpoint", func(t *testing.T, dir string) { must(t, os.Remove(segments(t, dir)[0])) }, below(20), "/a/29", "", "log/*.wal"},
		{"header of a segment", func(t *testing.T, dir string) { flip(t, segments(t, dir)[1], 40) }, all, "", "", "log/*.wal"},
		{"no log", func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "log"))) }, below(20), "", "", "state.db"},
		{"meta missing", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "meta"))) }, all, "", "", "state.db"},
		{"meta spoilt", func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "meta"), 0) }, all, "", "", "meta"},
		{"node in state.db", func(t *testing.T, dir string) { spoil(t, filepath.Join(dir, "state.db"), "<data of 5>") }, but(5), "", `"/a/5"`, "state.db"},
		{"node with children in state.db", func(t *testing.T, dir string) { spoil(t, filepath.Join(dir, "state.db"), "<data of a>") }, all, "", "node /a:", "state.db"},
		{"delta, and the log has it too", func(t *testing.T, dir string) {
			withDelta(t, dir)
			flip(t, filepath.Join(dir, "delta"), 200)
		}, all, "", "", "delta"},
		{"delta and the log", func(t *testing.T, dir string) {
			withDelta(t, dir)
			for _, path := range segments(t, dir) {
				must(t, os.Remove(path))
			}
			flip(t, filepath.Join(dir, "delta"), 400)
		}, below(20), "", "delta", "delta"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, zxid := spoilable(t)
			c.spoil(t, dir)
			before := contents(t, dir)
			if _, err := coord.OpenOffline(dir, ""); err == nil {
				t.Fatal("no damage is found")
			}
			r, err := coord.PlanRepair(dir, "")
			must(t, err)
			defer r.Close()
			if after := contents(t, dir); !slices.Equal(after, before) {
				t.Errorf("the plan changed files: %v, before %v", after, before)
			}
			if c.lost != "" && !slices.Contains(r.Paths, c.lost) || c.lost == "" && r.Lost > 0 {
				t.Errorf("gives up %d entries, which name %v", r.Lost, r.Paths)
			}
			if text := strings.Join(r.GivenUp, "\n"); !strings.Contains(text, c.givenUp) || c.givenUp == "" && text != "" {
				t.Errorf("gives up %q", text)
			}
			kept, err := r.Run()
			must(t, err)
			must(t, r.Close())
			if ok := slices.ContainsFunc(kept, func(path string) bool {
				name, _ := filepath.Rel(dir, path)
				m, _ := filepath.Match(c.kept+".damaged-1", name)
				return m
			}); !ok {
				t.Errorf("kept %v", kept)
			}
			for _, was := range before { // every byte of it is still there
				if name, sum, _ := strings.Cut(was, " "); !slices.Contains(contents(t, dir), was) && !slices.Contains(contents(t, dir), name+".damaged-1 "+sum) && name != "lock" {
					t.Errorf("%s is gone", name)
				}
			}
			if _, err := coord.OpenOffline(dir, ""); err != nil {
				t.Fatalf("after the repair: %v", err)
			}
			if _, err := coord.PlanRepair(dir, ""); !errors.Is(err, coord.ErrNoDamage) {
				t.Errorf("a second repair: %v", err)
			}
			checkRepaired(t, dir, zxid, c.want)
		})
	}
}

func checkRepaired(t *testing.T, dir string, zxid int64, want func(i int) bool) {
	t.Helper()
	srv := coordtest.Start(t, func(o *coord.Options) { o.Config.DataDir = dir })
	cl := dial(t, srv.Address())
	defer cl.close()
	must(t, cl.connect())
	end := false
	for i := range 30 {
		data, err := cl.get(fmt.Sprintf("/a/%d", i), false)
		there := err == nil
		if there && string(data) != held(i) {
			t.Errorf("/a/%d holds %q", i, data)
		}
		switch {
		case want != nil && there != want(i):
			t.Errorf("/a/%d: there is %v, want %v", i, there, want(i))
		case want == nil && (i < 20 && !there || end && there || i == 29 && there):
			t.Errorf("/a/%d: there is %v, where a part of the log's end is lost", i, there)
		}
		end = end || !there
	}
	must(t, cl.create("/new", nil, 0))
	if cl.zxid <= zxid {
		t.Errorf("zxid %#x after %#x", cl.zxid, zxid)
	}
}

// contents are all files with what they hold, but empty ones.
func contents(t *testing.T, dir string) (list []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if len(b) > 0 {
			name, _ := filepath.Rel(dir, path)
			list = append(list, name+" "+string(b))
		}
		return err
	}))
	return list
}

// What cannot be repaired stays as it is.
func TestRepairRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(t *testing.T, dir string)
	}{
		{"state.db is rubbish", "nothing can be saved", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "state.db"), bytes.Repeat([]byte("rubbish."), 8192), 0o600))
		}},
		{"a newer version", "format version 2", func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, "meta"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "meta"), bytes.Replace(b, []byte("version=1"), []byte("version=2"), 1), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := spoilable(t)
			c.spoil(t, dir)
			before := contents(t, dir)
			if _, err := coord.PlanRepair(dir, ""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("repair: %v", err)
			}
			if !slices.Equal(contents(t, dir), before) {
				t.Error("files were changed")
			}
		})
	}
}
