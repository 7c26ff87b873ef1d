package offsetlog

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"ottla/broker/record"
	"ottla/broker/topic"
)

// recorded are the segments of __consumer_offsets in a log directory that Apache Kafka left, by partition directory.
func recorded(t testing.TB, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("../../../testdata/logs", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Base(filepath.Dir(h.Name))
		if !strings.HasPrefix(dir, topic.ConsumerOffsets+"-") || filepath.Ext(h.Name) != ".log" {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		logs[dir] = append(logs[dir], b...)
	}
	return logs
}

// TestRecordedLogs loads what Kafka 0.10 and 3.9 wrote: transactional commits and aborts, static members, a group that was left,
// tombstones, and all value versions that those write. Run with -rewrite after a change that is meant.
func TestRecordedLogs(t *testing.T) {
	datadriven.RunTest(t, "testdata/recorded", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		logs := recorded(t, d.CmdArgs[0].Key)
		for _, dir := range slices.Sorted(maps.Keys(logs)) {
			var l Loader
			l.Add(logs[dir])
			records, skipped, cause := l.Stats()
			fmt.Fprintf(&out, "%s: %d records, %d skipped\n", dir, records, skipped)
			if cause != nil {
				fmt.Fprintf(&out, "  %v\n", cause)
			}
			out.WriteString(describe(l.Groups()))
		}
		return out.String()
	})
}

func describe(groups []Loaded) string {
	var out strings.Builder
	text := func(s *string) string {
		if s == nil {
			return "null"
		}
		return fmt.Sprintf("%q", *s)
	}
	offsets := func(indent string, all map[topic.Partition]Offset) {
		ps := slices.SortedFunc(maps.Keys(all), func(a, b topic.Partition) int { return strings.Compare(a.String(), b.String()) })
		for _, p := range ps {
			fmt.Fprintf(&out, "%s%s %+v\n", indent, p, all[p])
		}
	}
	slices.SortFunc(groups, func(a, b Loaded) int { return strings.Compare(a.ID, b.ID) })
	for _, g := range groups {
		fmt.Fprintf(&out, "  %s\n", g.ID)
		if v := g.Group; v != nil {
			fmt.Fprintf(&out, "    generation %d type %q protocol %s leader %s since %d\n", v.Generation, v.ProtocolType, text(v.Protocol), text(v.Leader), v.StateTime)
			for _, m := range v.Members {
				topics, ok := Topics(m.Subscription)
				fmt.Fprintf(&out, "    member %s instance %s client %s at %s, rebalance %d session %d, subscribes to %v %v, assigned %q\n",
					m.ID, text(m.InstanceID), m.ClientID, m.ClientHost, m.RebalanceTimeout, m.SessionTimeout, topics, ok, m.Assignment)
			}
		}
		offsets("    ", g.Offsets)
		for _, producer := range slices.Sorted(maps.Keys(g.Open)) {
			fmt.Fprintf(&out, "    open transaction of producer %d\n", producer)
			offsets("      ", g.Open[producer])
		}
	}
	return out.String()
}

// TestRecordedBytes builds every recorded batch anew from what its records mean. That Kafka 3.9 could have written ours is what lets
// its brokers take a partition over.
func TestRecordedBytes(t *testing.T) {
	batches, written, other := 0, 0, 0
	for _, name := range []string{"clean", "upgraded", "kafka-0.10"} {
		for dir, log := range recorded(t, name) {
			for len(log) > 0 {
				e, err := record.NextEntry(log)
				if err != nil {
					break // preallocated zeros, if any
				}
				entry := log[:e.Size]
				log = log[e.Size:]
				if e.Header.IsControl() {
					continue
				}
				var records []Record
				same := true
				var time int64
				r := record.NewReader(entry)
				for {
					rec, err := r.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					time = rec.Timestamp
					again, ok := reencode(t, rec)
					if ok && !bytes.Equal(again.Value, rec.Value) {
						t.Errorf("%s %s offset %d: value\n%x, ours\n%x", name, dir, rec.Offset, rec.Value, again.Value)
					}
					if ok && !bytes.Equal(again.Key, rec.Key) {
						t.Errorf("%s %s offset %d: key\n%x, ours\n%x", name, dir, rec.Offset, rec.Key, again.Key)
					}
					if ok {
						written++
					} else {
						other++
					}
					same = same && ok
					records = append(records, again)
				}
				r.Close()
				if e.Magic != 2 || e.Header.IsTransactional() || !same {
					continue
				}
				ours, err := Batch(records, time, e.Header.BaseSequence == 0, e.Codec)
				if err != nil {
					t.Fatal(err)
				}
				record.SetBaseOffset(ours, e.BaseOffset)
				record.SetLeaderEpoch(ours, e.LeaderEpoch)
				if !bytes.Equal(ours, entry) {
					t.Errorf("%s %s offset %d: batch\n%x, ours\n%x", name, dir, e.BaseOffset, entry, ours)
				}
				batches++
			}
		}
	}
	if batches < 8 || written < 12 {
		t.Errorf("only %d batches and %d records were compared, %d have versions that are not written any more", batches, written, other)
	}
}

// reencode parses a record and encodes what it means. ok is false when it has a version that is not written any more.
func reencode(t *testing.T, rec *record.Record) (again Record, ok bool) {
	t.Helper()
	key, err := ParseKey(rec.Key)
	if err != nil {
		t.Fatal(err)
	}
	switch key.Kind {
	case OffsetCommit:
		again.Key = OffsetKey(key.Group, key.Partition)
		if rec.Value == nil {
			return again, true
		}
		o, err := ParseOffset(rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		again.Value = o.Append(nil)
		return again, rec.Value[1] == offsetValueVersion || rec.Value[1] == offsetValueExpiring
	case GroupMetadata:
		again.Key = GroupKey(key.Group)
		if rec.Value == nil {
			return again, true
		}
		g, err := ParseGroup(rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		again.Value = g.Append(nil)
		return again, rec.Value[1] == groupValueVersion
	}
	t.Fatalf("unknown record at offset %d", rec.Offset)
	return again, false
}
