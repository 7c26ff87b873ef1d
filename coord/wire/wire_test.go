package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"testing/iotest"
)

func TestPrimitives(t *testing.T) {
	b := AppendInt(nil, -2)
	b = AppendLong(b, math.MinInt64)
	b = AppendBool(AppendBool(b, true), false)
	b = AppendBuffer(AppendBuffer(AppendBuffer(b, nil), []byte{}), []byte("x"))
	b = AppendString(b, "é")
	d := NewDecoder(b)
	if i, l := d.Int(), d.Long(); i != -2 || l != math.MinInt64 {
		t.Errorf("int %d, long %d", i, l)
	}
	if a, b := d.Bool(), d.Bool(); !a || b {
		t.Errorf("bools %v %v", a, b)
	}
	if v := d.Buffer(); v != nil {
		t.Errorf("null buffer %#v", v)
	}
	if v := d.Buffer(); v == nil || len(v) != 0 {
		t.Errorf("empty buffer %#v", v)
	}
	if a, b := d.Buffer(), d.String(); string(a) != "x" || string(b) != "é" {
		t.Errorf("%q %q", a, b)
	}
	if d.Err() != nil || len(d.Rest()) != 0 {
		t.Errorf("%v, %x left", d.Err(), d.Rest())
	}
}

// Every error sticks, and nothing is read behind it.
func TestDecoderErrors(t *testing.T) {
	for name, read := range map[string]func(d *Decoder){
		"int":             func(d *Decoder) { d.Int() },
		"long":            func(d *Decoder) { d.Long() },
		"stat":            func(d *Decoder) { d.Stat() },
		"negative length": func(d *Decoder) { d.b = AppendInt(nil, -2); d.Buffer() },
		"long length":     func(d *Decoder) { d.b = append(AppendInt(nil, 9), 1, 2, 3); d.Buffer() },
		"huge length":     func(d *Decoder) { d.b = AppendInt(nil, math.MaxInt32); d.Buffer() },
		"negative count":  func(d *Decoder) { d.b = AppendInt(nil, -2); d.Count(4) },
		"huge count":      func(d *Decoder) { d.b = append(AppendInt(nil, math.MaxInt32), 1, 2, 3, 4); d.Count(4) },
		"ACL cut short":   func(d *Decoder) { d.b = append(AppendInt(nil, 1), make([]byte, 12)...)[:15]; d.ACLs() },
	} {
		d := NewDecoder([]byte{1, 2, 3})
		read(&d)
		if !errors.Is(d.Err(), ErrShort) || d.Bool() || d.Int() != 0 || len(d.Rest()) != 0 {
			t.Errorf("%s: error %v, rest %x", name, d.Err(), d.Rest())
		}
	}
}

func TestACLs(t *testing.T) {
	for _, acls := range [][]ACL{
		OpenACL,
		{{Perms: 1, ID: ID{"ip", "1.2.3.4"}}},
		{OpenACL[0], {Perms: -1, ID: ID{"digest", "u:h"}}},
		{{Perms: 30, ID: WorldAnyone}},
	} {
		d := NewDecoder(append(AppendACLs(nil, acls), 7))
		got, null := d.ACLs()
		if null || d.Err() != nil || len(got) != len(acls) || len(d.Rest()) != 1 {
			t.Fatalf("%v: got %v, null %v, error %v", acls, got, null, d.Err())
		}
		for i := range acls {
			if got[i] != acls[i] {
				t.Errorf("%v: got %v", acls, got)
			}
		}
	}
	d := NewDecoder(AppendInt(nil, -1))
	if got, null := d.ACLs(); got != nil || !null {
		t.Errorf("null list: %v %v", got, null)
	}
	d = NewDecoder(AppendACLs(nil, OpenACL))
	if n := testing.AllocsPerRun(100, func() { d := d; d.ACLs() }); n != 0 {
		t.Errorf("the open list costs %v allocations", n)
	}
}

func TestConnect(t *testing.T) {
	for _, r := range []ConnectRequest{
		{}, {Password: []byte{}}, {LastZxidSeen: 5, TimeoutMs: 6, SessionID: 7, Password: []byte("0123456789abcdef"), HasReadOnly: true, ReadOnly: true},
		{ProtocolVersion: 9, HasReadOnly: true},
	} {
		b := AppendConnectRequest(nil, &r)
		got, err := DecodeConnectRequest(b[4:])
		if err != nil || got.SessionID != r.SessionID || got.HasReadOnly != r.HasReadOnly || got.ReadOnly != r.ReadOnly ||
			!bytes.Equal(got.Password, r.Password) || (got.Password == nil) != (r.Password == nil) || got.LastZxidSeen != r.LastZxidSeen {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
	for _, has := range []bool{false, true} {
		want := 4 + 36
		if has {
			want++
		}
		if b := AppendConnectResponse(nil, &ConnectResponse{HasReadOnly: has}); len(b) != want {
			t.Errorf("response of %d bytes, want %d", len(b), want)
		}
	}
}

// Frames come out whole however the stream is cut.
func TestBuffer(t *testing.T) {
	var stream []byte
	var want [][]byte
	for _, n := range []int{0, 1, 3, 4090, 4096, 5000, 70000, 10, 0, 300000, 1} {
		f := bytes.Repeat([]byte{byte(n)}, n)
		want = append(want, f)
		stream = append(AppendInt(stream, int32(n)), f...)
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with error": iotest.DataErrReader,
	} {
		var buf Buffer
		src := wrap(bytes.NewReader(stream))
		for i := 0; i < len(want); {
			f, err := buf.Next(300000)
			if err != nil {
				t.Fatal(err)
			}
			if f == nil {
				if err := buf.Fill(src); err != nil {
					t.Fatalf("%s: frame %d: %v", name, i, err)
				}
				continue
			}
			if !bytes.Equal(f, want[i]) {
				t.Fatalf("%s: frame %d has %d bytes, want %d", name, i, len(f), len(want[i]))
			}
			i++
		}
		if buf.Buffered() != 0 {
			t.Errorf("%s: %d bytes left", name, buf.Buffered())
		}
	}
}

func TestBufferLimits(t *testing.T) {
	for n, want := range map[int32]error{100: nil, 101: ErrFrameLength, -1: ErrFrameLength, math.MaxInt32: ErrFrameLength} {
		var buf Buffer
		if err := buf.Fill(bytes.NewReader(AppendInt(nil, n))); err != nil {
			t.Fatal(err)
		}
		if f, err := buf.Next(100); f != nil || !errors.Is(err, want) {
			t.Errorf("length %d: %v, %v", n, f, err)
		}
	}
	// A claim costs nothing.
	var buf Buffer
	if err := buf.Fill(bytes.NewReader(append(AppendInt(nil, MaxFrame), 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := buf.Next(MaxFrame); err != nil || len(buf.b) > bufferSmall {
		t.Errorf("%d bytes for a claim, %v", len(buf.b), err)
	}
	if buf.Peek(6) != nil || !bytes.Equal(buf.Peek(4), AppendInt(nil, MaxFrame)) {
		t.Error("peek")
	}
}

// A connection that is quiet again gives its large buffer back.
func TestBufferShrinks(t *testing.T) {
	var buf Buffer
	feed := func(n int) {
		r := bytes.NewReader(append(AppendInt(nil, int32(n)), make([]byte, n)...))
		for {
			if err := buf.Fill(r); err != nil {
				t.Fatal(err)
			}
			if f, err := buf.Next(MaxFrame); err != nil {
				t.Fatal(err)
			} else if f != nil {
				return
			}
		}
	}
	feed(500000)
	if len(buf.b) < 500000 {
		t.Fatalf("%d bytes hold a frame of 500000", len(buf.b))
	}
	for range 2 * quietReads {
		feed(10)
	}
	if len(buf.b) != bufferSmall {
		t.Errorf("%d bytes kept", len(buf.b))
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(AppendACLs(AppendBuffer(AppendString(nil, "/a"), []byte("x")), OpenACL), []byte{0, 1, 2, 3})
	f.Add(AppendStat(nil, &Stat{Czxid: 1}), []byte{4})
	f.Fuzz(func(t *testing.T, b, calls []byte) {
		d := NewDecoder(b)
		for _, c := range calls {
			before := len(d.Rest())
			switch c % 7 {
			case 0:
				d.Buffer()
			case 1:
				if acls, _ := d.ACLs(); len(acls) > len(b)/aclBytesMin {
					t.Fatalf("%d entries from %d bytes", len(acls), len(b))
				}
			case 2:
				d.Int()
			case 3:
				d.Long()
			case 4:
				d.Stat()
			case 5:
				d.Bool()
			case 6:
				if n, _ := d.Count(4); 4*n > len(b) {
					t.Fatalf("count %d from %d bytes", n, len(b))
				}
			}
			if len(d.Rest()) > before || d.Err() != nil && len(d.Rest()) != 0 {
				t.Fatal("rest grew, or is left after an error")
			}
		}
	})
}

func FuzzConnectRequest(f *testing.F) {
	f.Add(AppendConnectRequest(nil, &ConnectRequest{Password: make([]byte, 16), HasReadOnly: true})[4:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeConnectRequest(b)
		if err == nil {
			again, err := DecodeConnectRequest(AppendConnectRequest(nil, &r)[4:])
			if err != nil || again.SessionID != r.SessionID || !bytes.Equal(again.Password, r.Password) {
				t.Fatalf("%+v came back as %+v, %v", r, again, err)
			}
		}
	})
}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 9, 0, 0, 0, 0, 255, 255, 255, 255}, byte(3))
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		var buf Buffer
		r := bytes.NewReader(stream)
		read := 0
		for {
			frame, err := buf.Next(1000)
			if err != nil {
				return
			}
			if frame != nil {
				if read += 4 + len(frame); !bytes.Equal(frame, stream[read-len(frame):read]) {
					t.Fatal("a frame is not what was sent")
				}
				continue
			}
			if buf.Fill(io.LimitReader(r, int64(step)+1)) != nil {
				return
			}
		}
	})
}
