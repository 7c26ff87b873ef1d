package store

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// records puts them in the order in which a Commit wants them; the last one of a key counts.
func records(list ...Record) iter.Seq[Record] {
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b Record) int {
		return slices.Compare([]string{a.Bucket, string(a.Key)}, []string{b.Bucket, string(b.Key)})
	})
	list = slices.CompactFunc(list, func(a, b Record) bool { return a.Bucket == b.Bucket && string(a.Key) == string(b.Key) })
	return func(yield func(Record) bool) {
		for _, r := range list {
			if !yield(r) {
				return
			}
		}
	}
}

// each calls fn with each record.
func each(records iter.Seq2[Record, error], fn func(Record) error) error {
	for r, err := range records {
		if err == nil {
			err = fn(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAll reads every record and drops it.
func readAll(_ Header, records iter.Seq2[Record, error]) error {
	return each(records, func(Record) error { return nil })
}

func dump(t testing.TB, c Checkpoints) (Header, []string) {
	t.Helper()
	var list []string
	var head Header
	must(t, c.Load(func(h Header, records iter.Seq2[Record, error]) error {
		head = h
		return each(records, func(r Record) error {
			key := string(r.Key)
			if len(key) > 20 {
				key = fmt.Sprintf("%.3s…%d", key, len(key))
			}
			list = append(list, fmt.Sprintf("%s %s %s", r.Bucket, key, r.Value))
			return nil
		})
	}))
	return head, list
}

func TestBoltCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	c := OpenBolt(path)
	if h, list := dump(t, c); h.Index != 0 || list != nil {
		t.Fatalf("empty checkpoint %+v %v", h, list)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("reading made the file")
	}
	long := strings.Repeat("/long", 10000)
	must(t, c.Commit(Header{Index: 5, Term: 2, Meta: []byte("m")}, records(
		Record{"node", []byte("/b"), []byte("two")}, Record{"node", []byte("/a"), []byte("one")}, Record{"acl", []byte{0, 1}, []byte{}},
		Record{"node", []byte(long + "/child"), []byte("deep")}, Record{"node", []byte(long), []byte("long")},
	)))
	h, list := dump(t, OpenBolt(path))
	want := "[acl \x00\x01  node /a one node /b two node /lo…50000 long node /lo…50006 deep]"
	if h.Index != 5 || h.Term != 2 || string(h.Meta) != "m" || h.Conf != nil || fmt.Sprint(list) != want {
		t.Errorf("%+v %q", h, list)
	}
	must(t, c.Commit(Header{Index: 9, Term: 3, Conf: []byte("c")}, records(
		Record{"node", []byte("/a"), nil}, Record{"node", []byte("/b"), []byte("three")}, Record{"node", []byte("/none"), nil},
		Record{"node", []byte(long), nil}, Record{"acl", []byte{0, 1}, nil}, Record{"node", []byte(long + "/child"), []byte("new")},
	)))
	h, list = dump(t, OpenBolt(path))
	if h.Index != 9 || h.Meta != nil || string(h.Conf) != "c" || fmt.Sprint(list) != "[node /b three node /lo…50006 new]" {
		t.Errorf("%+v %q", h, list)
	}
	enough := errors.New("enough")
	if err := c.Load(func(_ Header, records iter.Seq2[Record, error]) error {
		return each(records, func(Record) error { return enough })
	}); err != enough {
		t.Errorf("error of the caller: %v", err)
	}
}

func TestBoltKeepsTheOldCheckpointOnError(t *testing.T) {
	c := OpenBolt(filepath.Join(t.TempDir(), "state.db"))
	bad := Record{"node", nil, []byte("no key")}
	if err := c.Commit(Header{Index: 1}, records(bad)); err == nil {
		t.Fatal("stored a record without a key")
	}
	if h, list := dump(t, c); h.Index != 0 || list != nil {
		t.Errorf("half a first commit: %+v %v", h, list)
	}
	must(t, c.Commit(Header{Index: 1}, records(Record{"node", []byte("/a"), []byte("1")})))
	if err := c.Commit(Header{Index: 2}, records(Record{"node", []byte("/a"), []byte("2")}, bad)); err == nil {
		t.Fatal("stored a record without a key")
	}
	if h, list := dump(t, c); h.Index != 1 || fmt.Sprint(list) != "[node /a 1]" {
		t.Errorf("half a commit: %+v %v", h, list)
	}
}

func TestBoltNoticesDamage(t *testing.T) {
	build := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "state.db")
		var list []Record
		for i := range 2000 {
			list = append(list, Record{"node", fmt.Appendf(nil, "/n%04d", i), []byte("value")})
		}
		must(t, OpenBolt(path).Commit(Header{Index: 1}, records(list...)))
		return path
	}
	edit := func(fn func(tx *bbolt.Tx) error) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			must(t, err)
			must(t, db.Update(fn))
			must(t, db.Close())
		}
	}
	for name, do := range map[string]func(t *testing.T, path string){
		"a record is missing": edit(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("records")).Bucket([]byte("node")).Delete([]byte("/n0007"))
		}),
		"a record is another's": edit(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("records")).Bucket([]byte("node"))
			return b.Put([]byte("/n0007"), append([]byte(nil), b.Get([]byte("/n0008"))...))
		}),
		"the header is missing": edit(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("meta")) }),
		"the file is cut": func(t *testing.T, path string) {
			must(t, os.Truncate(path, 8192))
		},
		"a value has a flipped bit": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			b[strings.Index(string(b), "/n0123")+12] ^= 1
			must(t, os.WriteFile(path, b, 0o600))
		},
		"a page is zero": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			at := strings.Index(string(b), "/n0123") &^ 4095
			clear(b[at : at+4096])
			must(t, os.WriteFile(path, b, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := build(t)
			do(t, path)
			var d *DamageError
			if err := OpenBolt(path).Load(readAll); !errors.As(err, &d) || d.File != path || d.Way == "" {
				t.Errorf("loaded: %v", err)
			}
		})
	}
}

// Any sequence of commits leaves what a map would hold.
func TestBoltIsAMap(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c := OpenBolt(filepath.Join(dir, "state.db")).(*layered)
		model := map[string]string{}
		key := rapid.Custom(func(t *rapid.T) string {
			k := rapid.StringMatching("[ab]{1,3}").Draw(t, "key")
			if rapid.IntRange(0, 4).Draw(t, "long") == 0 {
				k += strings.Repeat("x", boltKeyMax)
			}
			return k
		})
		for i := range rapid.IntRange(1, 4).Draw(t, "commits") {
			var list []Record
			for range rapid.IntRange(0, 12).Draw(t, "changes") {
				b, k := rapid.SampledFrom([]string{"p", "q"}).Draw(t, "bucket"), key.Draw(t, "k")
				if rapid.Bool().Draw(t, "delete") {
					list = append(list, Record{b, []byte(k), nil})
					delete(model, b+k)
				} else {
					v := rapid.StringN(0, 5, 10).Draw(t, "v")
					list = append(list, Record{b, []byte(k), []byte(v)})
					model[b+k] = v
				}
			}
			if err := c.Commit(Header{Index: uint64(i + 1)}, records(list...)); err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 2).Draw(t, "then") {
			case 1: // merge at once, not by the next commit
				if err := c.Merge(nil, 0); err != nil {
					t.Fatal(err)
				}
			case 2: // another life
				c = OpenBolt(filepath.Join(dir, "state.db")).(*layered)
			}
		}
		var last string
		if err := c.Load(func(_ Header, records iter.Seq2[Record, error]) error {
			return each(records, func(r Record) error {
				k := r.Bucket + string(r.Key)
				if model[k] != string(r.Value) {
					return fmt.Errorf("%.10q is %q, want %q", k, r.Value, model[k])
				}
				delete(model, k)
				if len(r.Key) <= boltKeyMax && k <= last {
					return fmt.Errorf("%q after %q", k, last)
				}
				last = k
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		if len(model) > 0 {
			t.Fatalf("missing: %d", len(model))
		}
	})
}

// A first checkpoint is written in several transactions, and is still one step.
func TestBoltBuildsLargeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	c := OpenBolt(path)
	const n = 2*buildRecords + 7
	all := func(yield func(Record) bool) {
		for i := range n {
			if !yield(Record{"node", fmt.Appendf(nil, "/n%07d", i), []byte("v")}) {
				return
			}
		}
	}
	must(t, c.Commit(Header{Index: 3}, all))
	if _, list := dump(t, c); len(list) != n || list[n-1] != fmt.Sprintf("node /n%07d v", n-1) {
		t.Fatalf("%d records", len(list))
	}
	must(t, c.Commit(Header{Index: 4}, records(Record{"node", []byte("/n0000001"), nil})))
	if h, list := dump(t, c); len(list) != n-1 || h.Index != 4 {
		t.Fatalf("%d records", len(list))
	}
	// A build that was interrupted leaves nothing behind.
	c = OpenBolt(filepath.Join(t.TempDir(), "state.db"))
	if err := c.Commit(Header{Index: 3}, func(yield func(Record) bool) {
		all(yield)
		yield(Record{"node", nil, []byte("no key")})
	}); err == nil {
		t.Fatal("stored a record without a key")
	}
	if h, list := dump(t, c); h.Index != 0 || list != nil {
		t.Errorf("half a file: %+v, %d records", h, len(list))
	}
}
