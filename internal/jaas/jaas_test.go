package jaas

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	f, err := Parse(`
// Kafka's own example
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="adminsecret" /* over
    two lines */ user_bob='b o\'b'
    plain=value;
    com.example.Other OPTIONAL;
};
# shell comments too
Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="a\"b\\c" password=""; };
KafkaServer {};
`)
	if err != nil {
		t.Fatal(err)
	}
	digest := "org.apache.zookeeper.server.auth.DigestLoginModule"
	want := File{
		"Server": {
			{Class: digest, Flag: "required", Options: map[string]string{"user_super": "adminsecret", "user_bob": "b o'b", "plain": "value"}},
			{Class: "com.example.Other", Flag: "optional", Options: map[string]string{}},
		},
		"Client":      {{Class: digest, Flag: "required", Options: map[string]string{"username": `a"b\c`, "password": ""}}},
		"KafkaServer": {},
	}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	if n := f["Server"][0].Name(); n != "DigestLoginModule" {
		t.Errorf("name %q", n)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"Server":                                    `line 1: want "{"`,
		"Server {\n a.B required x=\"secret\n":      "line 2: a quote is not closed",
		"Server {\n\n a.B required x=\"secret\" };": `line 3: want an option or ";"`,
		"Server { a.B maybe; };":                    "line 1: want required, requisite, sufficient or optional",
		"Server { a.B required x; };":               `line 1: want "="`,
		"Server { a.B required; }":                  `line 1: want ";"`,
		"/* never":                                  "line 1: a comment is not closed",
		"A {}; A {};":                               "line 1: section A is there twice",
	} {
		_, err := Parse(text)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`Server { a.B required user_x="y"; };`)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse(text)
		if err != nil && file != nil {
			for name := range file {
				if name == "" && !strings.Contains(text, `""`) && !strings.Contains(text, "''") {
					t.Error("a section without a name")
				}
			}
		}
	})
}
