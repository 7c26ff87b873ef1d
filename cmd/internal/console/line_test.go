package console

import (
	"fmt"
	"ottla/cmd/internal/client"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// text shows a record: headers, key and value, <nil> where they are null.
func text(r *kgo.Record) string {
	show := func(b []byte) string {
		if b == nil {
			return "<nil>"
		}
		return string(b)
	}
	var hs []string
	for _, h := range r.Headers {
		hs = append(hs, h.Key+"="+show(h.Value))
	}
	return fmt.Sprintf("%s|%s|%s", strings.Join(hs, ","), show(r.Key), show(r.Value))
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		properties string
		line       string
		want       string // or the error
	}{
		{"", "a\tb", "|<nil>|a\tb"},
		{"", "", "|<nil>|"},
		{"parse.key=true", "a\tb\tc", "|a|b\tc"},
		{"parse.key=true", "ab", "No key separator found on line number 7: 'ab'"},
		{"parse.key=true ignore.error=true", "ab", "|<nil>|ab"},
		{"parse.key=true key.separator=:", ":v", "||v"},
		{"parse.key=true key.separator=: null.marker=NULL", "k:NULL", "|k|<nil>"},
		{"parse.key=true key.separator=: null.marker=NULL", "NULL:v", "|<nil>|v"},
		{"parse.headers=true", "h:1,i:2\tv", "h=1,i=2|<nil>|v"},
		{"parse.headers=true parse.key=true", "h:1\tk\tv", "h=1|k|v"},
		{"parse.headers=true", "\tv", "|<nil>|v"},
		{"parse.headers=true", "h1\tv", "No header key separator found in pair 'h1' on line number 7"},
		{"parse.headers=true", "v", "No headers delimiter found on line number 7: 'v'"},
		{"parse.headers=true parse.key=true ignore.error=true", "v", "|<nil>|v"},
		{"parse.headers=true headers.delimiter=| headers.separator=; headers.key.separator==", "a=b=c;d=|v", "a=b=c,d=|<nil>|v"},
	} {
		l := defaultLayout()
		for _, p := range strings.Fields(c.properties) {
			k, v, _ := strings.Cut(p, "=")
			if known, err := l.set(k, v); !known || err != nil {
				t.Fatalf("%s: %v, %v", p, known, err)
			}
		}
		if err := l.check(); err != nil {
			t.Fatal(err)
		}
		r, err := l.record([]byte(c.line), 7)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = text(r)
		}
		if got != c.want {
			t.Errorf("%s: %q became %q, want %q", c.properties, c.line, got, c.want)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	l := defaultLayout()
	if known, err := l.set("key.separator", ""); !known || err == nil {
		t.Errorf("an empty separator: %v, %v", known, err)
	}
	if _, err := l.set("parse.key", "maybe"); err == nil {
		t.Error("parse.key=maybe")
	}
	if known, _ := l.set("schema.registry", "x"); known {
		t.Error("schema.registry is known")
	}
	l.headers, l.headersEnd = true, ","
	if l.check() == nil {
		t.Error("two equal separators")
	}
}

func TestLongLine(t *testing.T) {
	err := lines(strings.NewReader(strings.Repeat("x", lineMax+10)), func([]byte, int) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("%v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("h:1,i:2\tk\tv", true, true, false)
	f.Add("k\tv", false, true, true)
	f.Fuzz(func(t *testing.T, line string, headers, key, lenient bool) {
		l := defaultLayout()
		l.headers, l.key, l.lenient = headers, key, lenient
		r, err := l.record([]byte(line), 1)
		if err == nil && !headers && !key && string(r.Value) != line {
			t.Errorf("%q became %q", line, r.Value)
		}
		if lenient && err != nil {
			t.Errorf("%q: %v", line, err)
		}
	})
}

func TestProducerOptions(t *testing.T) {
	for properties, want := range map[string]string{
		"acks=2":                  "acks=2: want all, -1, 1 or 0",
		"compression.type=brotli": "compression.type=brotli: want none, gzip, snappy, lz4 or zstd",
		"linger.ms=soon":          "linger.ms=soon: want a number",
		"transactional.id=x":      "transactional.id: this command writes without transactions",
		"security.protocol=SSL":   "security.protocol=SSL: these commands connect by PLAINTEXT only; use a PLAINTEXT listener of the broker, or the Apache tool",
		"acks=1 compression.type=zstd linger.ms=3 retries=4 client.id=me unknown.key=x": "",
	} {
		p, err := client.Gather("", strings.Fields(properties))
		if err != nil {
			t.Fatal(err)
		}
		opts, err := client.ProducerOptions(p)
		got := ""
		if err != nil {
			got = err.Error()
		} else if cl, err := kgo.NewClient(opts...); err != nil {
			got = err.Error()
		} else {
			cl.Close()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", properties, d)
		}
	}
}

func TestConsumerOptions(t *testing.T) {
	c := consumer{topics: []string{"t"}, partition: -1, offset: kgo.NewOffset(), max: -1}
	p, err := client.Gather("", []string{"group.id=g", "auto.offset.reset=earliest", "session.timeout.ms=10000", "heartbeat.interval.ms=1000", "max.poll.interval.ms=20000",
		"auto.commit.interval.ms=200", "fetch.max.bytes=1000000", "isolation.level=read_committed", "partition.assignment.strategy=org.apache.kafka.clients.consumer.RoundRobinAssignor"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.apply(p); err != nil {
		t.Fatal(err)
	}
	if c.group != "g" || !c.commit || c.every.Milliseconds() != 200 {
		t.Errorf("%+v", c)
	}
	cl, err := kgo.NewClient(append(c.options(), kgo.SeedBrokers("127.0.0.1:1"))...)
	if err != nil {
		t.Fatal(err)
	}
	cl.CloseAllowingRebalance()
	for _, bad := range []string{"auto.offset.reset=none", "isolation.level=dirty", "partition.assignment.strategy=com.example.Mine", "session.timeout.ms=x"} {
		k, v, _ := strings.Cut(bad, "=")
		if err := c.apply(client.Props{k: v}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
