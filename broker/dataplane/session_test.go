package dataplane

import (
	"crypto/rand"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionClient drives the incremental fetches of one connection.
type sessionClient struct {
	*testConn
	name      string
	id, epoch int32
}

// fetch sends the partitions that change, and the ones that are forgotten, and returns what the answer names: partition -> bytes,
// -1 for an error.
func (c *sessionClient) fetch(forget []int32, asks ...fetchAsk) (map[int32]int, *kmsg.FetchResponse) {
	c.t.Helper()
	q := fetchRequest(11, 0, 1, asks...)
	q.Topics[0].Topic = c.name
	if len(asks) == 0 {
		q.Topics = nil
	}
	q.SessionID, q.SessionEpoch = c.id, c.epoch
	if forget != nil {
		q.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: c.name, Partitions: forget}}
	}
	r := call[*kmsg.FetchResponse](c.testConn, q)
	got := map[int32]int{}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if got[p.Partition] = len(p.RecordBatches); p.ErrorCode != 0 {
				got[p.Partition] = -1
			}
		}
	}
	if r.ErrorCode == 0 {
		c.id = r.SessionID
		c.epoch = nextEpoch(c.epoch)
	}
	return got, r
}

func ask(n int32, offset int64) fetchAsk { return fetchAsk{number: n, offset: offset, epoch: -1} }

func TestSessionAnswersChangesOnly(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 0, 0, 1}})
	c := &sessionClient{testConn: b.dial(), name: "t"}
	producer := b.dial()
	is := func(got map[int32]int, want ...int32) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("named %v, want %v", got, want)
		}
		for _, n := range want {
			if _, ok := got[n]; !ok {
				t.Fatalf("named %v, want %v", got, want)
			}
		}
	}
	got, r := c.fetch(nil, ask(0, 0), ask(1, 0), ask(3, 0))
	is(got, 0, 1, 3) // a full fetch names everything
	if r.SessionID == 0 || got[3] != -1 {
		t.Fatalf("%+v", r)
	}
	got, _ = c.fetch(nil)
	is(got, 3) // errors are told every time
	got, _ = c.fetch([]int32{3})
	is(got)
	mustProduce(t, producer, "t", 1, "a")
	got, _ = c.fetch(nil)
	is(got, 1)
	got, _ = c.fetch(nil)
	is(got, 1) // it did not move on
	got, _ = c.fetch(nil, ask(1, 1))
	is(got)
	mustProduce(t, producer, "t", 0, "b")
	got, _ = c.fetch(nil, ask(0, 1)) // at the end, but the high watermark is new
	is(got, 0)
	got, _ = c.fetch(nil, ask(2, 0)) // a new partition is named once
	is(got, 2)
	got, _ = c.fetch([]int32{0, 2})
	is(got)
	mustProduce(t, producer, "t", 0, "c")
	mustProduce(t, producer, "t", 1, "c")
	got, _ = c.fetch(nil)
	is(got, 1)
	if _, r := c.fetch([]int32{1}); r.SessionID != 0 {
		t.Errorf("a session without partitions goes on: %d", r.SessionID)
	}
}

func TestSessionsAreRefusedAndClosed(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0}})
	c := &sessionClient{testConn: b.dial(), name: "t"}
	c.fetch(nil, ask(0, 0))
	id := c.id
	for _, x := range []struct {
		id, epoch int32
		want      *kerr.Error
	}{{id, 2, kerr.InvalidFetchSessionEpoch}, {id + 1, 1, kerr.FetchSessionIDNotFound}, {id, -7, nil}, {id, 1, kerr.FetchSessionIDNotFound}} {
		c.id, c.epoch = x.id, x.epoch
		_, r := c.fetch(nil, ask(0, 0))
		if x.want == nil && r.ErrorCode == 0 {
			continue
		}
		if r.ErrorCode != x.want.Code || r.SessionID != 0 || len(r.Topics) != 0 {
			t.Errorf("session %d, epoch %d: %+v", x.id, x.epoch, r)
		}
	}
	// A full fetch ends the session that it comes with.
	c.id, c.epoch = 0, 0
	c.fetch(nil, ask(0, 0))
	old := c.id
	c.epoch = 0
	if _, r := c.fetch(nil, ask(0, 0)); r.SessionID == old || r.SessionID == 0 {
		t.Errorf("session %d after %d", r.SessionID, old)
	}
	c.id, c.epoch = old, 1
	if _, r := c.fetch(nil); r.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("the old session answers: %+v", r)
	}
}

// Partitions that had data go to the end, so that with a small answer limit all get their turn.
func TestSessionTurns(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 0, 0}})
	c := &sessionClient{testConn: b.dial(), name: "t"}
	for n := range int32(3) {
		mustProduce(t, c.testConn, "t", n, "x")
	}
	var order []int32
	for i := range 6 {
		q := fetchRequest(11, 0, 1, ask(0, 0), ask(1, 0), ask(2, 0))
		q.Topics[0].Topic, q.MaxBytes = "t", 1
		if i > 0 {
			q.Topics = nil
		}
		q.SessionID, q.SessionEpoch = c.id, int32(i)
		r := call[*kmsg.FetchResponse](c.testConn, q)
		c.id = r.SessionID
		for _, rt := range r.Topics {
			for _, p := range rt.Partitions {
				if len(p.RecordBatches) > 0 {
					order = append(order, p.Partition)
				}
			}
		}
	}
	if want := []int32{0, 0, 1, 2, 0, 1}; len(order) != 6 || [6]int32(order) != [6]int32(want) {
		t.Errorf("turns %v, want %v", order, want)
	}
}

func TestNextEpoch(t *testing.T) {
	for e, want := range map[int32]int32{0: 1, 1: 2, math.MaxInt32: 1} {
		if got := nextEpoch(e); got != want {
			t.Errorf("after %d: %d", e, got)
		}
	}
}

// Who gets a place when all are taken.
func TestSessionEviction(t *testing.T) {
	now := time.Unix(1000, 0)
	ss := newSessions(Config{FetchSessionsMax: 2, Now: func() time.Time { return now }, Random: rand.Read})
	make := func(replica int32, parts int) *session {
		f := &fetch{version: 11, replica: replica, epoch: 0, full: true}
		for i := range parts {
			f.parts = append(f.parts, fetchPart{asked: asked{name: "t", index: int32(i)}})
		}
		ss.end(f)
		return f.s
	}
	lives := func(s *session) bool { return ss.byID[s.id] == s }
	a, c := make(-1, 5), make(-1, 9)
	if a == nil || c == nil || make(-1, 100) != nil {
		t.Fatal("a young session was evicted by a larger one")
	}
	f1 := make(2, 1)
	if f1 == nil || lives(a) || !lives(c) {
		t.Fatal("a follower does not evict the smallest consumer")
	}
	now = now.Add(100 * time.Second)
	if f := (&fetch{version: 11, session: f1.id, epoch: 1}); ss.begin(f) != nil {
		t.Fatal("follower's session")
	}
	if make(-1, 100) != nil {
		t.Fatal("100 seconds are not long enough")
	}
	now = now.Add(21 * time.Second) // c is idle for 121 s, f1 for 21
	d := make(-1, 1)
	if d == nil || lives(c) || !lives(f1) {
		t.Fatal("an idle session stays")
	}
	now = now.Add(119 * time.Second) // f1 is old but used; d is young
	if f := (&fetch{version: 11, session: f1.id, epoch: 2}); ss.begin(f) != nil {
		t.Fatal("follower's session")
	}
	if make(-1, 100) != nil || !lives(f1) || !lives(d) {
		t.Fatal("a consumer evicted a follower, or a young one")
	}
	now = now.Add(2 * time.Second) // d has had its time: idle, too
	if make(-1, 2) == nil || lives(d) {
		t.Fatal("d stays")
	}
}
