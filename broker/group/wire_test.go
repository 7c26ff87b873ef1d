package group

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// exchange is one request that Apache Kafka 3.9 was asked, and its answer: whole frames without the length word.
type exchange struct {
	N             int             `json:"n"`
	What          string          `json:"what"`
	From          string          `json:"from"`
	To            string          `json:"to"`
	Key           int16           `json:"key"`
	Version       int16           `json:"version"`
	Request       string          `json:"request"`
	Response      string          `json:"response"`
	ResponseValue json.RawMessage `json:"response_decoded"`
}

func exchanges(t *testing.T) []exchange {
	t.Helper()
	f, err := os.Open("../../testdata/wire/group/groups.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for d := json.NewDecoder(z); ; {
		var x exchange
		if err := d.Decode(&x); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
}

// body cuts the header off a frame. What stands behind a client's name of 5 bytes is its body, but for a tag byte.
func body(t *testing.T, x exchange, frame string, request bool) []byte {
	t.Helper()
	b, err := hex.DecodeString(frame)
	if err != nil {
		t.Fatal(err)
	}
	q := kmsg.RequestForKey(x.Key)
	q.SetVersion(x.Version)
	n := 4
	if request {
		n = 8 + 2 + len(x.From)
	}
	if q.IsFlexible() {
		n++
	}
	return b[n:]
}

// TestRecordedExchanges asks what Apache Kafka was asked, in the same order, and compares the answers byte for byte. Member ids are
// made of the recorded random numbers.
func TestRecordedExchanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var id atomic.Pointer[uuid.UUID]
		log := newMemoryLog()
		b := start(t, log, func(c *Config) {
			c.InitialRebalanceDelay = 0 // as it was recorded
			c.Random = func(into []byte) (int, error) { return copy(into, id.Load()[:]), nil }
		})
		defer b.Close()
		b.cluster.topics = map[string]int32{"wire": 2}
		b.cluster.made = func() {
			for p := range int32(50) {
				log.set(func() { log.leader[p] = 0 })
				b.Elected(p, 0)
			}
		}
		other := start(t, newMemoryLog(), nil) // which leads nothing
		defer other.Close()

		compared := 0
		for _, x := range exchanges(t) {
			asked := b
			if x.To == "broker1" {
				asked = other
			}
			entry, served := asked.registry.Lookup(x.Key)
			if !served {
				continue
			}
			fresh := newID(t, x)
			id.Store(&fresh)
			answer, err := entry.Handle(context.Background(), &api.Request{
				Key: x.Key, Version: x.Version, ClientID: x.From, Body: body(t, x, x.Request, true),
				Conn: &api.Conn{Listener: "PLAINTEXT", ClientHost: "127.0.0.1"},
			})
			if err != nil {
				t.Errorf("%d %s: %v", x.N, x.What, err)
				continue
			}
			compare(t, x, answer.AppendTo(nil))
			compared++
		}
		if compared < 200 {
			t.Errorf("only %d exchanges were compared", compared)
		}
		time.Sleep(time.Second)
	})
}

// newID is the random part of the member id that the recorded answer gives, if it gives one.
func newID(t *testing.T, x exchange) uuid.UUID {
	t.Helper()
	var v struct{ MemberID string }
	if err := json.Unmarshal(x.ResponseValue, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.MemberID) < 36 {
		return uuid.New()
	}
	u, err := uuid.Parse(v.MemberID[len(v.MemberID)-36:])
	if err != nil {
		return uuid.New()
	}
	return u
}

// compare compares our answer with the recorded one. Where Kafka's order is that of a hash table, order does not count.
func compare(t *testing.T, x exchange, ours []byte) {
	t.Helper()
	want := body(t, x, x.Response, false)
	if bytes.Equal(ours, want) {
		return
	}
	decode := func(b []byte) kmsg.Response {
		r := kmsg.ResponseForKey(x.Key)
		r.SetVersion(x.Version)
		if err := r.ReadFrom(b); err != nil {
			t.Fatalf("%d %s: %v", x.N, x.What, err)
		}
		switch r := r.(type) {
		case *kmsg.OffsetCommitResponse:
			slices.SortFunc(r.Topics, func(a, b kmsg.OffsetCommitResponseTopic) int { return strings.Compare(a.Topic, b.Topic) })
		case *kmsg.DeleteGroupsResponse:
			slices.SortFunc(r.Groups, func(a, b kmsg.DeleteGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
		case *kmsg.ListGroupsResponse:
			slices.SortFunc(r.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
		default:
			t.Errorf("%d %s, version %d:\n%x, recorded\n%x", x.N, x.What, x.Version, ours, want)
		}
		return r
	}
	if d := cmp.Diff(decode(want), decode(ours), cmp.Comparer(func(a, b kmsg.Tags) bool { return a.Len() == b.Len() })); d != "" {
		t.Errorf("%d %s, version %d: %s", x.N, x.What, x.Version, d)
	}
}
