package config

import (
	"encoding/base64"
	"fmt"
	"strings"
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
	for _, good := range []string{"topic/orders", "broker/3", "broker", "logger/0", "client-metrics/m", "user/bob", "user", "client/app", "client", "user/bob/client/app", "user/client/app", "user/bob/client", "ip/10.0.0.1", "ip"} {
		if e, err := parseSubject(good); err != nil || e.String() != good {
			t.Errorf("%s: %v, %v", good, e, err)
		}
	}
	for _, bad := range []string{"", "topic", "topic/", "broker/x", "client/app/user/bob", "user/bob/x", "logger", "table/x"} {
		if _, err := parseSubject(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCredential(t *testing.T) {
	for text, want := range map[string]string{"password=x": "4096 x", "iterations=8192,password=a,b=c": "8192 a,b=c", "iterations=-1,password=": "4096 ", "iterations=,password=x": "4096 x"} {
		n, password, err := credential("SCRAM-SHA-256", text)
		if got := fmt.Sprint(n, " ", password); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "x", "iterations=5,password=x", "iterations=many,password=x", "iterations=8192"} {
		if n, password, err := credential("SCRAM-SHA-256", bad); err == nil {
			t.Errorf("%q is %d, %q", bad, n, password)
		}
	}
}

// TestHashPassword recomputes a stored key from what is stored beside it.
func TestHashPassword(t *testing.T) {
	for mechanism, size := range map[string]int{"SCRAM-SHA-256": 32, "SCRAM-SHA-512": 64} {
		text, err := hashPassword(mechanism, "iterations=5000,password=pencil")
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for _, f := range strings.Split(text, ",") {
			k, v, _ := strings.Cut(f, "=")
			fields[k] = v
		}
		stored, err := base64.StdEncoding.DecodeString(fields["stored_key"])
		if err != nil || len(stored) != size || fields["iterations"] != "5000" || strings.Contains(text, "pencil") {
			t.Errorf("%s: %s, %v", mechanism, text, err)
		}
		again, _ := hashPassword(mechanism, "iterations=5000,password=pencil")
		if again == text {
			t.Error("the salt is not random")
		}
	}
}

func TestJavaDouble(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", 1: "1.0", 1024: "1024.0", 2048.5: "2048.5", 1e7: "1.0E7", 12345678: "1.2345678E7", 0.001: "0.001", 0.0001: "1.0E-4", -5: "-5.0"} {
		if got := javaDouble(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestNode(t *testing.T) {
	for want, o := range map[string]owner{
		"bob":                  {{kind: "users", name: "bob"}},
		"<default>":            {{kind: "users"}},
		"b%3Db/clients/my%20a": {{kind: "users", name: "b=b"}, {kind: "clients", name: "my a"}},
		"10.0.0.1":             {{kind: "ips", name: "10.0.0.1"}},
	} {
		if got := node(o); got != want {
			t.Errorf("%v is at %s, want %s", o, got, want)
		}
	}
}
