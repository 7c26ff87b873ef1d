package dataplane

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/commitlog"
	"ottla/broker/partition"
	"ottla/broker/record"
	"ottla/broker/topic"
)

// diff compares decoded messages.
func diff(want, got any) string { return cmp.Diff(want, got, cmpopts.IgnoreTypes(kmsg.Tags{})) }

// exchange is one line of testdata/wire: a request to Apache Kafka 3.9.2 and its answer, in frames without the length word.
type exchange struct {
	N          int
	What       string
	Key        int16
	Version    int16
	Request    hexBytes
	Response   hexBytes
	Closed     bool
	Unanswered bool
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func golden(t *testing.T, name string) []exchange {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "wire", "dataplane", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for lines := bufio.NewReader(z); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return all
		}
		var x exchange
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
}

// recordedBroker has the topics of the recording, with their ids.
func recordedBroker(t *testing.T) *testBroker {
	b := newTestBroker(t, nil)
	id := func(s string) (id topic.ID) {
		if _, err := hex.Decode(id[:], []byte(s)); err != nil {
			t.Fatal(err)
		}
		return id
	}
	b.make(topicSpec{name: "wire", id: id("533d7e83c61a43c5a830c98bd9a86a66"), leaders: []int32{0, 0}})
	b.make(topicSpec{name: "elsewhere", id: id("f3fe9aa5be3a4b0a9e08e73709340654"), leaders: []int32{1}})
	b.make(topicSpec{name: "compacted", id: id("a1c1af99a6e0461789915e7588a0ef83"), leaders: []int32{0}, log: func(s *commitlog.Settings) { s.Compact, s.Delete = true, false }})
	b.make(topicSpec{name: "small", id: id("7c8692e1de3d42adbf3386db59054ab6"), leaders: []int32{0}, settings: func(s *partition.Settings) { s.MessageBytesMax = 200 }})
	b.make(topicSpec{name: "insync2", id: id("fedbab6338e9459d94bc701d0f111e43"), leaders: []int32{0}, settings: func(s *partition.Settings) { s.MinISR = 2 }})
	b.make(topicSpec{name: "append-time", id: id("dd0dcefceeef4022b984471007ff4858"), leaders: []int32{0}, settings: func(s *partition.Settings) { s.TimestampType = record.LogAppendTime }})
	return b
}

// Apache Kafka's answers, byte for byte, to the same requests in the same order. Known differences are in the code below.
func TestAnswersAsRecorded(t *testing.T) {
	b := recordedBroker(t)
	t.Run("produce", func(t *testing.T) { replayProduce(t, b) })
	t.Run("listoffsets", func(t *testing.T) { replayListOffsets(t, b) })
	t.Run("fetch", func(t *testing.T) { replayFetch(t, b) })
}

func replayProduce(t *testing.T, b *testBroker) {
	c := b.dial()
	for _, x := range golden(t, "produce.jsonl") {
		switch {
		case x.Key == 22:
			continue // producer ids: the recorded ones are used
		case x.What == "gzip that is no gzip":
			continue // a batch that nothing forces open is not opened: we would store it
		case x.Closed:
			if got, err := c.exchange(x.Request); err != io.EOF {
				t.Errorf("%d %s: connection is open: %x %v", x.N, x.What, got, err)
			}
			c = b.dial()
			continue
		case x.Unanswered: // Apache Kafka never answers a null records field; we do, and go on
			got, err := c.exchange(x.Request)
			if err != nil {
				t.Fatal(err)
			}
			if code := decodeAnswer[*kmsg.ProduceResponse](t, got, x.Version).Topics[0].Partitions[0].ErrorCode; code != 87 {
				t.Errorf("%d %s: error %d", x.N, x.What, code)
			}
			continue
		case len(x.Response) == 0:
			if err := c.sendFrame(x.Request); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want := decodeAnswer[*kmsg.ProduceResponse](t, x.Response, x.Version)
		b.clock.Store(1795347378549)
		if at := want.Topics[0].Partitions[0].LogAppendTime; at > 1700000000001 {
			b.clock.Store(at)
		}
		got, err := c.exchange(x.Request)
		if err != nil {
			t.Fatalf("%d %s v%d: %v", x.N, x.What, x.Version, err)
		}
		if want.Topics[0].Partitions[0].ErrorCode == 53 { // we have no transactions at all, and say so
			want.Topics[0].Partitions[0].ErrorMessage = kmsg.StringPtr(noTransactions)
			x.Response = want.AppendTo(x.Response[:5])
		}
		if !bytes.Equal(got, x.Response) {
			t.Errorf("%d %s v%d:\n%x\nwant\n%x\n%s", x.N, x.What, x.Version, got, []byte(x.Response),
				diff(want, decodeAnswer[*kmsg.ProduceResponse](t, got, x.Version)))
		}
	}
}

func replayListOffsets(t *testing.T, b *testBroker) {
	b.clock.Store(1795348469000)
	files, err := filepath.Glob(filepath.Join(b.dir, "*", "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files { // version 0 goes by the files' times
		if err := os.Chtimes(f, time.Time{}, time.UnixMilli(1795348468000)); err != nil {
			t.Fatal(err)
		}
	}
	c := b.dial()
	for _, x := range golden(t, "listoffsets.jsonl") {
		got, err := c.exchange(x.Request)
		if err != nil {
			t.Fatalf("%d %s v%d: %v", x.N, x.What, x.Version, err)
		}
		if !bytes.Equal(got, x.Response) {
			t.Errorf("%d %s v%d:\n%x\nwant\n%x\n%s", x.N, x.What, x.Version, got, []byte(x.Response),
				diff(decodeAnswer[*kmsg.ListOffsetsResponse](t, x.Response, x.Version), decodeAnswer[*kmsg.ListOffsetsResponse](t, got, x.Version)))
		}
	}
}

func replayFetch(t *testing.T, b *testBroker) {
	c := b.dial()
	sessions := map[int32]int32{0: 0, 12345: 12345} // recorded -> ours
	for _, x := range golden(t, "fetch.jsonl") {
		if x.Key != 1 {
			continue
		}
		var theirs *int32
		if x.Version >= 7 {
			at := 8 + 2 + 5 + 4 + 4 + 4 + 1 // header with client id "kwire", wait, min, max, isolation
			if x.Version >= 12 {
				at++
			}
			if x.Version <= 14 {
				at += 4
			}
			ours, ok := sessions[int32(binary.BigEndian.Uint32(x.Request[at:]))]
			if !ok {
				t.Fatalf("%d: unknown session", x.N)
			}
			binary.BigEndian.PutUint32(x.Request[at:], uint32(ours))
		}
		want := decodeAnswer[*kmsg.FetchResponse](t, x.Response, x.Version)
		frame, err := c.exchange(x.Request)
		if err != nil {
			t.Fatalf("%d %s v%d: %v", x.N, x.What, x.Version, err)
		}
		got := decodeAnswer[*kmsg.FetchResponse](t, frame, x.Version)
		if x.Version >= 7 {
			theirs = &want.SessionID
			if _, known := sessions[*theirs]; !known && got.SessionID > 0 {
				sessions[*theirs] = got.SessionID
			}
			if sessions[*theirs] != got.SessionID {
				t.Errorf("%d %s v%d: session %d", x.N, x.What, x.Version, got.SessionID)
			}
			at := 4 + 4 + 2
			if x.Version >= 12 {
				at++
			}
			binary.BigEndian.PutUint32(frame[at:], uint32(*theirs))
		}
		if x.Version < 4 { // we send the exact bytes, without the entry of offset -1 that fills a smaller set up
			for _, ts := range want.Topics {
				for i := range ts.Partitions {
					ts.Partitions[i].RecordBatches = withoutPadding(ts.Partitions[i].RecordBatches)
				}
			}
			if d := diff(want, got); d != "" {
				t.Errorf("%d %s v%d: %s", x.N, x.What, x.Version, d)
			}
			continue
		}
		if !bytes.Equal(frame, x.Response) {
			t.Errorf("%d %s v%d:\n%x\nwant\n%x\n%s", x.N, x.What, x.Version, frame, []byte(x.Response), diff(want, got))
		}
	}
}

// withoutPadding cuts a set at the entry of offset -1, of which there may be as little as a byte.
func withoutPadding(set []byte) []byte {
	for at := 0; at < len(set); {
		if set[at] == 0xff {
			return set[:at]
		}
		at += 12 + int(binary.BigEndian.Uint32(set[at+8:]))
	}
	return set
}
