package producer

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"ottla/broker/record"
)

func header(id int64, epoch int16, sequence, n int32, txn bool) *record.Header {
	h := &record.Header{ProducerID: id, ProducerEpoch: epoch, BaseSequence: sequence, LastOffsetDelta: n - 1, Count: n, Magic: 2, MaxTimestamp: 1000}
	if txn {
		h.Attributes = 0x10
	}
	return h
}

// send appends a batch as a client's, alone in its call, and returns its offset or the error.
func send(s *State, at *int64, h *record.Header) (offset int64, duplicate bool, err error) {
	g := s.Stage()
	if b, ok := g.Duplicate(h); ok {
		return b.FirstOffset(), true, nil
	}
	g.Begin()
	if err := g.Append(h, *at, true, 0); err != nil {
		return 0, false, err
	}
	g.Commit(nil)
	offset = *at
	*at += int64(h.LastOffsetDelta) + 1
	return offset, false, nil
}

func TestSequences(t *testing.T) {
	const last = math.MaxInt32
	for _, c := range []struct {
		name string
		sent []*record.Header
		want []string // offset, "dup OFFSET" or the error's name
	}{
		{"rising", []*record.Header{header(1, 0, 0, 3, false), header(1, 0, 3, 1, false), header(1, 0, 4, 2, false)}, []string{"0", "3", "4"}},
		{"an unknown producer may begin anywhere", []*record.Header{header(1, 0, 77, 1, false), header(1, 0, 78, 1, false)}, []string{"0", "1"}},
		{"a gap", []*record.Header{header(1, 0, 0, 3, false), header(1, 0, 4, 1, false)}, []string{"0", "OUT_OF_ORDER_SEQUENCE_NUMBER"}},
		{"the last five are known again", []*record.Header{
			header(1, 0, 0, 1, false), header(1, 0, 1, 1, false), header(1, 0, 2, 1, false), header(1, 0, 3, 1, false), header(1, 0, 4, 1, false), header(1, 0, 5, 1, false),
			header(1, 0, 1, 1, false), header(1, 0, 5, 1, false), header(1, 0, 0, 1, false), header(1, 0, 6, 1, false),
		}, []string{"0", "1", "2", "3", "4", "5", "dup 1", "dup 5", "OUT_OF_ORDER_SEQUENCE_NUMBER", "6"}},
		{"part of a batch is no duplicate", []*record.Header{header(1, 0, 0, 3, false), header(1, 0, 0, 2, false)}, []string{"0", "OUT_OF_ORDER_SEQUENCE_NUMBER"}},
		{"wrapping between batches", []*record.Header{header(1, 0, last, 1, false), header(1, 0, 0, 1, false), header(1, 0, last, 1, false)}, []string{"0", "1", "dup 0"}},
		{"wrapping within a batch", []*record.Header{header(1, 0, last-1, 4, false), header(1, 0, 2, 1, false), header(1, 0, last-1, 4, false)}, []string{"0", "4", "dup 0"}},
		{"a new epoch begins at 0", []*record.Header{header(1, 0, 0, 3, false), header(1, 1, 3, 1, false), header(1, 1, 0, 1, false), header(1, 0, 3, 1, false), header(1, 1, 1, 1, false)},
			[]string{"0", "OUT_OF_ORDER_SEQUENCE_NUMBER", "3", "INVALID_PRODUCER_EPOCH", "4"}},
		{"epochs know no duplicates of each other", []*record.Header{header(1, 0, 0, 1, false), header(1, 1, 0, 1, false), header(1, 1, 0, 1, false)}, []string{"0", "1", "dup 1"}},
		{"producers do not know each other", []*record.Header{header(1, 0, 0, 1, false), header(2, 5, 9, 1, false), header(1, 0, 1, 1, false)}, []string{"0", "1", "2"}},
		{"within a transaction everything is of it", []*record.Header{header(1, 0, 0, 1, true), header(1, 0, 1, 1, false), header(1, 0, 1, 1, true)}, []string{"0", "INVALID_TXN_STATE", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s State
			var at int64
			for i, h := range c.sent {
				offset, dup, err := send(&s, &at, h)
				got := fmt.Sprint(offset)
				var ke *kerr.Error
				if errors.As(err, &ke) {
					got = ke.Message
				} else if dup {
					got = "dup " + got
				}
				if got != c.want[i] {
					t.Errorf("batch %d: %s, want %s (%v)", i, got, c.want[i], err)
				}
			}
		})
	}
}

func marker(id int64, epoch int16, ts int64) *record.Header {
	return &record.Header{ProducerID: id, ProducerEpoch: epoch, BaseSequence: -1, Count: 1, Magic: 2, Attributes: 0x30, MaxTimestamp: ts}
}

// TestTransactions tells a story of two interleaved transactions: what the last stable offset is, and what the index gets.
func TestTransactions(t *testing.T) {
	var s State
	var index []string
	data := func(id int64, at int64) {
		t.Helper()
		g := s.Stage()
		g.Begin()
		if err := g.Append(header(id, 0, int32(at), 1, true), at, false, 0); err != nil {
			t.Fatal(err)
		}
		g.Commit(nil)
	}
	end := func(id int64, kind record.ControlType, at int64) {
		t.Helper()
		g := s.Stage()
		g.Begin()
		if err := g.EndTransaction(marker(id, 0, 0), record.Marker{Type: kind, CoordinatorEpoch: 3}, at, true, 0); err != nil {
			t.Fatal(err)
		}
		g.Commit(func(x Txn, stable int64) {
			index = append(index, fmt.Sprintf("%d %d-%d lso %d", x.ProducerID, x.First, x.Last, stable))
		})
	}
	unstable := func(want int64) {
		t.Helper()
		if got := s.FirstUnstable(); got != want {
			t.Fatalf("first unstable offset is %d, want %d", got, want)
		}
	}
	unstable(-1)
	data(1, 10)
	data(2, 11)
	data(1, 12)
	unstable(10)
	end(1, record.Abort, 13)
	unstable(10) // its marker may still be lost
	s.Decide(13)
	unstable(10)
	s.Decide(14)
	unstable(11)
	end(2, record.Abort, 14)
	data(3, 15)
	s.Decide(15)
	unstable(15)
	end(3, record.Commit, 16)
	end(3, record.Commit, 17) // a marker without data
	s.Decide(18)
	unstable(-1)
	if diff := cmp.Diff([]string{"1 10-13 lso 11", "2 11-14 lso 15"}, index); diff != "" {
		t.Error(diff)
	}

	g := s.Stage()
	g.Begin()
	if err := g.EndTransaction(marker(3, -1, 0), record.Marker{CoordinatorEpoch: 3}, 18, true, 0); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Errorf("marker of an old producer epoch: %v", err)
	}
	if err := g.EndTransaction(marker(3, 0, 0), record.Marker{CoordinatorEpoch: 2}, 18, true, 0); !errors.Is(err, kerr.TransactionCoordinatorFenced) {
		t.Errorf("marker of an old coordinator: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	var s State
	var at int64
	for id := range int64(3) {
		g := s.Stage()
		g.Begin()
		if err := g.Append(header(id, 0, 0, 1, id == 2), at, true, 1000*id); err != nil {
			t.Fatal(err)
		}
		g.Commit(nil)
		at++
	}
	s.Expire(1100, 1000)
	if _, ok := s.Entry(0); ok || s.Len() != 2 {
		t.Errorf("producer 0 is still known")
	}
	s.Expire(1e6, 1000)
	if _, ok := s.Entry(2); !ok || s.Len() != 1 {
		t.Errorf("a producer with an open transaction was forgotten")
	}
}

// TestStagingIsAllOrNothing plays random appends twice: staged with sets that are undone and calls that are discarded, and plainly
// without those. Both must end in the same state.
func TestStagingIsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var staged, plain State
		at := int64(0)
		for range rapid.IntRange(1, 8).Draw(t, "calls") {
			discard := rapid.Bool().Draw(t, "discard")
			g := staged.Stage()
			next := at
			var kept []func()
			for range rapid.IntRange(1, 5).Draw(t, "sets") {
				undo := rapid.Bool().Draw(t, "undo")
				g.Begin()
				from := next
				var set []func()
				for range rapid.IntRange(1, 3).Draw(t, "batches") {
					id := int64(rapid.IntRange(1, 3).Draw(t, "producer"))
					offset := next
					if rapid.Bool().Draw(t, "marker") {
						h, m := marker(id, 0, offset), record.Marker{Type: record.ControlType(rapid.IntRange(0, 1).Draw(t, "kind"))}
						if g.EndTransaction(h, m, offset, false, 0) != nil {
							t.Fatal("an unchecked marker failed")
						}
						h.BaseOffset = offset
						set = append(set, func() { plain.Replay(h, &m, 0, nil) })
					} else {
						h := header(id, 0, int32(offset), 1, rapid.Bool().Draw(t, "transactional"))
						if g.Append(h, offset, false, 0) != nil {
							t.Fatal("an unchecked batch failed")
						}
						h.BaseOffset = offset
						set = append(set, func() { plain.Replay(h, nil, 0, nil) })
					}
					next++
				}
				if undo {
					g.Undo()
					next = from
				} else {
					kept = append(kept, set...)
				}
			}
			if discard {
				g.Discard()
				continue
			}
			g.Commit(nil)
			at = next
			for _, fn := range kept {
				fn()
			}
		}
		if diff := cmp.Diff(plain.Entries(), staged.Entries(), cmp.AllowUnexported(Entry{})); diff != "" {
			t.Fatalf("(-plain +staged)\n%s", diff)
		}
		if plain.FirstUnstable() != staged.FirstUnstable() {
			t.Fatalf("first unstable offset %d, staged %d", plain.FirstUnstable(), staged.FirstUnstable())
		}
	})
}
