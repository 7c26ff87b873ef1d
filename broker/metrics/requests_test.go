package metrics

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/network"
)

func exchange() *network.Exchange {
	return &network.Exchange{
		Key: 0, Version: 9, CorrelationID: 7, ClientID: "me", Conn: &api.Conn{ID: 3, Listener: "PLAINTEXT", Principal: "User:ANONYMOUS", ClientHost: "10.0.0.1"},
		At: time.Minute, RequestBytes: 1000, AnswerBytes: 50, Together: 1,
		Queue: time.Millisecond, Local: 2 * time.Millisecond, Remote: 4 * time.Millisecond, AnswerQueue: 8 * time.Microsecond, Send: 16 * time.Microsecond,
	}
}

// collector is the Requests alone.
type collector struct{ r *Requests }

func (collector) Describe(chan<- *prometheus.Desc)      {}
func (c collector) Collect(ch chan<- prometheus.Metric) { c.r.Collect(NewWriter(ch)) }

func TestRequests(t *testing.T) {
	r := NewRequests(&RequestLog{}, func() time.Duration { return time.Minute }, 0, 18)
	for range 10 {
		r.End(exchange())
	}
	fetch := exchange()
	fetch.Key, fetch.Follower, fetch.Throttle = 1, true, 3*time.Second
	r.End(fetch)
	fetch.Follower, fetch.Throttle = false, 0
	r.End(fetch)
	r.End(fetch)
	odd := exchange()
	odd.Key, odd.Version = -1, 99
	r.End(odd)
	odd.Key = 3
	r.End(odd)

	meta := kmsg.NewPtrMetadataResponse()
	meta.Topics = []kmsg.MetadataResponseTopic{
		{ErrorCode: 3}, {Partitions: []kmsg.MetadataResponseTopicPartition{{ErrorCode: 5}, {ErrorCode: 0}}}, {ErrorCode: 6},
	}
	r.Answer(3, meta)
	r.Answer(18, &kmsg.ApiVersionsResponse{})
	r.Answer(18, &kmsg.ApiVersionsResponse{ErrorCode: -1})
	r.Answer(18, &kmsg.ApiVersionsResponse{ErrorCode: 30000})

	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector{r})
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			got[strings.TrimPrefix(f.GetName(), requestMetrics)+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	near := func(key string, want float64) {
		t.Helper()
		if v, ok := got[key]; !ok || v < want*.93 || v > want*1.07 {
			t.Errorf("%s is %v, want about %v", key, v, want)
		}
	}
	near("totaltimems{quantile=0.50,request=Produce}", 7.024)
	near("requestqueuetimems{quantile=0.99,request=Produce}", 1)
	near("localtimems{quantile=0.999,request=Produce}", 2)
	near("remotetimems{quantile=0.50,request=Produce}", 4)
	near("responsequeuetimems{quantile=0.50,request=Produce}", .008)
	near("responsesendtimems{quantile=0.50,request=Produce}", .016)
	near("requestbytes{quantile=0.95,request=Produce}", 1000)
	near("throttletimems{quantile=0.50,request=Produce}", 0)
	near("throttletimems{quantile=0.99,request=FetchFollower}", 3000)
	near("throttletimems{quantile=0.50,request=Fetch}", 0)
	near("totaltimems_count{request=Produce}", 10)
	near("totaltimems_count{request=Fetch}", 3)
	near("totaltimems_count{request=FetchConsumer}", 2)
	near("totaltimems_count{request=ApiVersions}", 0)
	near("requests_total{request=Produce,version=9}", 10)
	near("requests_total{request=FetchFollower,version=9}", 1)
	near("errors_total{error=NONE,request=Metadata}", 3) // of the whole, of a topic and of a partition
	near("errors_total{error=LEADER_NOT_AVAILABLE,request=Metadata}", 1)
	near("errors_total{error=UNKNOWN_TOPIC_OR_PARTITION,request=Metadata}", 1)
	near("errors_total{error=NOT_LEADER_OR_FOLLOWER,request=Metadata}", 1)
	near("errors_total{error=NONE,request=ApiVersions}", 1)
	near("errors_total{error=UNKNOWN_SERVER_ERROR,request=ApiVersions}", 1)
	if busy, _ := r.Busy(2); busy != 14*(2*time.Millisecond+16*time.Microsecond) {
		t.Error(busy)
	}
}

func TestAPINames(t *testing.T) {
	for key, want := range map[int16]string{4: "LeaderAndIsr", 22: "InitProducerId", 17: "SaslHandshake", 51: "AlterUserScramCredentials", 29: "DescribeAcls", 67: "AllocateProducerIds", 26: "EndTxn", 46: "ListPartitionReassignments"} {
		if got := APIName(key); got != want {
			t.Errorf("%d is %s, want %s", key, got, want)
		}
	}
}

// lines are what a logger wrote, without its time.
func lines(t *testing.T, b *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err, line)
		}
		all = append(all, m)
	}
	b.Reset()
	return all
}

func TestRequestLog(t *testing.T) {
	var out bytes.Buffer
	at := func(l zerolog.Level) zerolog.Logger { return zerolog.New(&out).Level(l) }
	l := &RequestLog{Requests: at(zerolog.WarnLevel), Arrivals: at(zerolog.InfoLevel), Security: map[string]string{"PLAINTEXT": "PLAINTEXT"}}
	l.SetSlow(7 * time.Millisecond)

	fast, slow, waits := exchange(), exchange(), exchange()
	fast.Remote = time.Millisecond
	waits.Key, waits.Remote = 1, time.Minute
	l.end(fast)
	l.end(slow)
	l.end(waits)
	want := map[string]any{
		"level": "warn", "api": "Produce", "version": 9., "correlationId": 7., "clientId": "me", "client": "10.0.0.1", "connection": 3., "listener": "PLAINTEXT",
		"principal": "User:ANONYMOUS", "securityProtocol": "PLAINTEXT", "requestBytes": 1000., "responseBytes": 50., "totalTimeMs": 7.024, "requestQueueTimeMs": 1.,
		"localTimeMs": 2., "remoteTimeMs": 4., "throttleTimeMs": 0., "responseQueueTimeMs": .008, "sendTimeMs": .016, "boundMs": 7., "message": "request was slow",
	}
	if diff := cmp.Diff([]map[string]any{want}, lines(t, &out)); diff != "" {
		t.Error(diff)
	}
	l.SetSlow(0)
	l.end(slow)
	if got := lines(t, &out); got != nil {
		t.Error(got)
	}
	l.Requests = at(zerolog.DebugLevel)
	l.end(fast)
	if got := lines(t, &out); len(got) != 1 || got[0]["message"] != "request completed" || got[0]["remoteTimeMs"] != 1. {
		t.Error(got)
	}

	q := kmsg.NewPtrHeartbeatRequest()
	q.Version, q.Group = 4, "g"
	arrive := func(key, version int16, body []byte) map[string]any {
		l.begin(&api.Request{Key: key, Version: version, Body: body, Size: len(body), Conn: fast.Conn})
		got := lines(t, &out)
		if len(got) == 0 {
			return nil
		}
		return got[0]
	}
	if got := arrive(12, 4, q.AppendTo(nil)); got != nil {
		t.Error(got)
	}
	l.Arrivals = at(zerolog.TraceLevel)
	if got := arrive(12, 4, q.AppendTo(nil)); got["api"] != "Heartbeat" || got["request"].(map[string]any)["Group"] != "g" {
		t.Error(got)
	}
	// What cannot be shown or must not be is told without its content.
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, x := range []struct {
		key, version int16
		body         []byte
	}{{12, 4, []byte{0xff, 0xff}}, {12, 99, nil}, {9999, 0, nil}, {44, 0, alter.AppendTo(nil)}, {12, 4, make([]byte, bodyMax+1)}} {
		if got := arrive(x.key, x.version, x.body); got["message"] != "request arrived" || got["request"] != nil {
			t.Error(x.key, got)
		}
	}
}
