package shape

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plenty is a limit that no test body reaches by honest means.
var plenty = Limits{Decoded: 1 << 20, Struct: 200}

// line is a body out of testdata/messages.
type line struct {
	kind         byte // Q or P
	key, version int16
	body         []byte
	verdict      string // of cases.txt.gz: bytes left, or x
}

func (l line) String() string {
	return fmt.Sprintf("%c %d v%d %x", l.kind, l.key, l.version, l.body)
}

func (l line) shape() (*Shape, bool) {
	if l.kind == 'Q' {
		return Request(l.key, l.version)
	}
	return Response(l.key, l.version)
}

// lines reads a file of testdata/messages: the columns of the version and the body, and of the verdict if there is one.
func lines(t testing.TB, name string, version, body, verdict int) []line {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "testdata", "messages", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []line
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		c := strings.Split(in.Text(), " ")
		l := line{kind: c[0][0]}
		for i, to := range map[int]*int16{1: &l.key, version: &l.version} {
			v, err := strconv.ParseInt(c[i], 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			*to = int16(v)
		}
		if l.body, err = hex.DecodeString(strings.TrimSuffix(c[body], ".")); err != nil {
			t.Fatal(err)
		}
		if verdict > 0 {
			l.verdict = c[verdict]
		}
		all = append(all, l)
	}
	if in.Err() != nil || len(all) == 0 {
		t.Fatalf("%s: %d lines, %v", name, len(all), in.Err())
	}
	return all
}

func vectors(t testing.TB) []line { return lines(t, "messages.txt.gz", 3, 5, 0) }

// TestVectors: every body that Apache Kafka's schemas wrote passes and is read whole, and no part of it passes.
func TestVectors(t *testing.T) {
	requests, responses, cuts := 0, 0, 0
	for _, v := range vectors(t) {
		s, ok := v.shape()
		switch {
		case ok && v.kind == 'Q':
			requests++
		case ok:
			responses++
		case v.kind == 'Q':
			t.Fatalf("%s: no shape", v)
		default:
			continue
		}
		if read, _, err := s.Check(v.body, plenty); err != nil || read != len(v.body) {
			t.Errorf("%s: read %d of %d, %v", v, read, len(v.body), err)
		}
		for n := range v.body {
			if _, _, err := s.Check(v.body[:n:n], plenty); err == nil {
				t.Fatalf("%s: passes when cut at %d", v, n)
			}
			cuts++
		}
	}
	t.Logf("%d requests, %d responses, %d cuts", requests, responses, cuts)
	if requests != 6*286 {
		t.Errorf("%d requests", requests)
	}
}

// TestVerdicts compares with what Apache Kafka's message classes read, on bodies of which most are broken in some place.
func TestVerdicts(t *testing.T) {
	same, explained := 0, map[string]int{}
	for _, c := range lines(t, "cases.txt.gz", 2, 3, 4) {
		s, ok := c.shape()
		if !ok {
			t.Fatalf("%s: no shape", c)
		}
		read, _, err := s.Check(c.body, plenty)
		ours := "x"
		if err == nil {
			ours = strconv.Itoa(len(c.body) - read)
		}
		var e *Error
		switch errors.As(err, &e); {
		case ours == c.verdict:
			same++
		case e != nil && (e.Reason == varint || e.Reason == tagSize):
			explained[e.Reason]++
		default:
			t.Errorf("%s: %s left, Apache Kafka has %s left; %v", c, ours, c.verdict, err)
		}
	}
	t.Logf("%d verdicts are the same; explained: %v", same, explained)
}

func mustRequest(t testing.TB, key, version int16) *Shape {
	t.Helper()
	s, ok := Request(key, version)
	if !ok {
		t.Fatalf("no shape of request %d v%d", key, version)
	}
	return s
}

// A frame of testdata/wire: key, version, correlation id, client id, in flexible versions tags, and the body.
func frameBody(t testing.TB, frame []byte, flexible bool) []byte {
	t.Helper()
	n := max(int(int16(binary.BigEndian.Uint16(frame[8:]))), 0)
	b := frame[10+n:]
	if flexible {
		if b[0] != 0 {
			t.Fatalf("%x: the header has tags", frame)
		}
		b = b[1:]
	}
	return b
}

// TestRecordedRequests: what clients have sent to a broker of Apache Kafka passes.
func TestRecordedRequests(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/wire/*/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if filepath.Base(filepath.Dir(name)) == "oracle" {
			continue // odd ones too, on purpose
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for in := json.NewDecoder(z); ; n++ {
			var exchange struct{ What, Request, Response string }
			if err := in.Decode(&exchange); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			frame, err := hex.DecodeString(exchange.Request)
			if err != nil {
				t.Fatal(err)
			}
			key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
			s := mustRequest(t, key, version)
			flexible := len(s.ops) > 0 && s.ops[len(s.ops)-1].kind == tags
			body := frameBody(t, frame, flexible)
			if read, _, err := s.Check(body, plenty); err != nil || read != len(body) {
				t.Errorf("%s: %s: request %d v%d %x: read %d, %v", name, exchange.What, key, version, body, read, err)
			}
		}
		t.Logf("%s: %d", name, n)
	}
}

func uvarint(v uint64) string { return string(binary.AppendUvarint(nil, v)) }

// TestHostile: claims that nothing stands behind are refused for the right reason and at once.
func TestHostile(t *testing.T) {
	const heartbeat = "\x02g\x00\x00\x00\x01\x02m\x00" // version 4 up to its tags
	big := strings.Repeat("\x01", 50<<20)
	for _, c := range []struct {
		what         string
		key, version int16
		body         string
		reason       string
	}{
		{"2^25 tags", 12, 4, heartbeat + uvarint(1<<25), tooLong},
		{"2^31-1 tags", 12, 4, heartbeat + uvarint(1<<31-1), tooLong},
		{"2^32-1 tags", 12, 4, heartbeat + uvarint(1<<32-1), varint},
		{"2^63 tags", 12, 4, heartbeat + uvarint(1<<63), varint},
		{"a uvarint without an end", 12, 4, heartbeat + "\x80\x80\x80\x80\x80\x80", varint},
		{"a uvarint that is cut off", 12, 4, heartbeat + "\x80", cut},
		{"a tag of 2 GB", 12, 4, heartbeat + "\x01\x07" + uvarint(1<<31-1), tooLong},
		{"a tag one byte too long", 12, 4, heartbeat + "\x01\x07\x02x", tooLong},
		{"tags cut off", 12, 4, heartbeat + "\x02\x07\x01x\x08", cut},
		{"a string of 2 GB", 12, 4, uvarint(1<<31-1) + "g", longText},
		{"a string one byte too long", 12, 0, "\x00\x02g", tooLong},
		{"a string too long for Apache Kafka", 12, 4, uvarint(textMax+2) + big, longText},
		{"no string", 12, 0, "\xff\xff", isNull},
		{"no compact string", 12, 4, "\x00", isNull},
		{"bytes of 2 GB", 36, 0, "\x7f\xff\xff\xff", tooLong},
		{"no bytes", 36, 1, "\xff\xff\xff\xff", isNull},
		{"an array of 2^31-1", 16, 4, uvarint(1<<31-1) + big, tooLong},
		{"an array of 2^31-1 numbers", 6, 4, "\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff" + big, tooLong},
		{"topics that cannot fit into what is left", 8, 2, "\x00\x01g\x00\x00\x00\x00\x00\x01mtimemill\x00\x00\x00\x10" + strings.Repeat("\x00", 0x10*6-1), tooLong},
		{"no array", 8, 0, "\x00\x01g\xff\xff\xff\xff", isNull},
		{"17 million strings", 16, 4, uvarint(uint64(len(big))) + big, tooMuch},
		{"12 million structures", 9, 8, uvarint(12e6) + big, tooMuch},
		{"25 million tags", 12, 4, heartbeat + uvarint(25e6) + big, tooMuch},
	} {
		begin := time.Now()
		_, _, err := mustRequest(t, c.key, c.version).Check([]byte(c.body), plenty)
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.reason || e.Offset < 0 || e.Offset > len(c.body) {
			t.Errorf("%s: %v", c.what, err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s: took %v", c.what, took)
		}
	}
}

// TestTags: what Apache Kafka takes besides the usual.
func TestTags(t *testing.T) {
	const heartbeat = "\x02g\x00\x00\x00\x01\x02m\x00"
	for what, tags := range map[string]string{
		"none":             "\x00",
		"unknown":          "\x02\x07\x01x\x08\x00",
		"in any order":     "\x02\x08\x01x\x07\x00",
		"twice":            "\x02\x07\x01x\x07\x00",
		"none, at length":  "\x80\x80\x80\x80\x00",
		"and more behind":  "\x00rest",
		"the highest":      "\x01\xff\xff\xff\xff\x07\x00",
		"and long lengths": "\x01\x87\x00\x81\x00x",
	} {
		read, _, err := mustRequest(t, 12, 4).Check([]byte(heartbeat+tags), plenty)
		if want := len(heartbeat) + len(strings.TrimSuffix(tags, "rest")); err != nil || read != want {
			t.Errorf("%s: read %d of %d, %v", what, read, want, err)
		}
	}
	// UpdateMetadata v8 knows tag 0, a byte.
	const update = "\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01"
	for tags, want := range map[string]string{"\x01\x00\x01\x02": "", "\x02\x07\x00\x00\x01\x02": "", "\x01\x00\x02\x02\x02": tagSize, "\x01\x00\x00\x02": tagSize} {
		_, _, err := mustRequest(t, 6, 8).Check([]byte(update+tags), plenty)
		if got := reason(err); got != want {
			t.Errorf("%x: %v, want %q", tags, err, want)
		}
	}
}

func reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func TestUnknownVersions(t *testing.T) {
	for _, k := range [][2]int16{{12, 5}, {12, -1}, {-1, 0}, {1000, 0}, {59, 0}} {
		if _, ok := Request(k[0], k[1]); ok {
			t.Errorf("request %d v%d has a shape", k[0], k[1])
		}
	}
	if _, ok := Response(12, 4); ok {
		t.Error("no broker asks another for a Heartbeat")
	}
}

func TestNotation(t *testing.T) {
	for _, bad := range []string{"[", "[]", "[4)", "{4", "4}", "x", "<0>", "<0:>", "<:4>", "<0:4", "(4]?", "4?", "<99999999999:4>", "]"} {
		if s, err := parse(bad); err == nil {
			t.Errorf("%q becomes %+v", bad, s)
		}
	}
	for _, bad := range []string{"Q 1 A 0-0", "X 1 A 0-0 4", "Q x A 0-0 4", "Q 1 A 0 4", "Q 1 A 0-0 [4"} {
		if m, err := parseTable(bad); err == nil {
			t.Errorf("%q becomes %v", bad, m)
		}
	}
	s, err := parse("4u{8S?}")
	if err != nil || len(s.ops) != 2 || s.ops[0].size != 28 || s.ops[1].kind != textCompact || !s.ops[1].null {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAllocatesNothing(t *testing.T) {
	for _, v := range vectors(t) {
		if s, ok := v.shape(); ok {
			if n := testing.AllocsPerRun(1, func() { _, _, _ = s.Check(v.body, plenty) }); n != 0 {
				t.Fatalf("%s: %v allocations", v, n)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	commit := []byte("\x02g\x00\x00\x00\x01\x02m\x00\x02\x02t" + uvarint(10_001) + strings.Repeat("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x2a\xff\xff\xff\xff\x01\x00", 10_000) + "\x00\x00")
	for _, c := range []struct {
		name         string
		key, version int16
		body         []byte
	}{
		{"heartbeat", 12, 4, []byte("\x06group\x00\x00\x00\x01\x2dconsumer-1-5b6b1f1e-93d5-4d56-b6a2-0bb1b2ac0\x00\x00")},
		{"offsets of 10000", 8, 8, commit},
	} {
		s := mustRequest(b, c.key, c.version)
		if read, _, err := s.Check(c.body, Limits{1 << 30, 200}); err != nil || read != len(c.body) {
			b.Fatal(c.name, read, len(c.body), err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				_, _, _ = s.Check(c.body, Limits{1 << 30, 200})
			}
		})
	}
}
