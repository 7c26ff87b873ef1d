package group

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"P1D": 24 * time.Hour, "PT2H": 2 * time.Hour, "P1DT2H3M4S": 26*time.Hour + 3*time.Minute + 4*time.Second, "PT0S": 0, "PT1.5S": 1500 * time.Millisecond,
		"-PT6H": -6 * time.Hour, "PT-6H3M": -6*time.Hour + 3*time.Minute, "pt1m": time.Minute,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "P", "PT", "P1DT", "1D", "P1H", "P99999999999999999D"} {
		if d, err := parseDuration(bad); err == nil {
			t.Errorf("%q is %v", bad, d)
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, text := range []string{"2024-05-06T07:08:09.010", "2024-05-06T09:08:09.010+02:00", "2024-05-06T09:08:09.010+0200", "2024-05-06T07:08:09.010Z"} {
		if at, err := parseDate(text); err != nil || !at.Equal(time.Date(2024, 5, 6, 7, 8, 9, 10e6, time.UTC)) {
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	if at, err := parseDate("tomorrow"); err == nil {
		t.Errorf("tomorrow is %v", at)
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]reset{
		"earliest": {target: toEarliest}, "latest": {target: toLatest}, "current": {target: toCurrent},
		"17": {target: toOffset, number: 17}, "+5": {target: shiftBy, number: 5}, "-5": {target: shiftBy, number: -5},
		"2024-05-06T07:08:09Z": {target: toTime, time: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)},
	} {
		got, err := parseTarget(text)
		if err != nil || got.target != want.target || got.number != want.number || !got.time.Equal(want.time) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if r, err := parseTarget("90m"); err != nil || r.target != toTime || time.Since(r.time).Round(time.Minute) != 90*time.Minute {
		t.Errorf("90m: %+v, %v", r, err)
	}
	if _, err := parseTarget("sooner"); err == nil {
		t.Error("sooner was accepted")
	}
}

func TestPlan(t *testing.T) {
	moves := []moved{{Group: "g", Topic: "t", Partition: 1, New: 5}, {Group: "a group, named", Topic: "a-topic-whose-name-is-long", New: 7}}
	text := writePlan(moves, true)
	if want := "g,t,1,5\n\"a group, named\",\"a-topic-whose-name-is-long\",0,7\n"; text != want {
		t.Errorf("wrote %q, want %q", text, want)
	}
	p, err := parsePlan(strings.NewReader(text), []string{"g", "a group, named"})
	if err != nil || p["g"][kadm.Partition{Topic: "t", Partition: 1}] != 5 || p["a group, named"][kadm.Partition{Topic: "a-topic-whose-name-is-long"}] != 7 {
		t.Errorf("%v, %v", p, err)
	}
	if p, err := parsePlan(strings.NewReader("t,0,3\n"), []string{"g"}); err != nil || p["g"][kadm.Partition{Topic: "t"}] != 3 {
		t.Errorf("%v, %v", p, err)
	}
	for _, bad := range []string{"t,0,3\n", "t,0\n", "g,t,x,1\n", "g,t,0,y\n", "\"g,t,0,1\n"} {
		if p, err := parsePlan(strings.NewReader(bad), []string{"g", "h"}); err == nil {
			t.Errorf("%q is %v", bad, p)
		}
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
