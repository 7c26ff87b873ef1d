package fs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// each runs fn on every implementation; dir exists and is empty.
func each(t *testing.T, fn func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { fn(t, OS, t.TempDir()) })
	t.Run("crash", func(t *testing.T) {
		c := NewCrash()
		must(t, c.MkdirAll("/data", 0o755))
		fn(t, c, "/data")
	})
	t.Run("faulty", func(t *testing.T) { fn(t, NewFaulty(OS), t.TempDir()) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, fsys FS, name, data string) File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	must(t, err)
	return f
}

func contents(t testing.TB, fsys FS, name string) string {
	t.Helper()
	b, err := ReadFile(fsys, name, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return "<none>"
	}
	must(t, err)
	return string(b)
}

func TestChtimes(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name, at := filepath.Join(dir, "f"), time.UnixMilli(1_600_000_000_123)
		create(t, fsys, name, "x").Close()
		must(t, fsys.Chtimes(name, at))
		st, err := fsys.Stat(name)
		must(t, err)
		if !st.ModTime().Equal(at) {
			t.Errorf("last written %v, want %v", st.ModTime(), at)
		}
		if err := fsys.Chtimes(name+"?", at); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of a file that is not there: %v", err)
		}
	})
}

func TestFileReadsWhatWasWritten(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "f")
		f := create(t, fsys, name, "0123456789")
		defer f.Close()
		n, err := f.WriteVAt([][]byte{[]byte("ab"), nil, []byte("cde")}, 8)
		if n != 5 || err != nil {
			t.Fatalf("WriteVAt = %d, %v", n, err)
		}
		must(t, f.Datasync())
		must(t, f.Sync())
		if got := contents(t, fsys, name); got != "01234567abcde" {
			t.Fatalf("content %q", got)
		}
		must(t, f.Truncate(3))
		must(t, f.Preallocate(9000))
		b := bytes.Repeat([]byte{1}, 10000)
		n2, err := f.ReadAt(b, 0)
		if n2 != 9000 || err != io.EOF || !bytes.Equal(b[:9000], append([]byte("012"), make([]byte, 8997)...)) {
			t.Fatalf("after truncate and preallocate: %d bytes, %v", n2, err)
		}
		must(t, f.Preallocate(10)) // never shrinks
		st, err := f.Stat()
		must(t, err)
		if st.Size() != 9000 || st.Name() != "f" || st.IsDir() {
			t.Fatalf("stat %v %d", st.Name(), st.Size())
		}
		if _, err := f.ReadAt(b[:1], 9000); err != io.EOF {
			t.Fatalf("read at the end: %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		p := func(s string) string { return filepath.Join(dir, s) }
		must(t, fsys.MkdirAll(p("a/b"), 0o755))
		must(t, fsys.MkdirAll(p("a/b"), 0o755))
		must(t, create(t, fsys, p("a/b/f"), "f").Close())
		g := create(t, fsys, p("a/g"), "g")
		defer g.Close()

		want := func(what string, err, target error) {
			t.Helper()
			if !errors.Is(err, target) {
				t.Errorf("%s: %v, want %v", what, err, target)
			}
		}
		_, err := fsys.OpenFile(p("none"), os.O_RDONLY, 0)
		want("open a missing file", err, fs.ErrNotExist)
		_, err = fsys.OpenFile(p("a/g"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		want("create exclusively", err, fs.ErrExist)
		_, err = fsys.Stat(p("none"))
		want("stat", err, fs.ErrNotExist)
		want("rename a missing file", fsys.Rename(p("none"), p("x")), fs.ErrNotExist)
		want("remove a missing file", fsys.Remove(p("none")), fs.ErrNotExist)
		want("remove all of nothing", fsys.RemoveAll(p("none")), nil)
		if err := fsys.Remove(p("a")); err == nil {
			t.Error("removed a directory that is not empty")
		}
		if err := fsys.Rename(p("a"), p("a/b/c")); err == nil {
			t.Error("moved a directory into itself")
		}
		if err := fsys.MkdirAll(p("a/g/h"), 0o755); err == nil {
			t.Error("made a directory below a file")
		}

		must(t, fsys.Rename(p("a/b/f"), p("a/g"))) // replaces
		if got := contents(t, fsys, p("a/g")); got != "f" {
			t.Errorf("a/g holds %q", got)
		}
		b := make([]byte, 1)
		if _, err := g.ReadAt(b, 0); err != nil || b[0] != 'g' {
			t.Errorf("open file after its name was replaced: %q, %v", b, err)
		}
		must(t, fsys.Rename(p("a"), p("z")))
		list, err := fsys.ReadDir(p("z"))
		must(t, err)
		if len(list) != 2 || list[0].Name() != "b" || !list[0].IsDir() || list[1].Name() != "g" || list[1].IsDir() {
			t.Errorf("list %v", list)
		}
		must(t, fsys.SyncDir(p("z")))
		must(t, fsys.RemoveAll(p("z")))
		if list, err := fsys.ReadDir(dir); err != nil || len(list) != 0 {
			t.Errorf("left over: %v, %v", list, err)
		}
	})
}

func TestLockExcludes(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, ".lock")
		l, err := fsys.Lock(name)
		must(t, err)
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Fatalf("second lock: %v", err)
		}
		must(t, l.Close())
		if err := l.Close(); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("second close: %v", err)
		}
		l, err = fsys.Lock(name)
		must(t, err)
		must(t, l.Close())
	})
}

func TestReadFileIsBounded(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "f")
		must(t, create(t, fsys, name, "12345").Close())
		if _, err := ReadFile(fsys, name, 4); err == nil {
			t.Fatal("read more than allowed")
		}
	})
}

// Random programs do the same to a Crash as to the real file system.
func TestCrashIsAFileSystem(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := NewCrash()
		names := rapid.SampledFrom([]string{"a", "b", "d/a", "d/b", "d/e/a"})
		both := func(what string, fn func(fsys FS, root string) error) {
			e1, e2 := fn(OS, dir), fn(c, "/")
			if (e1 == nil) != (e2 == nil) {
				t.Fatalf("%s: os %v, crash %v", what, e1, e2)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"mkdir": func(t *rapid.T) {
				n := rapid.SampledFrom([]string{"d", "d/e"}).Draw(t, "name")
				both("mkdir "+n, func(f FS, r string) error { return f.MkdirAll(filepath.Join(r, n), 0o755) })
			},
			"write": func(t *rapid.T) {
				n, off := names.Draw(t, "name"), rapid.Int64Range(0, 9000).Draw(t, "off")
				data := rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(t, "data")
				trunc := rapid.SampledFrom([]int{0, os.O_TRUNC}).Draw(t, "trunc")
				both("write "+n, func(f FS, r string) error {
					file, err := f.OpenFile(filepath.Join(r, n), os.O_CREATE|os.O_RDWR|trunc, 0o644)
					if err != nil {
						return err
					}
					defer file.Close()
					_, err = file.WriteAt(data, off)
					return err
				})
			},
			"truncate": func(t *rapid.T) {
				n, size := names.Draw(t, "name"), rapid.Int64Range(0, 9000).Draw(t, "size")
				both("truncate "+n, func(f FS, r string) error {
					file, err := f.OpenFile(filepath.Join(r, n), os.O_RDWR, 0)
					if err != nil {
						return err
					}
					defer file.Close()
					return file.Truncate(size)
				})
			},
			"rename": func(t *rapid.T) {
				a, b := names.Draw(t, "old"), names.Draw(t, "new")
				both("rename "+a+" "+b, func(f FS, r string) error { return f.Rename(filepath.Join(r, a), filepath.Join(r, b)) })
			},
			"remove": func(t *rapid.T) {
				n := names.Draw(t, "name")
				both("remove "+n, func(f FS, r string) error { return f.Remove(filepath.Join(r, n)) })
			},
			"removeAll": func(t *rapid.T) {
				n := rapid.SampledFrom([]string{"a", "d/e", "d"}).Draw(t, "name")
				both("remove all "+n, func(f FS, r string) error { return f.RemoveAll(filepath.Join(r, n)) })
			},
			"": func(t *rapid.T) {
				for _, n := range []string{"a", "b", "d/a", "d/b", "d/e/a"} {
					b1, e1 := ReadFile(OS, filepath.Join(dir, n), 1<<20)
					b2, e2 := ReadFile(c, "/"+n, 1<<20)
					if (e1 == nil) != (e2 == nil) || !bytes.Equal(b1, b2) {
						t.Fatalf("%s: os %d bytes (%v), crash %d bytes (%v)", n, len(b1), e1, len(b2), e2)
					}
				}
			},
		})
	})
}
