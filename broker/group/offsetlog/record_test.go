package offsetlog

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ottla/broker/record"
	"ottla/broker/topic"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(s string) *string { return &s }

func TestOffsetVersions(t *testing.T) {
	for _, c := range []struct {
		what string
		hex  string
		want Offset
	}{
		{"0", "0000 0000000000000005 0001 6d 0000000000000007", Offset{5, None, "m", 7, None}},
		{"1", "0001 0000000000000005 0001 6d 0000000000000007 0000000000000009", Offset{5, None, "m", 7, 9}},
		{"1 without a time of its own", "0001 0000000000000005 0000 0000000000000007 ffffffffffffffff", Offset{5, None, "", 7, None}},
		{"2", "0002 0000000000000005 0001 6d 0000000000000007", Offset{5, None, "m", 7, None}},
		{"3", "0003 0000000000000005 00000003 0001 6d 0000000000000007", Offset{5, 3, "m", 7, None}},
		{"4", "0004 0000000000000005 00000003 02 6d 0000000000000007 00", Offset{5, 3, "m", 7, None}},
		{"4 with a topic id", "0004 0000000000000005 ffffffff 01 0000000000000007 01 00 10 000102030405060708090a0b0c0d0e0f", Offset{5, None, "", 7, None}},
	} {
		b := unhex(t, c.hex)
		got, err := ParseOffset(b)
		if err != nil || got != c.want {
			t.Errorf("version %s: %+v, %v; want %+v", c.what, got, err, c.want)
		}
		for n := range b[:10] {
			if _, err := ParseOffset(b[:n]); err == nil {
				t.Errorf("version %s cut to %d bytes is taken", c.what, n)
			}
		}
	}
	if _, err := ParseOffset(unhex(t, "0005 0000000000000005")); !errors.Is(err, ErrUnknown) {
		t.Errorf("version 5: %v", err)
	}
	if _, err := ParseOffset(unhex(t, "0000 0000000000000005 ffff 0000000000000007")); err == nil {
		t.Error("null metadata is taken")
	}
}

func TestGroupVersions(t *testing.T) {
	base := Group{ProtocolType: "c", Generation: 2, Protocol: text("r"), Leader: text("a"), StateTime: None}
	member := Member{ID: "a", ClientID: "b", ClientHost: "/h", RebalanceTimeout: 6, SessionTimeout: 6, Subscription: []byte{1, 2}, Assignment: []byte{3}}
	with := func(stateTime int64, rebalance int32, instance *string) *Group {
		g, m := base, member
		g.StateTime, m.RebalanceTimeout, m.InstanceID = stateTime, rebalance, instance
		g.Members = []Member{m}
		return &g
	}
	for _, c := range []struct {
		version string
		hex     string
		want    *Group
	}{
		{"0", "0000 0001 63 00000002 0001 72 0001 61 00000001  0001 61 0001 62 0002 2f68 00000006 00000002 0102 00000001 03", with(None, 6, nil)},
		{"1", "0001 0001 63 00000002 0001 72 0001 61 00000001  0001 61 0001 62 0002 2f68 00000007 00000006 00000002 0102 00000001 03", with(None, 7, nil)},
		{"2", "0002 0001 63 00000002 0001 72 0001 61 0000000000000009 00000001  0001 61 0001 62 0002 2f68 00000007 00000006 00000002 0102 00000001 03", with(9, 7, nil)},
		{"3", "0003 0001 63 00000002 0001 72 0001 61 0000000000000009 00000001  0001 61 0001 69 0001 62 0002 2f68 00000007 00000006 00000002 0102 00000001 03", with(9, 7, text("i"))},
		{"4", "0004 02 63 00000002 02 72 02 61 0000000000000009 02  02 61 00 02 62 03 2f68 00000007 00000006 03 0102 02 03 01 05 01 aa 00", with(9, 7, nil)},
		{"3, empty", "0003 0001 63 00000003 ffff ffff 0000000000000009 00000000", &Group{ProtocolType: "c", Generation: 3, StateTime: 9, Members: []Member{}}},
	} {
		b := unhex(t, c.hex)
		got, err := ParseGroup(b)
		if err != nil {
			t.Errorf("version %s: %v", c.version, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("version %s: %s", c.version, d)
		}
		if c.version[0] == '3' {
			if again := got.Append(nil); string(again) != string(b) {
				t.Errorf("version %s:\n%x, encoded again\n%x", c.version, b, again)
			}
		}
		for n := range b[:len(b)-1] {
			if _, err := ParseGroup(b[:n]); err == nil {
				t.Errorf("version %s cut to %d bytes is taken", c.version, n)
			}
		}
	}
	if _, err := ParseGroup(unhex(t, "0003 0000 00000003 ffff ffff 0000000000000009 7fffffff")); err == nil {
		t.Error("2^31-1 members in no bytes are taken")
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want Key
		ok   bool
	}{
		{"0000 0001 67 0001 74 00000002", Key{OffsetCommit, "g", topic.Partition{Topic: "t", Partition: 2}}, true},
		{"0001 0001 67 0001 74 00000002", Key{OffsetCommit, "g", topic.Partition{Topic: "t", Partition: 2}}, true},
		{"0002 0001 67", Key{Kind: GroupMetadata, Group: "g"}, true},
		{"0003 0001 67", Key{}, true},
		{"0077", Key{}, true},
		{"ffff 0001 67", Key{}, false},
		{"0002 0002 67", Key{}, false},
		{"00", Key{}, false},
		{"", Key{}, false},
	} {
		got, err := ParseKey(unhex(t, c.hex))
		if (err == nil) != c.ok || c.ok && got != c.want {
			t.Errorf("%s: %+v, %v", c.hex, got, err)
		}
	}
}

func TestTopics(t *testing.T) {
	for _, c := range []struct {
		what string
		hex  string
		want []string
		ok   bool
	}{
		{"version 0", "0000 00000002 0001 61 0001 62 ffffffff", []string{"a", "b"}, true},
		{"version 3 with more behind", "0003 00000001 0001 61 00000002 0102 00000000 00000005 ffff", []string{"a"}, true},
		{"a version to come", "0063 00000000 00000000 aabbcc", []string{}, true},
		{"a negative version", "ffff 00000000 00000000", nil, false},
		{"too many topics", "0000 7fffffff 0001 61", nil, false},
		{"a topic cut off", "0000 00000001 0002 61", nil, false},
		{"user data cut off", "0000 00000001 0001 61 00000005 01", nil, false},
		{"no user data", "0000 00000001 0001 61", nil, false},
		{"nothing", "", nil, false},
	} {
		got, ok := Topics(unhex(t, c.hex))
		if ok != c.ok || ok && !cmp.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.what, got, ok)
		}
	}
}

// script builds a partition: lines of "commit", "txn PRODUCER", "end PRODUCER commit|abort", each a batch.
type script struct {
	t    *testing.T
	log  []byte
	next int64
}

func (s *script) add(batch []byte) {
	record.SetBaseOffset(batch, s.next)
	e, err := record.NextEntry(batch)
	if err != nil {
		s.t.Fatal(err)
	}
	s.next = e.NextOffset()
	s.log = append(s.log, batch...)
}

func (s *script) batch(producer int64, records ...Record) {
	b := record.NewBuilder(record.BuilderOptions{LeaderEpoch: -1, Codec: record.Zstd})
	if producer >= 0 {
		b.SetProducer(producer, 0, 0, true)
	}
	for _, r := range records {
		b.Append(r.Key, r.Value, nil, 1)
	}
	batch, err := b.Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(batch)
}

func (s *script) end(producer int64, how record.ControlType) {
	s.add(record.NewControlBatch(record.Marker{Type: how}, producer, 0, 0, 1))
}

func at(group string, partition int32, offset int64) Record {
	return Record{
		OffsetKey(group, topic.Partition{Topic: "t", Partition: partition}),
		Offset{Offset: offset, LeaderEpoch: None, CommitTime: 1, ExpireTime: None}.Append(nil),
	}
}

func gone(group string, partition int32) Record {
	return Record{Key: OffsetKey(group, topic.Partition{Topic: "t", Partition: partition})}
}

func TestLoader(t *testing.T) {
	s := &script{t: t}
	s.batch(-1, at("a", 0, 1), at("a", 1, 1), at("b", 0, 1))
	s.batch(-1, at("a", 0, 2), gone("a", 1))
	s.batch(7, at("tx", 0, 10), at("tx", 1, 10)) // committed below
	s.batch(8, at("tx", 0, 20))                  // aborted below
	s.batch(9, at("tx", 2, 30), at("tx", 3, 30), gone("tx", 3))
	s.batch(-1, at("tx", 1, 11)) // newer than the transaction that is committed after it
	s.end(7, record.Commit)
	s.end(8, record.Abort)
	s.end(99, record.Commit) // of no transaction here
	g := Group{ProtocolType: "consumer", Generation: 4, StateTime: 5}
	s.batch(-1, Record{GroupKey("a"), g.Append(nil)}, Record{GroupKey("c"), g.Append(nil)}, Record{Key: GroupKey("c")}, gone("b", 0))
	s.batch(-1, Record{[]byte{0, 9, 1}, []byte("of another protocol")}, Record{[]byte{0, 1, 0}, nil}, Record{GroupKey("d"), []byte{0, 77}}, at("d", 0, 1))

	want := `  a
    generation 4 type "consumer" protocol null leader null since 5
    t-0 {Offset:2 LeaderEpoch:-1 Metadata: CommitTime:1 ExpireTime:-1}
  d
    t-0 {Offset:1 LeaderEpoch:-1 Metadata: CommitTime:1 ExpireTime:-1}
  tx
    t-0 {Offset:10 LeaderEpoch:-1 Metadata: CommitTime:1 ExpireTime:-1}
    t-1 {Offset:11 LeaderEpoch:-1 Metadata: CommitTime:1 ExpireTime:-1}
    open transaction of producer 9
      t-2 {Offset:30 LeaderEpoch:-1 Metadata: CommitTime:1 ExpireTime:-1}
`
	var l Loader
	l.Add(s.log)
	if d := cmp.Diff(want, describe(l.Groups())); d != "" {
		t.Error(d)
	}
	if _, skipped, cause := l.Stats(); skipped != 2 || cause == nil {
		t.Errorf("%d skipped, %v; want the cut key and the unknown value", skipped, cause)
	}

	// A damaged batch costs its own records, not those behind it.
	log := append([]byte(nil), s.log...)
	log[100] ^= 0x55
	var damaged Loader
	damaged.Add(log)
	if _, skipped, _ := damaged.Stats(); skipped != 3 {
		t.Errorf("%d skipped of a log with one damaged batch", skipped)
	}
	if d := cmp.Diff(want, describe(damaged.Groups())); d != "" {
		t.Errorf("the damaged batch was overwritten later on, and yet: %s", d)
	}

	// Entries may come in any portions.
	var portions Loader
	for rest := s.log; len(rest) > 0; {
		e, err := record.NextEntry(rest)
		if err != nil {
			t.Fatal(err)
		}
		portions.Add(rest[:e.Size])
		rest = rest[e.Size:]
	}
	if d := cmp.Diff(want, describe(portions.Groups())); d != "" {
		t.Error(d)
	}
}

func FuzzRecord(f *testing.F) {
	for _, log := range recorded(f, "clean") {
		for rec, err := range record.All(log) {
			if err != nil {
				f.Fatal(err)
			}
			f.Add(rec.Key, rec.Value)
		}
	}
	f.Add(unhex(f, "0002 0001 67"), unhex(f, "0004 02 63 00000002 02 72 02 61 0000000000000009 02  02 61 00 02 62 03 2f68 00000007 00000006 03 0102 02 03 01 05 01 aa 00"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if k, err := ParseKey(key); err == nil {
			var again []byte
			switch k.Kind {
			case OffsetCommit:
				again = OffsetKey(k.Group, k.Partition)
			case GroupMetadata:
				again = GroupKey(k.Group)
			default:
				return
			}
			if k2, err := ParseKey(again); err != nil || k2 != k {
				t.Errorf("key %+v comes back as %+v, %v", k, k2, err)
			}
		}
		if o, err := ParseOffset(value); err == nil && len(o.Metadata) <= StringMax {
			o2, err := ParseOffset(o.Append(nil))
			if o.ExpireTime != None {
				o2.LeaderEpoch = o.LeaderEpoch // version 1 has no place for both
			}
			if err != nil || o2 != o {
				t.Errorf("offset %+v comes back as %+v, %v", o, o2, err)
			}
		}
		if g, err := ParseGroup(value); err == nil && len(value) <= StringMax {
			g2, err := ParseGroup(g.Append(nil))
			if d := cmp.Diff(g, g2); err != nil || d != "" {
				t.Errorf("group %+v: %v %s", g, err, d)
			}
		}
		Topics(value)
	})
}

func FuzzLoader(f *testing.F) {
	for _, log := range recorded(f, "clean") {
		f.Add(log)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		var l Loader
		l.Add(log)
		for _, g := range l.Groups() {
			if g.Group == nil && len(g.Offsets) == 0 && len(g.Open) == 0 {
				t.Errorf("%s is loaded out of nothing", g.ID)
			}
		}
	})
}
