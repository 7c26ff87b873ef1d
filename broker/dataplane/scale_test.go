package dataplane

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"
)

// whole is a fetch of n partitions that asks for a session.
func whole(n int, follower bool) *fetch {
	f := &fetch{version: 12, replica: -1, full: true}
	if follower {
		f.replica = 1
	}
	for i := range n {
		f.parts = append(f.parts, fetchPart{asked: asked{name: "orders", index: int32(i)}})
	}
	return f
}

// Sessions are bounded in bytes, those of consumers and of followers apart; what grows beyond is dropped, and all is counted.
func TestSessionsAreBoundedInBytes(t *testing.T) {
	now := time.Unix(1e9, 0)
	ss := newSessions(Config{FetchSessionsMax: 1000, Now: func() time.Time { return now }, Random: rand.Read})
	const n = 50_000
	var first *session
	made := 0
	for range 12 {
		f := whole(n, false)
		if ss.end(f); f.s == nil {
			break
		}
		if made++; first == nil {
			first = f.s
		}
	}
	if most := sessionBytesMax / (n * partBytes); made == 0 || made > most {
		t.Fatalf("%d sessions of %d partitions", made, n)
	}
	f := whole(n, true)
	if ss.end(f); f.s == nil {
		t.Error("consumers keep a follower from its session")
	}
	grow := whole(3*n, false)
	for i := range grow.parts {
		grow.parts[i].index += n
	}
	grow.session, grow.epoch = first.id, 1
	if err := ss.begin(grow); err == nil || ss.byID[first.id] != nil {
		t.Errorf("a session that grows beyond the bound goes on: %v", err)
	}
	now = now.Add(sessionIdle + time.Second)
	f = whole(n, false)
	if ss.end(f); f.s == nil {
		t.Error("idle sessions make no room")
	}
	for id := range ss.byID {
		ss.remove(id)
	}
	if ss.bytes != [2]int{} {
		t.Errorf("%v bytes of no sessions", ss.bytes)
	}
}

// Large fetches of consumers take turns and do not wait for long; those of followers are not kept waiting by them.
func TestLargeFetchesShareMemory(t *testing.T) {
	s := newScale()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := whole(0, false)
	all.maxWait = 1 << 30
	if d := all.patience(); d != waitMax {
		t.Errorf("waits for %v", d)
	}
	if err := s.weigh(ctx, all, partitionsMax*10); err != nil {
		t.Fatal(err)
	}
	if d := all.patience(); d != largeWaitMax {
		t.Errorf("a large one waits for %v", d)
	}
	if err := s.weigh(ctx, whole(0, false), partitionsSmall); err != nil {
		t.Error(err)
	}
	if err := s.weigh(ctx, whole(0, true), partitionsMax); err != nil {
		t.Error(err)
	}
	waits := make(chan error)
	next := whole(0, false)
	go func() { waits <- s.weigh(ctx, next, partitionsMax) }()
	select {
	case err := <-waits:
		t.Fatalf("a second large one does not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	all.free()
	if err := <-waits; err != nil {
		t.Error(err)
	}
	cancel()
	if err := s.weigh(ctx, whole(0, false), partitionsMax*10); !errors.Is(err, context.Canceled) {
		t.Errorf("waits for a client that is gone: %v", err)
	}
}

// A Produce that names far more partitions than it has bytes of records for is refused before it costs much.
func TestEmptyPartitionsOfProduce(t *testing.T) {
	body := []byte("\x00\x00\x01\x00\x00\x00\x64\x02\x02t")
	body = append(body, 0xe9, 0x07) // 1,000 partitions
	for range 1000 {
		body = append(body, 0, 0, 0, 0, 0, 0)
	}
	body = append(body, 0, 0)
	if err := new(produce).decode(body, 9); err != errMany {
		t.Errorf("1,000 empty partitions: %v", err)
	}
}
