package properties

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []Entry
	}{
		{"separators", "a=1\nb:2\nc 3\nd\t4\ne = 5\nf : 6\ng  7\nh==8\ni::9\nj= =10", []Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 4},
			{"e", "5", 5}, {"f", "6", 6}, {"g", "7", 7}, {"h", "=8", 8}, {"i", ":9", 9}, {"j", "=10", 10}}},
		{"no value", "a\nb=\nc =  \n", []Entry{{"a", "", 1}, {"b", "", 2}, {"c", "", 3}}},
		{"no key", "=x\n", []Entry{{"", "x", 1}}},
		{"comments and blank lines", "# a=1\n\n   ! b=2\n\t\f\n  c = 3 # not a comment\n#d \\\ne=5", []Entry{{"c", "3 # not a comment", 5}, {"e", "5", 7}}},
		{"blanks at the end stay", "a = 1  \n", []Entry{{"a", "1  ", 1}}},
		{"continuation", "a = x,\\\n    y,\\\n\tz\nb=1", []Entry{{"a", "x,y,z", 1}, {"b", "1", 4}}},
		{"continuation of nothing", "a=1\\\n", []Entry{{"a", "1", 1}}},
		{"a continued line is no comment", "a=1\\\n#2\n", []Entry{{"a", "1#2", 1}}},
		{"a continued blank line ends", "a=1\\\n\nb=2", []Entry{{"a", "1", 1}, {"b", "2", 3}}},
		{"even backslashes end the line", "a=1\\\\\nb=2", []Entry{{"a", `1\`, 1}, {"b", "2", 2}}},
		{"escapes", `a\ b\=c\:d = t\tn\nr\rf\fx\xq\"s\\`, []Entry{{"a b=c:d", "t\tn\nr\rf\fxxq\"s\\", 1}}},
		{"unicode", `a=\u00e4\ud83d\ude00\u0041` + "\nb=ä😀", []Entry{{"a", "ä😀A", 1}, {"b", "ä😀", 2}}},
		{"latin 1", "a=\xe4\n", []Entry{{"a", "ä", 1}}},
		{"line ends", "a=1\r\nb=2\rc=3\\\r\n 4", []Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "34", 3}}},
		{"twice", "a=1\na=2", []Entry{{"a", "1", 1}, {"a", "2", 2}}},
		{"windows paths lose their backslashes", `log.dirs=C:\kafka\logs`, []Entry{{"log.dirs", "C:kafkalogs", 1}}},
		{"a byte order mark", "\ufeffa=1", []Entry{{"a", "1", 1}}},
		{"nothing", "", nil},
	} {
		got, err := Parse([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
	for _, bad := range []string{`a=\u12`, `a=\u12x4`, `\uzzzz=1`, "x=1\na=\\u+123"} {
		if _, err := Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), `\uXXXX`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got := Environment([]string{"PATH=/bin", "KAFKA_LOG_DIRS=/a=b", "KAFKA_FOO__BAR=1", "KAFKA_FOO___BAR=2", "KAFKA_FOO____BAR=3", "KAFKA_FOO_____BAR=4",
		"KAFKA_LISTENER_NAME_INTERNAL_SCRAM___SHA___256_SASL_JAAS_CONFIG=j", "KAFKA_Mixed_Case=5", "kafka_lower=6", "KAFKA_=7", "KAFKA__X=8",
		"KAFKA_VERSION=9", "KAFKA_HEAP_OPTS=-Xmx1g", "XKAFKA_A=10", "KAFKA_A_=11", "KAFKA_A__=12", "KAFKA_EMPTY="})
	want := []Entry{{"a_", "12", 0}, {"a.", "11", 0}, {"empty", "", 0}, {"foo-_bar", "4", 0}, {"foo-.bar", "3", 0}, {"foo-bar", "2", 0}, {"foo_bar", "1", 0},
		{"listener.name.internal.scram-sha-256.sasl.jaas.config", "j", 0}, {"log.dirs", "/a=b", 0}, {"mixed.case", "5", 0}, {".x", "8", 0}}
	byKey := func(l []Entry) map[string]string {
		m := map[string]string{}
		for _, e := range l {
			m[e.Key] = e.Value
		}
		return m
	}
	if d := cmp.Diff(byKey(want), byKey(got)); d != "" || len(got) != len(want) {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a=1\nb:2\\\n  c", `\u00e4=x\`, "# c\\\na b", "\\\n\\\n=", "a\\ b=c\r\n\r"} {
		f.Add([]byte(s))
	}
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, " ", `\ `, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`)
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil {
			return
		}
		// Written out in full escapes, the same entries come back.
		var b strings.Builder
		line := 0
		for _, e := range entries {
			if e.Line <= line {
				t.Fatalf("line %d after %d", e.Line, line)
			}
			line = e.Line
			b.WriteString(escape.Replace(e.Key) + "=" + escape.Replace(e.Value) + "\n")
		}
		again, err := Parse([]byte(b.String()))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%d entries became %d: %v", len(entries), len(again), err)
		}
		for i := range again {
			if again[i].Key != entries[i].Key || again[i].Value != entries[i].Value {
				t.Fatalf("%+v became %+v", entries[i], again[i])
			}
		}
	})
}
