package topic

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestParseAssignment(t *testing.T) {
	for text, want := range map[string]string{
		"":        "[] <nil>",
		"0":       "[[0]] <nil>",
		"1:2,2:3": "[[1 2] [2 3]] <nil>",
		" 1 : 2 ": "[[1 2]] <nil>",
		"1:1":     "[] Partition replica lists may not contain duplicate entries: 1",
		"1:2,3":   "[] Partition 1 has different replication factor: [3]",
		"a":       `[] For input string: "a"`,
		"1,,2":    `[] For input string: ""`,
	} {
		got, err := parseAssignment(text)
		if s := fmt.Sprint(got, " ", err); s != want {
			t.Errorf("%q: %s, want %s", text, s, want)
		}
	}
}

func TestPartitionLine(t *testing.T) {
	got := partitionLine("t", kadm.PartitionDetail{Partition: 1, Leader: -1, Replicas: []int32{1, 2}, ISR: []int32{2}})
	if want := "\tTopic: t\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: 2"; got != want {
		t.Errorf("%q", got)
	}
}

func TestFactorWhileReassigned(t *testing.T) {
	d := described{moves: map[int32]kadm.ListPartitionReassignmentsResponse{
		0: {Replicas: []int32{3, 4, 1}, AddingReplicas: []int32{3}, RemovingReplicas: []int32{1}},
	}}
	if n := d.factor(kadm.PartitionDetail{Partition: 0, Replicas: []int32{3, 4, 1}}); n != 2 {
		t.Errorf("under reassignment: %d", n)
	}
	if n := d.factor(kadm.PartitionDetail{Partition: 1, Replicas: []int32{1}}); n != 1 {
		t.Errorf("at rest: %d", n)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"retention.ms", "5", ""},
		{"nope", "1", "Unknown topic config name: nope"},
		{"retention.ms", "x", "Invalid value x for configuration retention.ms: Not a number of type LONG"},
	} {
		err := validate(map[string]string{c.key: c.value})
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s=%s: %v", c.key, c.value, err)
		}
	}
}
