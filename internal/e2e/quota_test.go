//go:build unix

package e2e

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/record"
)

// exchange sends a request under a client id and reads its answer.
func (c *rawConn) exchange(t *testing.T, clientID string, req kmsg.Request) kmsg.Response {
	t.Helper()
	c.format = kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if err := c.send(req); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatalf("%T: %v", req, err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	b = b[4:] // correlation id
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		b = b[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	return resp
}

// oneBatch is a record batch with one value of n bytes.
func oneBatch(t *testing.T, n int) []byte {
	t.Helper()
	b := record.NewBuilder(record.BuilderOptions{LeaderEpoch: -1})
	b.Append(nil, make([]byte, n), nil, time.Now().UnixMilli())
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func produce(topic string, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks, req.TimeoutMillis = acks, 10_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	return req
}

func versionsRequest() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(3)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "e2e", "1"
	return req
}

// throttling is what clients with quotas are told, and what becomes of them: throttle times in ms, topics and records of a fetch,
// error codes of topics to be made.
type throttling struct {
	Produce, Unlimited, Fetch, Request int32
	FetchTopics, FetchRecords          int
	Create, Refused                    int16
}

// TestQuotas compares throttle times with Apache Kafka's, to the millisecond where the time of day has no part in them, and
// has connections that are throttled wait.
func TestQuotas(t *testing.T) {
	coord := Coordinator(t)
	z := connect(t, coord.Address)
	measure := func(t *testing.T, chroot string, start func(zk string, lines ...string) *Server) (got throttling) {
		put := func(path, config string) {
			t.Helper()
			at := ""
			for _, part := range strings.Split(strings.TrimPrefix(chroot+path, "/"), "/") {
				at += "/" + part
				if ok, _, _ := z.Exists(at); !ok {
					if _, err := z.Create(at, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := z.Set(at, []byte(config), -1); err != nil {
				t.Fatal(err)
			}
		}
		put("/config/users/ANONYMOUS/clients/produce", `{"version":1,"config":{"producer_byte_rate":"10000"}}`)
		put("/config/clients/fetch", `{"version":1,"config":{"consumer_byte_rate":"10000"}}`)
		put("/config/clients/request", `{"version":1,"config":{"request_percentage":"0.00001"}}`)
		put("/config/users/%3Cdefault%3E", `{"version":1,"config":{"request_percentage":"1"}}`) // a user of that name: nobody
		put("/config/clients/mutate", `{"version":1,"config":{"controller_mutation_rate":"4.0"}}`)
		b := start(coord.Address+chroot, "controller.quota.window.num=2", "quota.window.num=11")
		createTopic(t, b.Address, "t", 1, nil)

		// 103,000 bytes and a bit in ten seconds are a bit more than 10,000 a second; the next is answered when that is over.
		c := dialRaw(t, b.Address)
		r := c.exchange(t, "produce", produce("t", 1, oneBatch(t, 103_000))).(*kmsg.ProduceResponse)
		got.Produce = r.ThrottleMillis
		after := time.Now()
		c.exchange(t, "produce", versionsRequest())
		held(t, "a produce", after, got.Produce)
		// acks=0 is not answered, and its connection not read, either.
		c = dialRaw(t, b.Address)
		if err := c.send(produce("t", 0, oneBatch(t, 1_000))); err != nil {
			t.Fatal(err)
		}
		c.exchange(t, "free", versionsRequest())
		got.Unlimited = c.exchange(t, "free", produce("t", 1, oneBatch(t, 1_000))).(*kmsg.ProduceResponse).ThrottleMillis

		// A quota that is set meanwhile counts once its notification has arrived.
		put("/config/clients/late", `{"version":1,"config":{"producer_byte_rate":"10000"}}`)
		if _, err := z.Create(chroot+"/config/changes/config_change_", []byte(`{"version":2,"entity_path":"clients/late"}`), zk.FlagSequence, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
		Await(t, 20*time.Second, "the new quota counts", func() error {
			if c.exchange(t, "late", produce("t", 1, oneBatch(t, 103_000))).(*kmsg.ProduceResponse).ThrottleMillis == 0 {
				return errors.New("it does not")
			}
			return nil
		})

		c = dialRaw(t, b.Address)
		f := func() *kmsg.FetchResponse {
			req := fetch4("t", 0, 0)
			req.SetVersion(12)
			req.SessionEpoch = -1
			return c.exchange(t, "fetch", req).(*kmsg.FetchResponse)
		}
		first := f() // no more than ten seconds' worth, but for a batch that is larger
		got.Fetch, got.FetchTopics = first.ThrottleMillis, len(first.Topics)
		if len(first.Topics) > 0 {
			got.FetchRecords = len(first.Topics[0].Partitions[0].RecordBatches)
		}
		after = time.Now()
		c.exchange(t, "other", versionsRequest())
		held(t, "a fetch", after, got.Fetch)

		c = dialRaw(t, b.Address)
		got.Request = c.exchange(t, "request", versionsRequest()).(*kmsg.ApiVersionsResponse).ThrottleMillis
		after = time.Now()
		c.exchange(t, "other", versionsRequest())
		held(t, "a request", after, got.Request)

		// A full bucket of eight gives eighteen partitions; then ten are missing, at four a second.
		c = dialRaw(t, b.Address)
		create := func(name string, n int32) (int16, int32) {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.SetVersion(6)
			req.TimeoutMillis = 20_000
			req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: n, ReplicationFactor: 1}}
			resp := c.exchange(t, "mutate", req).(*kmsg.CreateTopicsResponse)
			return resp.Topics[0].ErrorCode, resp.ThrottleMillis
		}
		got.Create, _ = create("many", 18)
		var wait int32
		if got.Refused, wait = create("more", 1); wait < 500 || wait > 2500 { // less the time that the creation took
			t.Errorf("who is refused is told to wait for %d ms", wait)
		}
		return got
	}
	var ours, theirs throttling
	t.Run("ottla", func(t *testing.T) {
		ours = measure(t, "/ottla", func(zk string, lines ...string) *Server { return Broker(t, 0, zk, lines...) })
	})
	t.Run("kafka", func(t *testing.T) {
		theirs = measure(t, "/kafka", func(zk string, lines ...string) *Server { return Kafka(t, t.TempDir(), 0, zk, lines...) })
	})
	if !t.Failed() && ours != theirs {
		t.Errorf("ours   %+v\ntheirs %+v", ours, theirs)
	}
	t.Logf("%+v", theirs)
	if ours.Produce < 100 || ours.Request < 500 || ours.Fetch < 100 {
		t.Errorf("hardly anything is throttled: %+v", ours)
	}
}

// held checks that a connection was not read for as long as its client was told.
func held(t *testing.T, what string, since time.Time, ms int32) {
	t.Helper()
	waited := time.Since(since)
	told := time.Duration(ms) * time.Millisecond
	if waited < told-50*time.Millisecond || math.Abs((waited-told).Seconds()) > 20 {
		t.Errorf("after %s, the next request was answered after %v; the client was told %v", what, waited, told)
	}
}
