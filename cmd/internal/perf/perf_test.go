package perf

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := pace{100, start}
		for i := range int64(50) {
			p.wait(t.Context(), i+1)
		}
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("50 rounds at 100 a second took %v", took)
		}
		pace{-1, start}.wait(t.Context(), 1000)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.wait(ctx, 1000)
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("no pace, or an end of the context, waited until %v", took)
		}
	})
}

func TestLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := newLatencies(&b, 101)
		for i := range 101 {
			l.add(time.Now().Add(-time.Duration(i)*time.Millisecond), 1<<20)
			if i == 49 {
				time.Sleep(window)
			}
		}
		l.total()
		want := "51 records sent, 10.2 records/sec (10.20 MB/sec), 25.0 ms avg latency, 50.0 ms max latency.\n" +
			"101 records sent, 20.200000 records/sec (20.20 MB/sec), 50.00 ms avg latency, 100.00 ms max latency, 50 ms 50th, 95 ms 95th, 99 ms 99th, 100 ms 99.9th.\n"
		if b.String() != want {
			t.Errorf("%s\nwant %s", b.String(), want)
		}
	})
}

func TestPayloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	next, err := (&perfProducer{file: path, delimiter: `\n`}).payloads(&b)
	if err != nil || !strings.HasSuffix(b.String(), "Number of messages read: 2\n") {
		t.Fatalf("%v, %s", err, b.String())
	}
	for i := range int64(20) {
		if s := string(next(i)); s != "one" && s != "two" {
			t.Errorf("%q", s)
		}
	}
	if next, err = (&perfProducer{monotonic: true}).payloads(&b); err != nil || string(next(17)) != "17" {
		t.Errorf("%v", err)
	}
	if next, err = (&perfProducer{size: 9}).payloads(&b); err != nil || len(next(0)) != 9 {
		t.Errorf("%v", err)
	}
	if _, err = (&perfProducer{file: path + "x"}).payloads(&b); err == nil {
		t.Error("a missing file")
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2024, 5, 6, 17, 8, 9, 10e6, time.UTC)
	for format, want := range map[string]string{"yyyy-MM-dd HH:mm:ss:SSS": "2024-05-06 17:08:09:010", "dd.MM.yy hh:mm a": "06.05.24 05:08 PM", "yyyy-MM-dd'T'HH:mm:ss.SSS": "2024-05-06T17:08:09.010"} {
		c := perfConsumer{layout: layoutOf(format)}
		if got := c.text(at); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}
