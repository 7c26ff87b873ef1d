package zkdata

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"

	"ottla/coord/wire"
)

const (
	snapshotMagic = 0x5a4b534e // ZKSN
	logMagic      = 0x5a4b4c47 // ZKLG
	formatVersion = 2
	digestVersion = 2
)

// ReadSnapshot reads a snapshot that is not compressed. Its Zxid is the one stored in it, 0 if it is older than 3.9. The tree is as it was
// written, possibly while it changed: only a log can make it whole.
func ReadSnapshot(r io.Reader) (*Database, error) {
	d, err := readSnapshot(r)
	if err != nil {
		return nil, err
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	return d, nil
}

func readSnapshot(r io.Reader) (*Database, error) {
	j := newJuteReader(r)
	if j.int() != snapshotMagic || j.int() != formatVersion {
		return nil, errors.New("it does not begin like a snapshot of ZooKeeper")
	}
	j.long()
	d := newDatabase()
	for n := j.int(); n > 0 && j.err == nil; n-- {
		id := j.long()
		d.Sessions[id] = j.int()
	}
	for n := j.int(); n > 0 && j.err == nil; n-- {
		id := j.long()
		list := []wire.ACL{}
		for m := j.int(); m > 0 && j.err == nil; m-- {
			a := wire.ACL{Perms: j.int()}
			a.Scheme, a.ID.ID = string(j.buffer()), string(j.buffer())
			list = append(list, a)
		}
		d.lists.load(id, list)
	}
	for j.err == nil {
		path := string(j.buffer())
		if path == "/" || j.err != nil {
			break
		}
		n := &Node{Data: j.buffer(), list: j.long(), Czxid: j.long(), Mzxid: j.long(), Ctime: j.long(), Mtime: j.long(),
			Version: j.int(), Created: j.int(), Aversion: j.int(), Owner: j.long(), Pzxid: j.long()}
		if path == "" {
			path = "/"
		}
		if parent, _ := split(path); path != "/" && (path[0] != '/' || d.Nodes[parent] == nil) {
			j.fail(fmt.Errorf("node %q has no parent", path))
		} else if d.Nodes[path] != nil {
			j.fail(fmt.Errorf("node %q is there twice", path))
		} else {
			d.put(path, n)
			d.lists.use(n.list, 1)
		}
	}
	if d.Nodes["/"] == nil {
		j.fail(errors.New("the root is missing"))
	}
	j.seal()
	d.lists.purge()
	if rest, _ := j.r.Peek(34); len(rest) > 21 { // digest: 20 bytes and a seal of 13; last zxid: 8 and a seal
		j.long()
		j.int()
		j.long()
		j.seal()
	}
	if !j.end() {
		d.Zxid = j.long()
		j.seal()
	}
	if j.err != nil {
		return nil, j.err
	}
	return d, nil
}

// decompress undoes what the name of a snapshot says.
func decompress(name string, r io.Reader) (io.Reader, error) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		return gzip.NewReader(r)
	case strings.HasSuffix(name, ".snappy"):
		return newSnappyReader(r)
	}
	return r, nil
}

// snappyReader reads what Java's SnappyOutputStream writes: "\x82SNAPPY\0" version i32, compatible version i32, (length i32, block)*.
type snappyReader struct {
	r    *bufio.Reader
	in   []byte
	out  []byte
	left []byte
}

const snappyBlockMax = 64 << 20

func newSnappyReader(r io.Reader) (io.Reader, error) {
	var head [16]byte
	br := bufio.NewReader(r)
	if _, err := io.ReadFull(br, head[:]); err != nil || string(head[:8]) != "\x82SNAPPY\x00" {
		return nil, errors.New("it does not begin like a snappy stream")
	}
	return &snappyReader{r: br}, nil
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.left) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(s.r, size[:]); err != nil {
			return 0, err
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > snappyBlockMax {
			return 0, fmt.Errorf("a snappy block of %d bytes", n)
		}
		if int(n) > cap(s.in) {
			s.in = make([]byte, n)
		}
		if _, err := io.ReadFull(s.r, s.in[:n]); err != nil {
			return 0, err
		}
		if size, err := s2.DecodedLen(s.in[:n]); err != nil || size > snappyBlockMax {
			return 0, fmt.Errorf("a snappy block that unfolds to %d bytes: %w", size, errors.Join(err, s2.ErrCorrupt))
		}
		var err error
		if s.out, err = s2.Decode(s.out[:cap(s.out)], s.in[:n]); err != nil {
			return 0, err
		}
		s.left = s.out
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// Source is what WriteSnapshot writes.
type Source struct {
	Zxid     int64
	Sessions map[int64]int32 // timeouts in ms
	// Nodes calls yield for every node, parents before children.
	Nodes func(yield func(path string, n *Node) error) error
}

// Source is the database as WriteSnapshot takes it.
func (d *Database) Source() Source {
	return Source{Zxid: d.Zxid, Sessions: d.Sessions, Nodes: func(yield func(string, *Node) error) error {
		for _, p := range d.Paths() {
			if err := yield(p, d.Nodes[p]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// WriteSnapshot writes a snapshot with all that version 3.9 expects. It reads the nodes twice, first for their lists.
func WriteSnapshot(w io.Writer, src Source) error {
	sum := adler32.New()
	bw := bufio.NewWriterSize(w, 256<<10)
	var b []byte
	flush := func() error {
		sum.Write(b)
		_, err := bw.Write(b)
		b = b[:0]
		return err
	}
	seal := func() error {
		if err := flush(); err != nil {
			return err
		}
		b = wire.AppendString(wire.AppendLong(b, int64(sum.Sum32())), "/")
		return flush()
	}
	numbers := map[string]int64{}
	var lists []string
	err := src.Nodes(func(_ string, n *Node) error {
		text := string(wire.AppendACLs(nil, n.ACL))
		if numbers[text] == 0 {
			lists = append(lists, text)
			numbers[text] = int64(len(lists))
		}
		return nil
	})
	if err != nil {
		return err
	}
	b = wire.AppendLong(wire.AppendInt(wire.AppendInt(b, snapshotMagic), formatVersion), -1)
	b = wire.AppendInt(b, int32(len(src.Sessions)))
	ids := make([]int64, 0, len(src.Sessions))
	for id := range src.Sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b = wire.AppendInt(wire.AppendLong(b, id), src.Sessions[id])
	}
	b = wire.AppendInt(b, int32(len(lists)))
	for i, text := range lists {
		b = append(wire.AppendLong(b, int64(i+1)), text...)
	}
	err = src.Nodes(func(path string, n *Node) error {
		if path == "/" {
			path = ""
		}
		b = wire.AppendLong(wire.AppendBuffer(wire.AppendString(b, path), n.Data), numbers[string(wire.AppendACLs(nil, n.ACL))])
		for _, v := range [...]int64{n.Czxid, n.Mzxid, n.Ctime, n.Mtime} {
			b = wire.AppendLong(b, v)
		}
		for _, v := range [...]int32{n.Version, n.Created, n.Aversion} {
			b = wire.AppendInt(b, v)
		}
		b = wire.AppendLong(wire.AppendLong(b, n.Owner), n.Pzxid)
		return flush()
	})
	if err != nil {
		return err
	}
	b = wire.AppendString(b, "/")
	if err := seal(); err != nil {
		return err
	}
	// No digest: a zxid of 0 says that there is none to compare with.
	b = wire.AppendLong(wire.AppendInt(wire.AppendLong(b, 0), digestVersion), 0)
	if err := seal(); err != nil {
		return err
	}
	b = wire.AppendLong(b, src.Zxid)
	if err := seal(); err != nil {
		return err
	}
	return bw.Flush()
}
