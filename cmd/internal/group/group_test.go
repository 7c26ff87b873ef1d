package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestISODuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"P1D": 24 * time.Hour, "PT2H": 2 * time.Hour, "P1DT2H3M4S": 26*time.Hour + 3*time.Minute + 4*time.Second, "PT0S": 0,
	} {
		if got, err := isoDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "P", "PT", "P1DT", "1D", "PT1.5S"} {
		if _, err := isoDuration(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestWhen(t *testing.T) {
	c := &call{toDatetime: "2024-05-06T07:08:09.010"}
	c.Command = KafkaConsumerGroups()
	if err := c.Flags().Set("to-datetime", c.toDatetime); err != nil {
		t.Fatal(err)
	}
	at, asked, err := c.when()
	if err != nil || !asked || !at.Equal(time.Date(2024, 5, 6, 7, 8, 9, 10e6, time.UTC)) {
		t.Errorf("%v, %v, %v", at, asked, err)
	}
}

func TestAssignedText(t *testing.T) {
	for want, tps := range map[string][]kadm.Partition{
		"-":          nil,
		"(0)":        {{Topic: "a", Partition: 0}},
		"(0,2), (1)": {{Topic: "a", Partition: 0}, {Topic: "a", Partition: 2}, {Topic: "b", Partition: 1}},
	} {
		if got := assignedText(tps); got != want {
			t.Errorf("%v: %s, want %s", tps, got, want)
		}
	}
}
