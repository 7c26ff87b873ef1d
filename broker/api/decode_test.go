package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api/shape"
)

// layout is a line of shapes.txt.
type layout struct {
	name     string
	key      int16
	versions []int16 // the first and the last of them
	fields   string
}

func layouts(t testing.TB) []layout {
	t.Helper()
	b, err := os.ReadFile("shape/shapes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []layout
	for line := range strings.Lines(string(b)) {
		c := strings.Fields(line)
		if c[0] != "Q" || c[2] == "Produce" || c[2] == "Fetch" { // those two are not decoded by kmsg
			continue
		}
		l := layout{name: c[2], fields: strings.TrimPrefix(c[4], ".")}
		from, to, _ := strings.Cut(c[3], "-")
		for i, s := range []string{c[1], from, to} {
			n, err := strconv.Atoi(s)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				l.key = int16(n)
			} else {
				l.versions = append(l.versions, int16(n))
			}
		}
		all = append(all, l)
	}
	return all
}

// body makes bodies of a layout. Arrays have count[0] elements, those within them count[1], and so on; strings have size bytes,
// sections have tags unknown tags, and what may be null is so half of the time.
type body struct {
	rnd   *rand.Rand
	count []int
	size  int
	tags  int
}

func (m body) length(dst []byte, compact bool, n, width int) []byte {
	switch {
	case compact:
		return binary.AppendUvarint(dst, uint64(n+1))
	case width == 2:
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// closing is the place of the sign that closes the one that fields begins with.
func closing(fields string) int {
	depth := 0
	for i := range len(fields) {
		switch fields[i] {
		case '[', '(', '{', '<':
			depth++
		case ']', ')', '}', '>':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic(fields)
}

func (m body) append(dst []byte, fields string) []byte {
	for fields != "" {
		c, end := fields[0], 0
		if strings.IndexByte("[({<", c) >= 0 {
			end = closing(fields)
		}
		inner := fields[min(1, end):end]
		fields = fields[end+1:]
		if strings.HasPrefix(fields, "?") {
			fields = fields[1:]
			if m.rnd.IntN(2) == 0 {
				width := 4
				if c == 's' {
					width = 2
				}
				dst = m.length(dst, strings.IndexByte("SB(", c) >= 0, -1, width)
				continue
			}
		}
		switch c {
		case '1', '2', '4', '8':
			dst = append(dst, make([]byte, c-'0')...)
		case 'u':
			dst = append(dst, make([]byte, 16)...)
		case 's', 'S':
			dst = append(m.length(dst, c == 'S', m.size, 2), bytes.Repeat([]byte{'x'}, m.size)...)
		case 'b', 'B':
			dst = append(m.length(dst, c == 'B', m.size, 4), bytes.Repeat([]byte{'x'}, m.size)...)
		case '[', '(':
			in := m
			n := m.count[0]
			if len(m.count) > 1 {
				in.count = m.count[1:]
			}
			dst = m.length(dst, c == '(', n, 4)
			for range n {
				dst = in.append(dst, inner)
			}
		case '{':
			dst = m.append(dst, inner)
		case '<':
			dst = binary.AppendUvarint(dst, uint64(m.tags))
			for i := range m.tags {
				dst = binary.AppendUvarint(dst, uint64(1000+i))
				dst = append(dst, 0)
			}
		}
	}
	return dst
}

func newRequest(key int16) kmsg.Request {
	if key == int16(kmsg.StopReplica) {
		return new(StopReplicaRequest)
	}
	return kmsg.RequestForKey(key)
}

// allocated is how many bytes f allocates, and others meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// decodes has kmsg read a body that passed, and compares what it allocates with what was said.
func decodes(t testing.TB, key, version int16, body []byte, decoded int64) {
	t.Helper()
	const slack = 64 << 10 // the request itself, and what the runtime does meanwhile
	q := newRequest(key)
	q.SetVersion(version)
	var err error
	begin := time.Now()
	got := allocated(func() { err = q.ReadFrom(body) })
	took := time.Since(begin)
	if err != nil {
		t.Errorf("%s v%d %.200x: passes, but kmsg: %v", kmsg.NameForKey(key), version, body, err)
	}
	if most := decoded + int64(len(body)) + slack; int64(got) > most && !raceDetector {
		t.Errorf("%s v%d of %d bytes: kmsg allocates %d bytes, expected are at most %d; %.100x", kmsg.NameForKey(key), version, len(body), got, most, body)
	}
	if took > 5*time.Second {
		t.Errorf("%s v%d of %d bytes: kmsg takes %v", kmsg.NameForKey(key), version, len(body), took)
	}
}

// TestDecodedSize has kmsg decode large bodies of every layout, and never allocate more than was estimated.
func TestDecodedSize(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector changes how much is allocated")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var least, most float64 = 1e9, 0
	n := 0
	for _, l := range layouts(t) {
		kind := newRequest(l.key)
		structBytes := shape.StructBytes(reflect.TypeOf(kind))
		for _, version := range l.versions[1:] {
			s, ok := shape.Request(l.key, version)
			if !ok {
				t.Fatalf("%s v%d has no shape", l.name, version)
			}
			for _, m := range []body{
				{count: []int{3000, 0}, size: 1},
				{count: []int{3000, 1, 1}},
				{count: []int{1, 3000, 0}, size: 1},
				{count: []int{1, 1, 3000}, size: 2},
				{count: []int{2, 2, 500}, size: 17},
				{count: []int{1000, 3, 1}, size: 9},
				{count: []int{50, 1}, size: 500},
				{count: []int{33, 17, 5}, size: 40, tags: 1},
				{count: []int{10, 10, 2}, size: 3, tags: 9},
				{count: []int{1}, size: 1, tags: 5000},
				{count: []int{0}},
			} {
				m.rnd = rnd
				b := m.append(nil, l.fields)
				read, decoded, err := s.Check(b, shape.Limits{Decoded: 1 << 30, Struct: structBytes})
				if err != nil || read != len(b) {
					t.Fatalf("%s v%d: read %d of %d, %v", l.name, version, read, len(b), err)
				}
				decodes(t, l.key, version, b, decoded)
				n++
				if len(b) > 10_000 {
					factor := float64(decoded) / float64(len(b))
					least, most = min(least, factor), max(most, factor)
				}
			}
		}
	}
	t.Logf("%d bodies; the large ones decode to %.1f to %.1f times their size", n, least, most)
}

// FuzzDecode: kmsg decodes whatever passes, in bounded time and memory.
func FuzzDecode(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, l := range layouts(f) {
		for _, m := range []body{{count: []int{2, 1}, size: 1}, {count: []int{1, 2, 1}, size: 3, tags: 2}} {
			m.rnd = rnd
			f.Add(l.key, l.versions[1], m.append(nil, l.fields))
		}
	}
	f.Add(int16(12), int16(4), []byte("\x02g\x00\x00\x00\x01\x02m\x00\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, key, version int16, b []byte) {
		s, ok := shape.Request(key, version)
		if !ok || key == 0 || key == 1 {
			return
		}
		limits := shape.Limits{Decoded: shape.DecodedMax(len(b)), Struct: shape.StructBytes(reflect.TypeOf(newRequest(key)))}
		if _, decoded, err := s.Check(b, limits); err == nil {
			decodes(t, key, version, b, decoded)
		}
	})
}

// served is a registry with Heartbeat, OffsetCommit and StopReplica, whose handlers count.
func served(calls *int) *Registry {
	r := NewRegistry()
	Register(r, 0, 4, func(context.Context, *Request, *kmsg.HeartbeatRequest) (kmsg.Response, error) {
		*calls++
		return kmsg.NewPtrHeartbeatResponse(), nil
	})
	Register(r, 2, 9, func(context.Context, *Request, *kmsg.OffsetCommitRequest) (kmsg.Response, error) {
		*calls++
		return kmsg.NewPtrOffsetCommitResponse(), nil
	})
	RegisterStopReplica(r, 0, 4, func(context.Context, *Request, *StopReplicaRequest) (kmsg.Response, error) {
		*calls++
		return kmsg.NewPtrStopReplicaResponse(), nil
	})
	return r
}

func handle(ctx context.Context, r *Registry, key, version int16, body []byte) (Response, error) {
	e, _ := r.Lookup(key)
	return e.Handle(ctx, &Request{Key: key, Version: version, Body: body})
}

func commitOf(partitions int) []byte {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.MemberID = 8, "group", "member"
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = "topic", make([]kmsg.OffsetCommitRequestTopicPartition, partitions)
	q.Topics = append(q.Topics, topic)
	return q.AppendTo(nil)
}

// TestHostileBodies: what kmsg alone would work on for a minute and a half, or make gigabytes of, is refused at once.
func TestHostileBodies(t *testing.T) {
	calls := 0
	r := served(&calls)
	const heartbeat = "\x02g\x00\x00\x00\x01\x02m\x00"
	twoBytes := strings.Repeat("\x01", 32<<20)
	for what, c := range map[string]struct {
		key, version int16
		body         string
	}{
		"2^32-1 tags":              {12, 4, heartbeat + "\xff\xff\xff\xff\x0f"},
		"2^25 tags":                {12, 4, heartbeat + "\x80\x80\x80\x10"},
		"2^25 tags of StopReplica": {5, 2, "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x80\x80\x80\x10"},
		"11 million topics":        {8, 8, "\x02g\x00\x00\x00\x01\x02m\x00\x80\x80\x80\x05" + twoBytes},
		"cut off":                  {12, 4, heartbeat},
		"empty":                    {12, 4, ""},
		"a version not served":     {12, 5, heartbeat + "\x00"},
		"a version below those":    {8, 1, heartbeat + "\x00"},
	} {
		begin := time.Now()
		var resp Response
		var err error
		got := allocated(func() { resp, err = handle(t.Context(), r, c.key, c.version, []byte(c.body)) })
		if err == nil || resp != nil || calls != 0 {
			t.Errorf("%s: %v, %v", what, resp, err)
		}
		var malformed *shape.Error // said before kmsg looked at it
		if !strings.Contains(what, "version") && !errors.As(err, &malformed) {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s: took %v", what, took)
		}
		if got > uint64(len(c.body))+1<<20 {
			t.Errorf("%s: allocates %d bytes", what, got)
		}
	}
}

// TestLargeBodies: large and honest.
func TestLargeBodies(t *testing.T) {
	calls := 0
	r := served(&calls)
	partitions := 1_000_000 // 18 MB
	if raceDetector {
		partitions /= 10
	}
	body := commitOf(partitions)
	if resp, err := handle(t.Context(), r, 8, 8, body); err != nil || resp.(kmsg.Response).GetVersion() != 8 || calls != 1 {
		t.Errorf("%d bytes: %v, %v, %d calls", len(body), resp, err, calls)
	}
	// Bytes behind the body are nobody's concern.
	if _, err := handle(t.Context(), r, 8, 8, append(body, "more"...)); err != nil || calls != 2 {
		t.Errorf("with trailing bytes: %v", err)
	}
	// It waits for its turn, and gives up with the connection.
	if err := r.decoding.Acquire(t.Context(), decodingMax); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := handle(ctx, r, 8, 8, body); !errors.Is(err, context.Canceled) || calls != 2 {
		t.Errorf("out of turn: %v", err)
	}
	if _, err := handle(ctx, r, 8, 8, commitOf(100)); err != nil || calls != 3 { // small ones need not wait
		t.Errorf("small: %v", err)
	}
	r.decoding.Release(decodingMax)
}

func TestRegisterUnknownVersion(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "Heartbeat v5") {
			t.Errorf("panics with %s", got)
		}
	}()
	Register(NewRegistry(), 0, 5, func(context.Context, *Request, *kmsg.HeartbeatRequest) (kmsg.Response, error) { return nil, nil })
}

// BenchmarkDecode is the check with the decoding by kmsg that it stands before.
func BenchmarkDecode(b *testing.B) {
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Version, heartbeat.Group, heartbeat.MemberID = 4, "group", "consumer-1-5b6b1f1e-93d5-4d56-b6a2-0bb1b2ac0"
	calls := 0
	r := served(&calls)
	for _, c := range []struct {
		name         string
		key, version int16
		body         []byte
	}{{"heartbeat", 12, 4, heartbeat.AppendTo(nil)}, {"offsets of 10000", 8, 8, commitOf(10_000)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := handle(b.Context(), r, c.key, c.version, c.body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
