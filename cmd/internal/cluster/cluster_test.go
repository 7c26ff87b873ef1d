package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
)

func TestLine(t *testing.T) {
	for _, c := range []struct {
		api  api
		want string
	}{
		{api{Key: 0, Max: 11}, "Produce(0): 0 to 11 [usable: 11]"},
		{api{Key: 0, Min: 3, Max: 13}, "Produce(0): 3 to 13 [usable: 11]"},
		{api{Key: 1, Min: 4, Max: 12}, "Fetch(1): 4 to 12 [usable: 12]"},
		{api{Key: 58}, "Envelope(58): 0 [usable: 0]"},
		{api{Key: 57, Min: 2, Max: 2}, "UpdateFeatures(57): 2 [unusable: node too new]"},
		{api{Key: 99, Max: 1}, "UNKNOWN(99): 0 to 1"},
	} {
		if got := c.api.line(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.api, got, c.want)
		}
	}
}

func TestParseFeatures(t *testing.T) {
	for _, c := range []struct {
		op       string
		unsafe   bool
		features []string
		want     []kadm.FeatureUpdate
		err      string
	}{
		{op: "upgrade", features: []string{"a=3", "b = 1"}, want: []kadm.FeatureUpdate{{Feature: "a", MaxVersionLevel: 3, UpgradeType: 1}, {Feature: "b", MaxVersionLevel: 1, UpgradeType: 1}}},
		{op: "downgrade", features: []string{"a=1"}, want: []kadm.FeatureUpdate{{Feature: "a", MaxVersionLevel: 1, UpgradeType: 2}}},
		{op: "disable", unsafe: true, features: []string{"a"}, want: []kadm.FeatureUpdate{{Feature: "a", UpgradeType: 3}}},
		{op: "upgrade", err: "You must specify at least one feature to upgrade"},
		{op: "upgrade", features: []string{"a"}, err: "Can't parse feature=level string a: equals sign not found."},
		{op: "upgrade", features: []string{"a=x"}, err: "Can't parse feature=level string a=x: unable to parse x as a short."},
		{op: "upgrade", features: []string{"a=1", "a=2"}, err: "Feature a was specified more than once."},
	} {
		got, err := parseFeatures(c.op, c.features, c.unsafe)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if d := cmp.Diff(c.want, got); d != "" || text != c.err {
			t.Errorf("%s %v: %s, %q", c.op, c.features, d, text)
		}
	}
}

func TestReadPartitions(t *testing.T) {
	read := func(text string) (kadm.TopicsSet, error) {
		path := filepath.Join(t.TempDir(), "f.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return readPartitions(path)
	}
	set, err := read(`{"partitions": [{"topic": "a", "partition": 1}, {"topic": "b", "partition": 0}]}`)
	if err != nil || !set.Lookup("a", 1) || !set.Lookup("b", 0) || set.Lookup("a", 0) {
		t.Errorf("%v, %v", set, err)
	}
	for _, bad := range []string{"", "[]", `{"version": 1}`, `{"partitions": [{"topic": "a", "partition": 1}, {"topic": "a", "partition": 1}]}`} {
		if set, err := read(bad); err == nil {
			t.Errorf("%s: %v", bad, set)
		}
	}
}

func TestPrintTable(t *testing.T) {
	var b bytes.Buffer
	printTable(&b, []string{"A", "Long"}, [][]string{{"wide", "1"}, {"x", "2"}})
	if want := "A   \tLong\t\nwide\t1   \t\nx   \t2   \t\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
