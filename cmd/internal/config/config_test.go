package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePairs(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                            {},
		"a=1":                         {"a": "1"},
		"a=1,b=2":                     {"a": "1", "b": "2"},
		"a=[1,2,3],b=x":               {"a": "1,2,3", "b": "x"},
		" a = 1 , b = [x] ":           {"a": "1", "b": "x"},
		"a=b=c":                       {"a": "b=c"},
		"follower.replicas=[0:1,1:2]": {"follower.replicas": "0:1,1:2"},
	} {
		got, err := parsePairs(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	if _, err := parsePairs("a"); err == nil {
		t.Error("a key without a value was accepted")
	}
}

func TestParseEntity(t *testing.T) {
	for _, good := range []string{"topic/orders", "broker/3", "broker"} {
		if e, err := parseEntity(good); err != nil || e.String() != good {
			t.Errorf("%s: %v, %v", good, e, err)
		}
	}
	for _, bad := range []string{"", "topic", "topic/", "broker/x", "user/bob"} {
		if _, err := parseEntity(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
