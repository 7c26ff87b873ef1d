package zkdata

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	"ottla/coord/tree"
	"ottla/coord/wire"
)

// unpack makes a copy of a recorded directory and returns it.
func unpack(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(filepath.Join("testdata", name+".tar.gz"))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		must(t, err)
		if h.Typeflag == tar.TypeDir {
			continue
		}
		b, err := io.ReadAll(r)
		must(t, err)
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, b, 0o644))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorded is a node as the recorder printed what ZooKeeper serves.
type recorded struct {
	Path   string
	Text   string
	Base64 string
	Null   bool
	ACL    []struct {
		Scheme, ID string
		Perms      int32
	}
	Stat wire.Stat
}

// served is the tree that ZooKeeper 3.9 served from a directory.
func served(t testing.TB, name string) map[string]recorded {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	var list []recorded
	must(t, json.NewDecoder(z).Decode(&list))
	nodes := map[string]recorded{}
	for _, n := range list {
		nodes[n.Path] = n
	}
	return nodes
}

// shown is the database as a client would see it.
func shown(d *Database) map[string]recorded {
	nodes := map[string]recorded{}
	for path, n := range d.Nodes {
		r := recorded{Path: path, Null: n.Data == nil}
		if text := string(n.Data); strings.ToValidUTF8(text, "") == text {
			r.Text = text
		} else {
			r.Base64 = base64.StdEncoding.EncodeToString(n.Data)
		}
		for _, a := range n.ACL {
			r.ACL = append(r.ACL, struct {
				Scheme, ID string
				Perms      int32
			}{a.Scheme, a.ID.ID, a.Perms})
		}
		r.Stat = wire.Stat{Czxid: n.Czxid, Mzxid: n.Mzxid, Ctime: n.Ctime, Mtime: n.Mtime, Version: n.Version,
			Cversion: 2*n.Created - int32(n.Children()), Aversion: n.Aversion, EphemeralOwner: n.ephemeral(),
			DataLength: int32(len(n.Data)), NumChildren: int32(n.Children()), Pzxid: n.Pzxid}
		nodes[path] = r
	}
	return nodes
}

func same(t testing.TB, got, want map[string]recorded) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the tree is not what ZooKeeper serves (-want +got):\n%.4000s", diff)
	}
}

// The directories, and what ZooKeeper 3.9 made of them at its start.
func TestReadAsZooKeeperDoes(t *testing.T) {
	for _, c := range []struct {
		name, want   string
		transactions int
		sessions     int
		spoil        func(log []byte) []byte
		note, err    string
		salvage      bool
	}{
		{name: "clean", want: "clean", transactions: 61, sessions: 2},
		{name: "killed", want: "killed", transactions: 143, sessions: 5},
		{name: "killed", want: "killed-cut", transactions: 142, sessions: 5, spoil: func(b []byte) []byte { return b[:len(b)-24] }, note: "unfinished transaction"},
		{name: "killed", want: "killed-cut", transactions: 142, sessions: 5, spoil: func(b []byte) []byte { clear(b[len(b)-24:]); return b }, note: "unfinished transaction"},
		{name: "killed", spoil: func(b []byte) []byte { b[len(b)-24] ^= 1; return b }, err: "wrong checksum"},
		{name: "killed", want: "killed-cut", transactions: 142, sessions: 5, spoil: func(b []byte) []byte { b[len(b)-24] ^= 1; return b }, salvage: true, note: "given up"},
	} {
		dir := unpack(t, c.name)
		if c.spoil != nil {
			path := filepath.Join(dir, "version-2", "log.4f2")
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, append(c.spoil(bytes.TrimRight(b, "\x00")), make([]byte, 100)...), 0o644))
		}
		d, rep, err := Read(Options{Dir: dir, Salvage: c.salvage})
		if c.err != "" {
			var damage *DamageError
			if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s spoilt: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		must(t, err)
		same(t, shown(d), served(t, c.want))
		if rep.Transactions != c.transactions || len(d.Sessions) != c.sessions {
			t.Errorf("%s: %d transactions, %d sessions, want %d and %d", c.name, rep.Transactions, len(d.Sessions), c.transactions, c.sessions)
		}
		if notes := strings.Join(rep.Notes, "\n"); c.note == "" != (notes == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%s: notes %q, want %q", c.name, notes, c.note)
		}
	}
}

// A damaged snapshot is passed over for the one before it, whose logs are longer; the result is the same.
func TestOlderSnapshot(t *testing.T) {
	want := served(t, "killed")
	dir := unpack(t, "killed")
	snapshots, err := list(filepath.Join(dir, "version-2"), "snapshot.")
	must(t, err)
	for len(snapshots) > 1 {
		last := snapshots[len(snapshots)-1]
		snapshots = snapshots[:len(snapshots)-1]
		b, err := os.ReadFile(last.path)
		must(t, err)
		must(t, os.WriteFile(last.path, b[:len(b)*2/3], 0o644))
		d, rep, err := Read(Options{Dir: dir})
		must(t, err)
		if rep.SnapshotZxid != snapshots[len(snapshots)-1].zxid || !strings.Contains(strings.Join(rep.Notes, "\n"), "passed over") {
			t.Errorf("%+v", rep)
		}
		same(t, shown(d), want)
	}
	must(t, os.Remove(snapshots[0].path))
	for _, f := range must2(t, dir) {
		must(t, os.Remove(f.path))
	}
	if _, _, err := Read(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "--trust-empty") {
		t.Errorf("logs without a snapshot: %v", err)
	}
	d, _, err := Read(Options{Dir: dir, TrustEmpty: true})
	must(t, err)
	same(t, shown(d), want)
}

func must2(t *testing.T, dir string) []file {
	files, err := list(filepath.Join(dir, "version-2"), "snapshot.")
	must(t, err)
	return files
}

func TestWriteSnapshot(t *testing.T) {
	for _, name := range []string{"clean", "killed"} {
		d, _, err := Read(Options{Dir: unpack(t, name)})
		must(t, err)
		var plain bytes.Buffer
		must(t, WriteSnapshot(&plain, d.Source()))
		var gz, snappy bytes.Buffer
		z := gzip.NewWriter(&gz)
		z.Write(plain.Bytes())
		must(t, z.Close())
		snappy.WriteString("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
		for rest := plain.Bytes(); len(rest) > 0; {
			n := min(len(rest), 1000)
			block := s2.EncodeSnappy(nil, rest[:n])
			snappy.Write(wire.AppendInt(nil, int32(len(block))))
			snappy.Write(block)
			rest = rest[n:]
		}
		for ending, b := range map[string][]byte{"": plain.Bytes(), ".gz": gz.Bytes(), ".snappy": snappy.Bytes()} {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "snapshot.57e"+ending), b, 0o644))
			got, rep, err := Read(Options{Dir: dir})
			must(t, err)
			if got.Zxid != 0x57e || !cmp.Equal(got.Sessions, d.Sessions) || len(rep.Notes) > 0 {
				t.Errorf("%s%s: zxid 0x%x, sessions %v, %+v", name, ending, got.Zxid, got.Sessions, rep)
			}
			same(t, shown(got), shown(d))
			for path, n := range got.Nodes {
				if n.Owner != d.Nodes[path].Owner {
					t.Errorf("%s belongs to %x, was %x", path, n.Owner, d.Nodes[path].Owner)
				}
			}
		}
		if s, err := ReadSnapshot(bytes.NewReader(plain.Bytes())); err != nil || s.Zxid != d.Zxid {
			t.Errorf("the zxid in the snapshot: %v", err)
		}
	}
}

// What java.util.Random gives, and so ZooKeeper.
func TestPassword(t *testing.T) {
	if got := Password(0x100003b1beb0001); got == Password(0x100003b1beb0002) || got == [16]byte{} {
		t.Errorf("%x", got)
	}
}

// A child that came back before its parent, as a fuzzy snapshot may have it, is kept; one whose parent never does is dropped.
func TestFuzzyOrphans(t *testing.T) {
	d := fresh()
	must(t, d.create("/a", nil, wire.OpenACL, 0, 1, 5, 1))
	must(t, d.create("/a/c", []byte("x"), wire.OpenACL, 0, 1, 9, 1))
	must(t, d.create("/b", nil, wire.OpenACL, 0, 2, 6, 1))
	must(t, d.create("/b/c", nil, wire.OpenACL, tree.ContainerOwner, 1, 6, 1))
	must(t, d.remove("/a", 7))
	must(t, d.create("/a", nil, wire.OpenACL, 0, 3, 8, 1))
	if err := d.create("/a/c", []byte("x"), wire.OpenACL, 0, 1, 9, 1); err != errNode {
		t.Errorf("%v", err)
	}
	must(t, d.remove("/b", 10))
	must(t, d.finish())
	if d.Nodes["/a"].Children() != 1 || d.Nodes["/a"].Created != 1 || d.Nodes["/b/c"] != nil {
		t.Errorf("%+v %+v", d.Nodes["/a"], d.Nodes["/b/c"])
	}
}

func FuzzReadSnapshot(f *testing.F) {
	d, _, err := Read(Options{Dir: unpack(f, "clean")})
	must(f, err)
	var b bytes.Buffer
	must(f, WriteSnapshot(&b, d.Source()))
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:200])
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ReadSnapshot(bytes.NewReader(b))
		if (d == nil) != (err != nil) {
			t.Fatal("neither a database nor an error")
		}
	})
}

func FuzzReplay(f *testing.F) {
	dir := unpack(f, "clean")
	b, err := os.ReadFile(filepath.Join(dir, "version-2", "log.1"))
	must(f, err)
	j := newJuteReader(bytes.NewReader(b[16:]))
	for {
		j.long()
		e := j.buffer()
		if j.int8(); len(e) == 0 {
			break
		}
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		d := fresh()
		d.Sessions[1] = 1
		if _, err := d.replay(entry); err == nil {
			_ = d.finish() // a path that no client could have made is an error there
		}
	})
}
