package topic

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestParseAt(t *testing.T) {
	for text, want := range map[string]string{"latest": "latest", "-1": "latest", "-2": "earliest", "max-timestamp": "max-timestamp", "-4": "earliest-local", "-5": "latest-tiered"} {
		if a, err := parseAt(text); err != nil || a.name != want {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	if a, err := parseAt("1700000000123"); err != nil || a.name != "" || a.time.UnixMilli() != 1700000000123 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := parseAt("yesterday"); err == nil {
		t.Errorf("yesterday is %+v", a)
	}
}

func TestParsePlace(t *testing.T) {
	if topic, p, o, err := parsePlace("orders:3:-1"); err != nil || topic != "orders" || p != 3 || o != -1 {
		t.Errorf("%s %d %d, %v", topic, p, o, err)
	}
	for _, bad := range []string{"", "orders", "orders:1", "orders:x:1", "orders:1:x", "orders:-1:1", "orders:1:-2"} {
		if topic, p, o, err := parsePlace(bad); err == nil {
			t.Errorf("%q is %s %d %d", bad, topic, p, o)
		}
	}
}

func TestPartitionFilter(t *testing.T) {
	for _, c := range []struct {
		rules, topic, partitions string
		want                     string // of a-0, a-1, a-5, b-0
	}{
		{"", "", "", "true true true true"},
		{"", "a", "0,5", "true false true false"},
		{"", "a|b", "", "true true true true"},
		{"a:1", "", "", "false true false false"},
		{"a:1-5", "", "", "false true false false"},
		{"a:1-,b", "", "", "false true true true"},
		{":-1", "", "", "true false false true"},
	} {
		f, err := partitionFilter(c.rules, c.topic, c.partitions)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got := fmt.Sprint(f("a", 0), f("a", 1), f("a", 5), f("b", 0)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for _, bad := range [][3]string{{"a:b"}, {"("}, {"", "("}, {"", "a", "x"}, {"a:99999999999"}} {
		if _, err := partitionFilter(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReadOffsets(t *testing.T) {
	for text, want := range map[string]string{
		`{"partitions": [{"topic": "a", "partition": 1, "offset": 7}], "version": 1}`: "",
		`{"partitions": []}`: "",
		`nonsense`:           "The input string is not a valid JSON",
		`{}`:                 "Missing partitions field",
		`{"version": 2}`:     "Not supported version field value 2",
		`{"partitions": [{"topic": "a", "partition": 1, "offset": 7}, {"topic": "a", "partition": 1, "offset": 8}]}`: "Offset json file contains duplicate topic partitions: a-1",
	} {
		path := filepath.Join(t.TempDir(), "f.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := readOffsets(path)
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
