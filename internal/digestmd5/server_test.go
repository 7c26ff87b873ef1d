package digestmd5

import (
	"errors"
	"strings"
	"testing"
)

// What a Kafka broker and ZooKeeper 3.9.4 said to each other.
const (
	kafkaNonce  = "9jo5pBxq843wWCfIgLUzbmEnQK+4YoOXdiM8lNMW"
	kafkaAnswer = `charset=utf-8,username="kafka",realm="zk-sasl-md5",nonce="9jo5pBxq843wWCfIgLUzbmEnQK+4YoOXdiM8lNMW",nc=00000001,` +
		`cnonce="3CBsD5cbzuriqCRH/P3oHkEMYSYJxs8D8AhpNTTx",digest-uri="zookeeper/zk-sasl-md5",maxbuf=65536,` +
		`response=8afc3a748446c922118e3b6cc5bcc60c,qop=auth,authzid="kafka"`
)

func kafka() *Server {
	return &Server{Nonce: kafkaNonce, Password: func(user string) (string, bool) { return "kafka-secret", user == "kafka" }}
}

func TestRecordedExchange(t *testing.T) {
	d := kafka()
	challenge, err := d.Next([]byte("anything"))
	if want := `realm="zk-sasl-md5",nonce="` + kafkaNonce + `",charset=utf-8,algorithm=md5-sess`; err != nil || string(challenge) != want {
		t.Fatalf("challenge %q, %v", challenge, err)
	}
	if _, ok := d.User(); ok {
		t.Error("proven before the answer")
	}
	answer, err := d.Next([]byte(kafkaAnswer))
	if err != nil || string(answer) != "rspauth=b9b4af98578cc8e5787dab7e5d679323" {
		t.Errorf("answer %q, %v", answer, err)
	}
	if user, ok := d.User(); !ok || user != "kafka" {
		t.Errorf("user %q, %v", user, ok)
	}
	if _, err := d.Next(nil); !errors.Is(err, ErrOver) {
		t.Errorf("a third token: %v", err)
	}
	if _, ok := d.User(); ok {
		t.Error("still proven after a third token")
	}
}

func TestWrongAnswers(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"password":      func(s string) string { return strings.Replace(s, "response=8", "response=9", 1) },
		"user":          func(s string) string { return strings.Replace(s, `username="kafka"`, `username="other"`, 1) },
		"authzid":       func(s string) string { return strings.Replace(s, `,authzid="kafka"`, "", 1) },
		"nonce":         func(s string) string { return strings.Replace(s, `nonce="9`, `nonce="8`, 1) },
		"realm":         func(s string) string { return strings.Replace(s, `realm="zk`, `realm="my`, 1) },
		"qop":           func(s string) string { return strings.Replace(s, "qop=auth", "qop=auth-int", 1) },
		"charset":       func(s string) string { return strings.Replace(s, "charset=utf-8", "charset=latin1", 1) },
		"uri":           func(s string) string { return strings.Replace(s, `"zookeeper/`, `"kafka/`, 1) },
		"twice":         func(s string) string { return s + `,username="kafka"` },
		"open quote":    func(s string) string { return s + `,x="` },
		"no fields":     func(string) string { return "hello" },
		"nothing":       func(string) string { return "" },
		"no response":   func(s string) string { return strings.Replace(s, "response=", "response2=", 1) },
		"short":         func(s string) string { return s[:len(s)/2] },
		"much too long": func(s string) string { return s + strings.Repeat(",", tokenMax) },
	} {
		d := kafka()
		d.Next(nil)
		answer, err := d.Next([]byte(change(kafkaAnswer)))
		if _, ok := d.User(); err == nil || ok || answer != nil {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
	}
}

// The order and form of fields mean nothing.
func TestFieldsInAnyForm(t *testing.T) {
	d := kafka()
	d.Next(nil)
	shuffled := ` , authzid="ka\fka", qop="auth" ,RESPONSE=8AFC3A748446C922118E3B6CC5BCC60C,digest-uri="zookeeper/zk-sasl-md5",` +
		`cnonce="3CBsD5cbzuriqCRH/P3oHkEMYSYJxs8D8AhpNTTx",nonce="` + kafkaNonce + `",realm=zk-sasl-md5,username = "kafka"`
	if _, err := d.Next([]byte(shuffled)); err != nil {
		t.Error(err)
	}
}

func TestLatin1(t *testing.T) {
	for s, want := range map[string]string{"abc": "abc", "é": "\xe9", "π": "π", "é\xff": "é\xff"} {
		if got := latin1(s); string(got) != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte(kafkaAnswer))
	f.Add([]byte(`a="\`))
	f.Fuzz(func(t *testing.T, token []byte) {
		d := &Server{Nonce: "n", Password: func(string) (string, bool) { return "p", false }}
		d.Next(nil)
		if _, err := d.Next(token); err == nil {
			t.Error("a user who does not exist was let in")
		}
	})
}
