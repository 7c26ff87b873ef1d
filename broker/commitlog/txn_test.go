package commitlog

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ottla/broker/record"
	"ottla/internal/fs"
)

// TestTransactionsSurviveEverything runs random transactions over small segments, with clean stops, crashes, lost indexes and
// truncations between them, beside a plain model, and compares the last stable offset, the aborted lists and what a reader of committed data gets.
func TestTransactionsSurviveEverything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := testOptions(t, "/d/t-0")
		o.FS = fs.NewCrash()
		o.Settings.SegmentBytes, o.Settings.IndexIntervalBytes = 400, 50
		l, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = l.Close(false) }()
		type rec struct {
			offset   int64
			producer int64 // 0 plain
			marker   bool
			kind     record.ControlType
		}
		var model []rec
		end := int64(0)
		app := func(s *AppendSet) {
			if err := l.Append(0, []*AppendSet{s}); err != nil || s.Err != nil {
				rt.Fatal(err, s.Err)
			}
			end = s.LastOffset + 1
			l.SetHighWatermark(end)
		}
		check := func() {
			open := map[int64]int64{} // producer -> first offset
			aborted := map[int64]bool{}
			var txns []AbortedTxn
			for _, r := range model {
				switch {
				case r.marker:
					first, ok := open[r.producer]
					delete(open, r.producer)
					if ok && r.kind == record.Abort {
						txns = append(txns, AbortedTxn{ProducerID: r.producer, FirstOffset: first, LastOffset: r.offset})
						for _, x := range model {
							if x.producer == r.producer && x.offset >= first && x.offset < r.offset {
								aborted[x.offset] = true
							}
						}
					}
				case r.producer > 0:
					if _, ok := open[r.producer]; !ok {
						open[r.producer] = r.offset
					}
				}
			}
			stable := end
			for _, first := range open {
				stable = min(stable, first)
			}
			if got := l.LastStable(end); got != stable || l.LogEnd() != end {
				rt.Fatalf("last stable offset %d of %d, want %d of %d", got, l.LogEnd(), stable, end)
			}
			var want []string
			for _, r := range model {
				if !r.marker && !aborted[r.offset] && r.offset < stable {
					want = append(want, fmt.Sprint(r.offset))
				}
			}
			var got []string
			for _, x := range consume(t, l, stable, rapid.IntRange(1, 600).Draw(rt, "maxBytes"), true) {
				var offset int64
				fmt.Sscan(x, &offset)
				got = append(got, fmt.Sprint(offset))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("committed records %v, want %v", got, want)
			}
			all, err := l.AbortedTxns(0, end)
			if err != nil || len(all) != len(txns) {
				rt.Fatalf("aborted %v, want %v: %v", all, txns, err)
			}
			for i := range all {
				all[i].LastStable = 0
				if all[i] != txns[i] {
					rt.Fatalf("aborted %v, want %v", all, txns)
				}
			}
		}
		inTxn := map[int64]bool{}
		rt.Repeat(map[string]func(*rapid.T){
			"plain": func(*rapid.T) {
				app(batch{}.set())
				model = append(model, rec{offset: end - 1})
			},
			"data": func(rt *rapid.T) {
				id := int64(rapid.IntRange(1, 3).Draw(rt, "producer"))
				s := batch{producer: id, txn: true, sequence: int32(end)}.set()
				s.ClientOrigin = false
				app(s)
				inTxn[id] = true
				model = append(model, rec{offset: end - 1, producer: id})
			},
			"marker": func(rt *rapid.T) {
				id, kind := int64(rapid.IntRange(1, 3).Draw(rt, "producer")), record.ControlType(rapid.IntRange(0, 1).Draw(rt, "kind"))
				app(marker(id, 0, kind, 0))
				model = append(model, rec{offset: end - 1, producer: id, marker: true, kind: kind})
			},
			"flush": func(rt *rapid.T) {
				if err := l.Flush(); err != nil {
					rt.Fatal(err)
				}
			},
			"restart": func(rt *rapid.T) {
				clean := rapid.Bool().Draw(rt, "clean")
				again := o
				again.CleanShutdown, again.RecoveryPoint = clean, l.RecoveryPoint()
				if err := l.Close(clean); err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "without indexes") {
					loseIndexes(rt, o)
				}
				if l, err = Open(again); err != nil {
					rt.Fatal(err)
				}
				l.SetHighWatermark(end)
			},
			"truncate": func(rt *rapid.T) {
				to := rapid.Int64Range(0, end).Draw(rt, "to")
				if err := l.Truncate(to); err != nil {
					rt.Fatal(err)
				}
				for len(model) > 0 && model[len(model)-1].offset >= to {
					model = model[:len(model)-1]
				}
				end = to
			},
			"": func(*rapid.T) { check() },
		})
	})
}

// loseIndexes removes all indexes of a log, as somebody may do to have them built anew.
func loseIndexes(rt *rapid.T, o Options) {
	files, err := o.FS.ReadDir(o.Dir)
	if err != nil {
		rt.Fatal(err)
	}
	for _, f := range files {
		if _, suffix, ok := parseName(f.Name()); !ok || !slices.Contains(suffixes[indexFile:], suffix) {
			continue
		}
		if err := o.FS.Remove(filepath.Join(o.Dir, f.Name())); err != nil {
			rt.Fatal(err)
		}
	}
}
