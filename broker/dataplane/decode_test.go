package dataplane

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/partition"
	"ottla/broker/record"
)

// vectors are the recorded request bodies of the API, by version.
func vectors(t testing.TB, key int16, each func(version int16, body []byte)) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "messages", "messages.txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := strings.Fields(lines.Text())
		if len(c) < 6 || c[0] != "Q" || c[1] != strconv.Itoa(int(key)) {
			continue
		}
		version, err := strconv.Atoi(c[3])
		if err != nil {
			t.Fatal(err)
		}
		body, err := hex.DecodeString(c[5])
		if err != nil {
			t.Fatal(err)
		}
		each(int16(version), body)
		n++
	}
	if lines.Err() != nil || n == 0 {
		t.Fatalf("%d vectors of API %d, %v", n, key, lines.Err())
	}
}

// checkProduce compares our reading of a body with kmsg's.
func checkProduce(t testing.TB, version int16, body []byte) {
	t.Helper()
	q := new(produce)
	if q.decode(body, version) != nil {
		return // kmsg takes any negative length for null, we do not; and it believes what a body claims, however much it is
	}
	k := kmsg.NewPtrProduceRequest()
	k.Version = version
	if k.ReadFrom(body) != nil {
		return
	}
	if q.acks != k.Acks || q.timeout != k.TimeoutMillis || q.txn != (k.TransactionID != nil) || len(q.topics) != len(k.Topics) {
		t.Fatalf("v%d: %+v, kmsg %+v", version, q, k)
	}
	for i, kt := range k.Topics {
		ours := q.topics[i]
		if ours.name != kt.Topic || ours.n != len(kt.Partitions) {
			t.Fatalf("v%d: topic %+v, kmsg %+v", version, ours, kt)
		}
		for j, kp := range kt.Partitions {
			if p := q.parts[ours.first+j]; p.index != kp.Partition || p.null != (kp.Records == nil) || !bytes.Equal(p.records, kp.Records) {
				t.Fatalf("v%d: partition %+v, kmsg %+v", version, p, kp)
			}
		}
	}
}

// checkFetch compares our reading of a body with kmsg's.
func checkFetch(t testing.TB, version int16, body []byte) {
	t.Helper()
	f := new(fetch)
	if f.decode(body, version) != nil {
		return
	}
	k := kmsg.NewPtrFetchRequest()
	k.Version = version
	if k.ReadFrom(body) != nil {
		return
	}
	replica := k.ReplicaID
	if version >= 15 {
		replica = k.ReplicaState.ID
	}
	if f.replica != replica || f.maxWait != k.MaxWaitMillis || f.minBytes != k.MinBytes || f.session != k.SessionID || f.epoch != k.SessionEpoch || version >= 3 && f.maxBytes != k.MaxBytes {
		t.Fatalf("v%d: %+v, kmsg %+v", version, f, k)
	}
	if stable := f.view == partition.Stable; stable != (k.IsolationLevel == 1 && replica == -1) {
		t.Fatalf("v%d: view %d, isolation level %d, replica %d", version, f.view, k.IsolationLevel, replica)
	}
	at := 0
	for _, kt := range k.Topics {
		for _, kp := range kt.Partitions {
			p := f.parts[at]
			at++
			if p.name != kt.Topic || p.id != kt.TopicID || p.index != kp.Partition || p.max != kp.PartitionMaxBytes || p.q.Offset != kp.FetchOffset ||
				p.q.LeaderEpoch != kp.CurrentLeaderEpoch || p.q.LastEpoch != kp.LastFetchedEpoch || p.q.LogStart != kp.LogStartOffset {
				t.Fatalf("v%d: %+v, kmsg %+v", version, p, kp)
			}
		}
	}
	gone := 0
	for _, kt := range k.ForgottenTopics {
		for _, n := range kt.Partitions {
			if g := f.forgotten[gone]; g.name != kt.Topic || g.id != kt.TopicID || g.index != n {
				t.Fatalf("v%d: %+v, kmsg %+v", version, g, kt)
			}
			gone++
		}
	}
	if at != len(f.parts) || gone != len(f.forgotten) {
		t.Fatalf("v%d: %d partitions and %d forgotten, kmsg %d and %d", version, len(f.parts), len(f.forgotten), at, gone)
	}
}

func TestDecodersAgreeWithKmsg(t *testing.T) {
	vectors(t, keyProduce, func(version int16, body []byte) { checkProduce(t, version, body) })
	vectors(t, keyFetch, func(version int16, body []byte) { checkFetch(t, version, body) })
	// A pooled request remembers nothing but names.
	f, q := new(fetch), produces.Get().(*produce)
	vectors(t, keyFetch, func(version int16, body []byte) {
		if err := f.decode(body, version); err != nil {
			t.Fatal(err)
		}
		*f = fetch{names: f.names[:0]}
	})
	vectors(t, keyProduce, func(version int16, body []byte) {
		if err := q.decode(body, version); err != nil {
			t.Fatal(err)
		}
		q.free()
		q = produces.Get().(*produce)
		if len(q.parts)+len(q.topics) != 0 || q.txn || q.err != nil {
			t.Fatalf("a freed request is not empty: %+v", q)
		}
	})
}

// Cut off at every byte, a request is refused or read, and never anything else.
func TestCutOffRequests(t *testing.T) {
	vectors(t, keyProduce, func(version int16, body []byte) {
		for n := range body {
			if err := new(produce).decode(body[:n], version); err == nil {
				t.Fatalf("Produce v%d cut at %d of %d is accepted", version, n, len(body))
			}
		}
	})
	vectors(t, keyFetch, func(version int16, body []byte) {
		for n := range body {
			if err := new(fetch).decode(body[:n], version); err == nil {
				t.Fatalf("Fetch v%d cut at %d of %d is accepted", version, n, len(body))
			}
		}
	})
}

// TestHostileRequests: claims that nothing stands behind, and floods of the smallest there is, are refused before they cost much.
func TestHostileRequests(t *testing.T) {
	const (
		topics = 7_000_000
		head   = "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // of Fetch v12
		prolog = "\x00\xff\xff\x00\x00\x00\x00"                                                                         // of Produce v9
	)
	many := string(binary.AppendUvarint(nil, topics+1))
	flood := strings.Repeat("\x01\x01\x00", topics) // a topic without name and partitions
	for what, c := range map[string]struct {
		body  string
		fetch bool
		err   error
	}{
		"2^32-1 tags in Fetch":         {head + "\x01\x01\x01\xff\xff\xff\xff\x0f", true, errCut},
		"2^63 tags in Fetch":           {head + "\x01\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f", true, errCut},
		"2^32-1 tags in Produce":       {prolog + "\x01\xff\xff\xff\xff\x0f", false, errCut},
		"2^32-2 topics in Fetch":       {head + "\xff\xff\xff\xff\x0f", true, errCut},
		"2^32-2 topics in Produce":     {prolog + "\xff\xff\xff\xff\x0f", false, errCut},
		"7 million topics in Fetch":    {head + many + flood + "\x01\x01\x00", true, errMany},
		"7 million forgotten topics":   {head + "\x01" + many + flood + "\x01\x00", true, errMany},
		"7 million topics in Produce":  {prolog + many + flood + "\x00", false, errMany},
		"tags of a topic without end":  {head + "\x02\x01\x01\xff\xff\xff\xff\x0f\x00", true, errCut},
		"a string longer than its all": {head + "\x02\xff\xff\xff\xff\x0f", true, errCut},
	} {
		var err error
		var before, after runtime.MemStats
		body := []byte(c.body)
		runtime.ReadMemStats(&before)
		if c.fetch {
			err = new(fetch).decode(body, 12)
		} else {
			err = (&produce{}).decode(body, 9)
		}
		runtime.ReadMemStats(&after)
		if err != c.err {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
			t.Errorf("%s: allocates %d bytes", what, got)
		}
	}
}

func FuzzProduceDecode(f *testing.F) {
	vectors(f, keyProduce, func(version int16, body []byte) { f.Add(version, body) })
	f.Add(int16(9), produceOne(9, 1, "t", 0, batch(f, record.None, "v")).AppendTo(nil))
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 0 || version > produceMax {
			return
		}
		q := new(produce)
		if q.decode(body, version) == nil && len(q.parts) > len(body) {
			t.Fatalf("%d partitions out of %d bytes", len(q.parts), len(body))
		}
		checkProduce(t, version, body)
	})
}

func FuzzFetchDecode(f *testing.F) {
	vectors(f, keyFetch, func(version int16, body []byte) { f.Add(version, body) })
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 0 || version > fetchMax {
			return
		}
		q := new(fetch)
		if q.decode(body, version) == nil && len(q.parts)+len(q.forgotten) > len(body) {
			t.Fatalf("%d partitions out of %d bytes", len(q.parts), len(body))
		}
		checkFetch(t, version, body)
	})
}
