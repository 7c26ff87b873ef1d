package keys

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// lines calls f with every line of a recorded file.
func lines(t *testing.T, name string, f func([]byte)) {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/config/" + name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f(sc.Bytes())
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
}

// keys.jsonl.gz is Apache Kafka 3.9.2's own list: kind, name, type, default, importance, internal, mode.
func TestTableIsKafkas(t *testing.T) {
	seen := map[string]int{}
	lines(t, "keys.jsonl.gz", func(b []byte) {
		var kind, name, typ, importance, mode string
		var def *string
		var internal bool
		if err := json.Unmarshal(b, &[]any{&kind, &name, &typ, &def, &importance, &internal, &mode}); err != nil {
			t.Fatal(err)
		}
		seen[kind]++
		table := Broker
		if kind == "topic" {
			table = Topic
		}
		k, ok := table.Lookup(name)
		if !ok {
			t.Errorf("%s is missing", name)
			return
		}
		if k.Type.String() != typ || k.Null != (def == nil) || k.Importance.String() != importance || k.Internal != internal ||
			def != nil && k.Default != *def || kind == "broker" && k.Mode.String() != mode {
			t.Errorf("%s: %+v, want %s", name, k, b)
		}
	})
	if len(Broker.All())-len(ownKeys) != seen["broker"] || len(Topic.All()) != seen["topic"] {
		t.Errorf("%d broker and %d topic keys, want %v", len(Broker.All()), len(Topic.All()), seen)
	}
}

// values.jsonl.gz is what Apache Kafka 3.9.2 made of values of every kind: kind, key, text, canonical text or the error.
func TestValuesAreJudgedAsByKafka(t *testing.T) {
	n := 0
	lines(t, "values.jsonl.gz", func(b []byte) {
		var kind, name, in string
		var out, bad *string
		if err := json.Unmarshal(b, &[]any{&kind, &name, &in, &out, &bad}); err != nil {
			t.Fatal(err)
		}
		if name == "controller.quorum.voters" || name == "controller.quorum.bootstrap.servers" {
			return // of KRaft, which is not spoken: their values are not judged
		}
		table := Broker
		if kind == "topic" {
			table = Topic
		}
		k, _ := table.Lookup(name)
		got, err := k.Canonical(in)
		n++
		switch {
		case bad == nil && err != nil:
			t.Errorf("%s=%q: %v, want %q", name, in, err, *out)
		case bad == nil && got != *out:
			t.Errorf("%s=%q is %q, want %q", name, in, got, *out)
		case bad != nil && err == nil:
			t.Errorf("%s=%q is %q, want error %q", name, in, got, *bad)
		case bad != nil && err.Error() != *bad:
			t.Errorf("%s=%q:\n got %s\nwant %s", name, in, err, *bad)
		}
	})
	if n < 4500 {
		t.Errorf("only %d values compared", n)
	}
}

func TestRowsAreSound(t *testing.T) {
	for _, table := range []*Table{Broker, Topic, DynamicOnly} {
		for _, k := range table.All() {
			if !k.Null {
				if s, err := k.Canonical(k.Default); err != nil && k.Range == nil || err == nil && s != k.Default {
					t.Errorf("default of %s: %q, %v", k.Name, s, err)
				}
			}
			if !strings.HasSuffix(k.Doc, ".") || len(k.Doc) < 15 {
				t.Errorf("%s is not documented: %q", k.Name, k.Doc)
			}
			if k.Range != nil && k.RangeText() == "" {
				t.Errorf("%s has a range without a text", k.Name)
			}
			for _, s := range k.Synonyms {
				if _, ok := Broker.Lookup(s); !ok {
					t.Errorf("%s: synonym %s is no broker key", k.Name, s)
				}
			}
		}
	}
}

func TestPrefixedKeys(t *testing.T) {
	for _, c := range []struct {
		name, listener, base string
		typ                  Type
		known                bool
	}{
		{"listener.name.external.ssl.keystore.location", "external", "ssl.keystore.location", String, true},
		{"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config", "sasl_ssl", "sasl.jaas.config", Password, true},
		{"listener.name.internal.max.connections", "internal", "max.connections", Int, true},
		{"listener.name.internal.no.such.key", "internal", "no.such.key", Unknown, false},
		{"listener.name.", "", "", Unknown, false},
		{"listeners", "", "", String, true},
		{"leader.replication.throttled.rate", "", "", Long, true},
	} {
		l, b, _ := SplitListener(c.name)
		k, ok := LookupBroker(c.name)
		if l != c.listener || b != c.base || ok != c.known || k.Type != c.typ || ok && k.Name != c.name {
			t.Errorf("%s: listener %q, key %q; %+v", c.name, l, b, k)
		}
	}
}

func TestFullVersion(t *testing.T) {
	for in, want := range map[string]string{"3.9": "3.9-IV0", "3.9.2": "3.9-IV0", "3.4-IV0": "3.4-IV0", "3.7": "3.7-IV4",
		"0.10.2.1": "0.10.2-IV0", "0.8.2": "0.8.2", "4.0": "", "3": "", "": "", "x.y": "", "3.9-IV7": ""} {
		if got, _ := FullVersion(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	if CompareVersions("3.3-IV3", "3.4-IV0") >= 0 || CompareVersions("3.9-IV0", "3.9-IV0") != 0 {
		t.Error("versions are out of order")
	}
}

func FuzzParse(f *testing.F) {
	all := append(append([]Key{}, Broker.All()...), Topic.All()...)
	for i, s := range []string{"", " 7 ", "1.5e3", "a,,b", "0:1,*", "3.9", "\x00", "NaN", "1d", "-0", "1E400"} {
		f.Add(uint16(i*37), s)
	}
	f.Fuzz(func(t *testing.T, i uint16, s string) {
		k := all[int(i)%len(all)]
		c, err := k.Canonical(s)
		if err != nil {
			return
		}
		if again, err := k.Canonical(c); err != nil || again != c {
			t.Fatalf("%s: %q became %q, then %q, %v", k.Name, s, c, again, err)
		}
	})
}
