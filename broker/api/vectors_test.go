package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// vector is one body that Apache Kafka 3.9's own schemas wrote.
type vector struct {
	request bool
	key     int16
	name    string
	version int16
	body    []byte
}

func (v vector) String() string {
	kind := "response"
	if v.request {
		kind = "request"
	}
	return fmt.Sprintf("%s %s v%d %x", v.name, kind, v.version, v.body)
}

func vectors(t *testing.T) []vector {
	t.Helper()
	f, err := os.Open("../../testdata/messages/messages.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		column := append(strings.Fields(lines.Text()), "") // a body may be empty
		key, err := strconv.ParseInt(column[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		version, err := strconv.ParseInt(column[3], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		body, err := hex.DecodeString(column[5])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, vector{column[0] == "Q", int16(key), column[2], int16(version), body})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// message is what kmsg's requests and responses have in common.
type message interface {
	SetVersion(int16)
	ReadFrom([]byte) error
	AppendTo([]byte) []byte
}

func (v vector) message() message {
	switch {
	case v.request && v.name == "StopReplica":
		return new(api.StopReplicaRequest)
	case v.request:
		return kmsg.RequestForKey(v.key)
	}
	return kmsg.ResponseForKey(v.key)
}

// roundTrip decodes and encodes a body.
func (v vector) roundTrip(body []byte) ([]byte, error) {
	m := v.message()
	if m == nil {
		return nil, fmt.Errorf("unknown key %d", v.key)
	}
	m.SetVersion(v.version)
	if err := m.ReadFrom(body); err != nil {
		return nil, err
	}
	return m.AppendTo(nil), nil
}

// TestMessageVectors decodes and encodes the body of every message in every version of a 3.9 broker, to the byte. Two kinds of
// vectors are not what Apache Kafka sends, since its schemas, which wrote them, know less than its message classes:
//
//   - A tagged field with its default value is written by the schema and left out by the class: the null cluster id of Fetch.
//   - A nullable struct has a byte that says whether it is there, which the schema does not write: the assignment in
//     ConsumerGroupHeartbeat.
func TestMessageVectors(t *testing.T) {
	pairs := map[string]bool{}
	exact, explained := 0, map[string]int{}
	for _, v := range vectors(t) {
		pairs[fmt.Sprintf("%t %d %d", v.request, v.key, v.version)] = true
		body := v.body
		if !v.request && v.name == "ConsumerGroupHeartbeat" {
			explained[v.name]++
			body = withAssignmentMarker(body)
		}
		got, err := v.roundTrip(body)
		switch {
		case err != nil:
			t.Errorf("%s: %v", v, err)
		case bytes.Equal(got, body):
			exact++
		case v.request && v.name == "Fetch" && v.version >= 12 && bytes.Equal(got, withoutNullCluster(body, got)):
			explained[v.name]++
		default:
			t.Errorf("%s\nbecomes %x", v, got)
		}
	}
	t.Logf("%d messages and versions; %d bodies exact; explained: %v", len(pairs), exact, explained)
	if len(pairs) != 572 {
		t.Errorf("%d messages and versions, want 572", len(pairs))
	}
}

// withAssignmentMarker puts the byte 1, "not null", before the assignment of a ConsumerGroupHeartbeat response, which follows
// throttle time, error code, two compact nullable strings, member epoch and heartbeat interval.
func withAssignmentMarker(b []byte) []byte {
	at := 4 + 2
	for range 2 {
		at += max(int(b[at]), 1) // short strings: their length plus one in one byte; 0 is null
	}
	return slices.Insert(bytes.Clone(b), at+4+4, 1)
}

// withoutNullCluster takes tag 0 of one byte, null, out of a Fetch request where ours first differs from it: its count of tags.
func withoutNullCluster(b, ours []byte) []byte {
	for i := range b {
		if i < len(ours) && b[i] == ours[i] {
			continue
		}
		if i+4 > len(b) || b[i+1] != 0 || b[i+2] != 1 || b[i+3] != 0 {
			return nil
		}
		b = slices.Delete(bytes.Clone(b), i+1, i+4)
		b[i]--
		return b
	}
	return nil
}

// TestStopReplicaV4 reads the fields where they are, with the handler that brokers register.
func TestStopReplicaV4(t *testing.T) {
	q := new(api.StopReplicaRequest)
	q.Version, q.ControllerID, q.ControllerEpoch, q.BrokerEpoch, q.IsKRaftController = 4, 3, 0x01020304, 77, true
	q.Topics = []kmsg.StopReplicaRequestTopic{{Topic: "t", PartitionStates: []kmsg.StopReplicaRequestTopicPartitionState{{Partition: 1, LeaderEpoch: -2, Delete: true}}}}
	body := q.AppendTo([]byte("header"))[len("header"):]
	if body[4] != 1 || binary.BigEndian.Uint32(body[5:]) != 0x01020304 || binary.BigEndian.Uint64(body[9:]) != 77 {
		t.Errorf("%x", body)
	}
	sent := bytes.Clone(body)

	r := api.NewRegistry()
	var got *api.StopReplicaRequest
	api.RegisterStopReplica(r, 0, 4, func(_ context.Context, _ *api.Request, q *api.StopReplicaRequest) (kmsg.Response, error) {
		got = q
		return kmsg.NewPtrStopReplicaResponse(), nil
	})
	e, ok := r.Lookup(5)
	if !ok {
		t.Fatal("not registered")
	}
	resp, err := e.Handle(t.Context(), &api.Request{Key: 5, Version: 4, Body: body})
	if err != nil || resp.(kmsg.Response).GetVersion() != 4 {
		t.Fatalf("%v, %v", resp, err)
	}
	if !got.IsKRaftController || got.ControllerEpoch != 0x01020304 || got.BrokerEpoch != 77 || !got.Topics[0].PartitionStates[0].Delete {
		t.Errorf("%+v", got)
	}
	if !bytes.Equal(sent, body) {
		t.Error("decoding changed the body")
	}
	for n := range body {
		if _, err := e.Handle(t.Context(), &api.Request{Key: 5, Version: 4, Body: body[:n]}); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(body))
		}
	}
}

// FuzzStopReplica: any bytes either fail or encode to a body of the same fields.
func FuzzStopReplica(f *testing.F) {
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 0 || version > 4 {
			return
		}
		q := new(api.StopReplicaRequest)
		q.Version = version
		if q.ReadFrom(body) != nil {
			return
		}
		again := new(api.StopReplicaRequest)
		again.Version = version
		if err := again.ReadFrom(q.AppendTo(nil)); err != nil || fmt.Sprint(q) != fmt.Sprint(again) {
			t.Fatalf("%v, then %v (%v)", q, again, err)
		}
	})
}
