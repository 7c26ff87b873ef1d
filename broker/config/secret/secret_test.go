package secret

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// passwords.jsonl are passwords and what Apache Kafka 3.9.2 made of them with the secret golden, in several algorithms.
func recorded(t testing.TB) (all [][2]string) {
	f, err := os.Open("../../../testdata/config/passwords.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var p [2]string
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestDecodesKafkas(t *testing.T) {
	e := Encoder{Secret: "golden"}
	other := Encoder{Secret: "Golden"}
	all := recorded(t)
	if len(all) != 13 {
		t.Fatalf("%d passwords", len(all))
	}
	for _, p := range all {
		if got, err := e.Decode(p[1]); err != nil || got != p[0] {
			t.Errorf("%q: %q, %v", p[0], got, err)
		}
		if got, err := other.Decode(p[1]); !errors.Is(err, ErrSecret) {
			t.Errorf("%q with another secret: %q, %v", p[0], got, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, e := range []Encoder{{}, {Cipher: gcm, KeyBits: 256, KeyFactory: "PBKDF2WithHmacSHA256"}, {KeyBits: 192, KeyFactory: "PBKDF2WithHmacSHA1", Iterations: 1024}, {KeyFactory: "PBKDF2WithHmacSHA384"}, {KeyFactory: "PBKDF2WithHmacSHA224"}} {
		e.Secret, e.Random = "s", rand.Read
		for _, p := range []string{"", "x", "exactly 16 bytes", "ünï😀,:"} {
			text, err := e.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			if p != "" && p != "x" && strings.Contains(text, p) {
				t.Errorf("%q is readable", p)
			}
			if again, _ := e.Encode(p); again == text {
				t.Errorf("%q is encrypted the same way twice", p)
			}
			if got, err := (&Encoder{Secret: "s"}).Decode(text); err != nil || got != p {
				t.Errorf("%q: %q, %v", p, got, err)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, e := range []Encoder{{KeyFactory: "SCRYPT"}, {Cipher: "DES/CBC/PKCS5Padding"}, {KeyBits: 8}, {Iterations: -1}, {Iterations: 1 << 30}} {
		if e.Check() == nil {
			t.Errorf("%+v is taken", e)
		}
		if _, err := e.Encode("x"); err == nil {
			t.Errorf("%+v encrypts", e)
		}
	}
}

var rounds = regexp.MustCompile(`iterations:\d{3,}`)

func FuzzDecode(f *testing.F) {
	for _, c := range []string{cbc, gcm} {
		e := Encoder{Secret: "golden", Cipher: c, Iterations: 16, Random: rand.Read}
		text, err := e.Encode("geheim")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("keyLength:128,iterations:1")
	f.Fuzz(func(t *testing.T, text string) {
		if rounds.MatchString(text) {
			t.Skip("many rounds are slow, as they should be")
		}
		_, _ = (&Encoder{Secret: "golden"}).Decode(text) // no panic
	})
}
