package quota

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

var window = Window{11, time.Second}

// What Kafka's own Rate, TokenBucket and QuotaUtils say of the same events is in testdata/kafka.json.
func TestRatesAgreeWithKafka(t *testing.T) {
	b, err := os.ReadFile("testdata/kafka.json")
	if err != nil {
		t.Fatal(err)
	}
	var runs []struct {
		Samples, Seconds int
		Limit            float64
		Bucket           bool
		Events           [][3]float64 // time in ms, value, throttle in ms
	}
	if err := json.Unmarshal(b, &runs); err != nil {
		t.Fatal(err)
	}
	throttled := 0
	for i, run := range runs {
		w := Window{run.Samples, time.Duration(run.Seconds) * time.Second}
		var r Rate
		var bucket Bucket
		for j, e := range run.Events {
			now := time.Duration(e[0]) * time.Millisecond
			var got time.Duration
			if run.Bucket {
				bucket.Take(w, run.Limit, e[1], now)
				got = bucket.Throttle(w, run.Limit, now)
			} else {
				r.Record(w, e[1], now)
				got = r.Throttle(w, run.Limit, now)
			}
			if want := time.Duration(e[2]) * time.Millisecond; got != want {
				t.Fatalf("run %d, event %d %v: throttled for %v, want %v", i, j, e, got, want)
			}
			if got > 0 {
				throttled++
			}
		}
	}
	if throttled < 1000 {
		t.Fatalf("only %d of the events are throttled", throttled)
	}
}
