package znode

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ottla/broker/topic"
)

// sameJSON compares JSON without regard to the order of keys, which Kafka does not define.
func sameJSON(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(w, g); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
	if strings.ContainsAny(string(got), " \n") {
		t.Errorf("%s is not compact: %s", what, got)
	}
}

// TestBrokerJSON writes what a 3.9 broker was recorded with, and reads what each version wrote.
func TestBrokerJSON(t *testing.T) {
	b := Broker{ID: 1, Rack: "az-a", JMXPort: -1, Endpoints: []Endpoint{
		{"INTERNAL", "10.0.0.11", 9092, Plaintext}, {"EXTERNAL", "k1.example.org", 9093, SASLSSL}, {"SIX", "::1", 9094, SSL},
	}}
	now := time.UnixMilli(1718000000123)
	sameJSON(t, "registration", b.encode(now), `{"features":{},"listener_security_protocol_map":{"INTERNAL":"PLAINTEXT","EXTERNAL":"SASL_SSL","SIX":"SSL"},
		"endpoints":["INTERNAL://10.0.0.11:9092","EXTERNAL://k1.example.org:9093","SIX://[::1]:9094"],"rack":"az-a","jmx_port":-1,"port":9092,"host":"10.0.0.11",
		"version":5,"timestamp":"1718000000123"}`)
	got, err := DecodeBroker(1, b.encode(now), 77)
	want := b
	want.Epoch = 77
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	b.Endpoints, b.Rack = b.Endpoints[1:2], ""
	sameJSON(t, "without PLAINTEXT", b.encode(now), `{"features":{},"listener_security_protocol_map":{"EXTERNAL":"SASL_SSL"},"endpoints":["EXTERNAL://k1.example.org:9093"],
		"jmx_port":-1,"port":-1,"host":null,"version":5,"timestamp":"1718000000123"}`)

	for text, want := range map[string]Broker{
		`{"version":1,"host":"h","port":9,"jmx_port":7,"timestamp":"1"}`:                                               {JMXPort: 7, Endpoints: []Endpoint{{"PLAINTEXT", "h", 9, Plaintext}}},
		`{"jmx_port":-1,"timestamp":"1","endpoints":["SASL_PLAINTEXT://h:9"],"host":"h","version":2,"port":9}`:         {JMXPort: -1, Endpoints: []Endpoint{{"SASL_PLAINTEXT", "h", 9, SASLPlaintext}}},
		`{"version":3,"host":"h","port":9,"jmx_port":-1,"timestamp":"1","endpoints":["PLAINTEXT://h:9"],"rack":"dc1"}`: {JMXPort: -1, Rack: "dc1", Endpoints: []Endpoint{{"PLAINTEXT", "h", 9, Plaintext}}},
		`{"version":5,"endpoints":["a://h:9"],"listener_security_protocol_map":{"a":"ssl"},"features":{"f":{"x":1}}}`:  {JMXPort: -1, Endpoints: []Endpoint{{"A", "h", 9, SSL}}},
	} {
		if got, err := DecodeBroker(0, []byte(text), 0); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v %s", text, err, cmp.Diff(want, got))
		}
	}
	for _, text := range []string{``, `x`, `{}`, `{"version":0}`, `{"version":1}`, `{"version":5,"endpoints":["nonsense"]}`, `{"version":5,"endpoints":["A://h:x"]}`,
		`{"version":4,"endpoints":["A://h:9"],"listener_security_protocol_map":{}}`, `{"version":2,"endpoints":["A://h:9"]}`, `{"version":5,"endpoints":[5]}`} {
		if b, err := DecodeBroker(3, []byte(text), 0); err == nil || !strings.Contains(err.Error(), "broker 3") {
			t.Errorf("%q was read as %+v, %v", text, b, err)
		}
	}
}

func TestTopicJSON(t *testing.T) {
	id, _ := topic.ParseID("Yb1hP0nVQx6eQk5dYq2m0w")
	n := Topic{Name: "t", ID: id, Partitions: map[int32]Assignment{
		0: {Replicas: []int32{3, 4, 2, 1}, Adding: []int32{4}, Removing: []int32{1}}, 1: {Replicas: []int32{2, 3, 1}},
	}}
	sameJSON(t, "topic", n.Encode(), `{"partitions":{"0":[3,4,2,1],"1":[2,3,1]},"topic_id":"Yb1hP0nVQx6eQk5dYq2m0w","adding_replicas":{"0":[4]},"removing_replicas":{"0":[1]},"version":3}`)
	if got, err := DecodeTopic("t", n.Encode()); err != nil || cmp.Diff(n, got) != "" {
		t.Error(err, cmp.Diff(n, got))
	}
	for _, text := range []string{`{"version":1,"partitions":{"0":[1]}}`, `{"version":2,"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{}}`,
		`{"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{},"version":3}`} {
		got, err := DecodeTopic("t", []byte(text))
		if err != nil || !got.ID.IsZero() || cmp.Diff(map[int32]Assignment{0: {Replicas: []int32{1}}}, got.Partitions) != "" {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `[]`, `{"partitions":{"a":[1]}}`, `{"partitions":{"-1":[1]}}`, `{"partitions":{"0":[]}}`, `{"partitions":{"0":[-2]}}`,
		`{"partitions":{"99999999999":[1]}}`, `{"partitions":{"0":[1]},"topic_id":"short"}`} {
		if got, err := DecodeTopic("t", []byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestPartitionStateJSON(t *testing.T) {
	st := PartitionState{Leader: 2, LeaderEpoch: 14, ISR: []int32{2, 3, 1}, ControllerEpoch: 7}
	sameJSON(t, "state", st.Encode(), `{"controller_epoch":7,"leader":2,"version":1,"leader_epoch":14,"isr":[2,3,1]}`)
	st.Recovering, st.Version = true, 5
	sameJSON(t, "recovering", st.Encode(), `{"controller_epoch":7,"leader":2,"version":1,"leader_epoch":14,"isr":[2,3,1],"leader_recovery_state":1}`)
	if got, err := DecodePartitionState(st.Encode(), 5); err != nil || cmp.Diff(st, got) != "" {
		t.Error(err, cmp.Diff(st, got))
	}
	for _, text := range []string{``, `{}`, `{"isr":[]}`, `{"leader":"x","isr":[1]}`} {
		if got, err := DecodePartitionState([]byte(text), 0); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestConfigChangeJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":2,"entity_path":"topics/orders"}`:                     "topics orders",
		`{"version":2,"entity_path":"brokers/<default>"}`:                 "brokers <default>",
		`{"version":2,"entity_path":"users/bob/clients/app-2"}`:           "users bob/clients/app-2",
		`{"version":1,"entity_type":"topics","entity_name":"orders"}`:     "topics orders",
		`{"version":1,"entity_type":"brokers","entity_name":"0"}`:         "",
		`{"version":3,"entity_path":"topics/orders"}`:                     "",
		`{"version":2,"entity_path":"topics"}`:                            "",
		`{"version":2,"entity_path":"/x"}`:                                "",
		`topics/orders`:                                                   "",
		``:                                                                "",
		`{"version":1,"entity_type":"clients","entity_name":"","more":1}`: "",
	} {
		kind, name, ok := decodeChange([]byte(text))
		got := kind + " " + name
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParseConnect(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:2181":        "[localhost:2181] ",
		"a, b:2182 ,c/kafka/c1": "[a:2181 b:2182 c:2181] /kafka/c1",
		"a:1/":                  "[a:1] ",
		"[::1]:2181,[::1]/x/":   "[[::1]:2181 [::1]:2181] /x",
		"":                      "error",
		"/kafka":                "error",
		"a:1/x//y":              "error",
	} {
		servers, chroot, err := ParseConnect(text)
		got := "error"
		if err == nil {
			got = "[" + strings.Join(servers, " ") + "] " + chroot
		}
		if got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzDecode: nothing that somebody writes into a znode may do more harm than an error.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"version":5,"endpoints":["A://h:9"],"listener_security_protocol_map":{"A":"PLAINTEXT"}}`,
		`{"partitions":{"0":[1]},"topic_id":"Yb1hP0nVQx6eQk5dYq2m0w"}`, `{"isr":[1],"leader":1}`, `{"version":2,"entity_path":"topics/t"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := DecodeBroker(1, data, 0); err == nil {
			if again, err := DecodeBroker(1, b.encode(time.UnixMilli(0)), 0); err != nil || len(again.Endpoints) != len(b.Endpoints) {
				t.Errorf("%+v is read again as %+v, %v", b, again, err)
			}
		}
		if n, err := DecodeTopic("t", data); err == nil {
			if _, err := DecodeTopic("t", n.Encode()); err != nil {
				t.Error(err)
			}
		}
		if st, err := DecodePartitionState(data, 1); err == nil {
			if again, err := DecodePartitionState(st.Encode(), 1); err != nil || cmp.Diff(st, again) != "" {
				t.Error(err, cmp.Diff(st, again))
			}
		}
		_, _, _ = decodeChange(data)
		_, _, _ = decodeEntity("topics", "t", data)
	})
}
