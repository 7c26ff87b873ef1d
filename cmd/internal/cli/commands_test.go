package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ottla/cmd/internal/bench"
)

// TestTopicsAndRecords is a day with topics, records, groups and configuration.
func TestTopicsAndRecords(t *testing.T) {
	s := start(t)
	s.prints(t, "ottla topic list -b {K}", "TOPIC  PARTITIONS  REPLICAS\n")
	s.prints(t, "ottla topic list -b {K} -o json", "[]\n")
	s.prints(t, "ottla topic create orders -b {K} -p 2 -c retention.ms=86400000", "")
	s.fails(t, "ottla topic create orders -b {K}", 1, "topic orders exists already", "`ottla topic describe orders`")
	s.prints(t, "ottla topic create orders -b {K} --if-not-exists", "")
	s.fails(t, "ottla topic create much -b {K} -r 3", 1, "topic much: ")
	s.awaitPrint(t, "ottla topic list -b {K}", "orders           2         1\n")
	var topics []struct {
		Name, ID   string
		Partitions []struct {
			Leader   int
			Replicas []int
		}
		Config map[string]string
	}
	if err := json.Unmarshal([]byte(s.call(t, "", "ottla topic describe orders -b {K} -o json").out), &topics); err != nil {
		t.Fatal(err)
	}
	if x := topics[0]; x.Name != "orders" || len(x.ID) != 22 || len(x.Partitions) != 2 || x.Config["retention.ms"] != "86400000" {
		t.Errorf("described as %+v", x)
	}
	s.awaitPrint(t, "ottla __complete topic describe -b {K} or", "orders\n")
	s.awaitPrint(t, "ottla __complete config get -b {K} topic/o", "topic/orders\n")
	s.fails(t, "ottla topic describe nothing -b {K}", 1, "there is no topic nothing")

	if r := s.call(t, "a:1\nb:2\n", "ottla produce orders -b {K} -p 1 -K : -H who=me"); r.code != 0 || r.out != "" {
		t.Errorf("produce: %+v", r)
	}
	s.prints(t, "ottla produce orders three four -b {K} -p 0 --compression zstd --acks 1", "")
	s.prints(t, "ottla consume orders -b {K} -p 1 --from-beginning -n 2 --print partition,offset,key,value,headers", "1 0 a 1 who=me\n1 1 b 2 who=me\n")
	s.prints(t, "ottla consume orders -b {K} -p 1 --offset 1 -n 1 -f %o|%k=%v;", "1|b=2;")
	s.prints(t, "ottla consume orders -b {K} -p 0 --offset -1 -n 1", "four\n")
	s.prints(t, "ottla consume orders -b {K} -p 0 --from-beginning --idle 300ms", "three\nfour\n")
	s.fails(t, "ottla consume orders -b {K} -p 7 --from-beginning", 1, "has no partition 7")
	s.fails(t, "ottla consume nothing -b {K}", 1, "there is no topic nothing")
	var record struct {
		Offset  int
		Key     string
		Value   string
		Headers []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(s.call(t, "", "ottla consume orders -b {K} -p 1 --offset 1 -n 1 -o json").out), &record); err != nil {
		t.Fatal(err)
	}
	if record.Offset != 1 || record.Key != "b" || record.Value != "2" || len(record.Headers) != 1 || record.Headers[0].Value != "me" {
		t.Errorf("record %+v", record)
	}

	// A group goes on behind what was printed, not behind what was fetched.
	first := s.call(t, "", "ottla consume orders -b {K} -g readers --from-beginning -n 1")
	rest := s.call(t, "", "ottla consume orders -b {K} -g readers --from-beginning -n 3")
	for _, v := range []string{"1", "2", "three", "four"} {
		if n := strings.Count("\n"+first.out+rest.out, "\n"+v+"\n"); n != 1 {
			t.Errorf("%s was printed %d times: %q, then %q (%s)", v, n, first.out, rest.out, rest.errs)
		}
	}
	s.awaitPrint(t, "ottla group list -b {K}", "readers  Empty            0\n")
	s.awaitPrint(t, "ottla group describe readers -b {K}", "orders          0       2    2    0       -")
	s.awaitPrint(t, "ottla __complete group reset -b {K} read", "readers\n")
	s.fails(t, "ottla group describe nobody -b {K}", 1, "there is no group nobody")

	s.prints(t, "ottla config get topic/orders -b {K}", "KEY              VALUE  SOURCE\nretention.ms  86400000  dynamic_topic_config\n")
	s.prints(t, "ottla config set topic/orders segment.bytes=1000000 -b {K}", "")
	s.awaitPrint(t, "ottla config get topic/orders segment.bytes -b {K}", "segment.bytes  1000000  dynamic_topic_config")
	s.prints(t, "ottla config unset topic/orders segment.bytes -b {K}", "")
	s.awaitPrint(t, "ottla config get topic/orders segment.bytes -b {K}", "segment.bytes  1073741824  default_config")
	s.fails(t, "ottla config get topic/orders nope -b {K}", 1, "has no key nope")
	s.fails(t, "ottla config set topic/orders retention.ms=soon -b {K}", 1, "Invalid value soon for configuration retention.ms", "--all")
	s.fails(t, "ottla config get topic/nothing -b {K}", 1, "there is no topic nothing")
	s.awaitPrint(t, "ottla config get broker/0 log.dirs -b {K}", "static_broker_config")

	s.prints(t, "ottla topic offsets orders -b {K} --at earliest", "TOPIC   PARTITION  OFFSET\norders          0       0\norders          1       0\n")
	s.prints(t, "ottla group reset readers -b {K} --to 1 -t orders:1 --export --dry-run", "orders,1,1\n")
	s.prints(t, "ottla group reset readers -b {K} --to earliest", "GROUP    TOPIC   PARTITION  OFFSET  NEW  NOTE\nreaders  orders          0       2    0\nreaders  orders          1       2    0\n")
	s.prints(t, "ottla group reset readers -b {K} --to +99 -t orders:0 -n", "GROUP    TOPIC   PARTITION  OFFSET  NEW  NOTE\nreaders  orders          0       0    2  99 is behind the end\n")
	s.prints(t, "ottla group delete-offsets readers orders:0 -b {K}", "")
	s.prints(t, "ottla group delete readers -b {K}", "")
	s.fails(t, "ottla group delete readers -b {K}", 1, "there is no group readers")
	s.prints(t, "ottla topic delete-records orders:1:1 -b {K}", "TOPIC   PARTITION  START\norders          1      1\n")
	s.awaitPrint(t, "ottla cluster info -b {K}", "BROKER  ADDRESS")
	s.awaitPrint(t, "ottla cluster apis -b {K}", "Produce")

	s.prints(t, "ottla topic alter orders -p 3 -b {K}", "")
	s.fails(t, "ottla topic alter orders -p 1 -b {K}", 1, "topic orders: ")
	s.awaitPrint(t, "ottla topic list -b {K}", "orders           3         1\n")
	s.prints(t, "ottla topic delete orders -b {K}", "")
	await(t, func() error {
		if r := s.call(t, "", "ottla topic list -b {K}"); strings.Contains(r.out, "orders") {
			return fmt.Errorf("deleted, but %s", r.out)
		}
		return nil
	})
	s.fails(t, "ottla topic delete nothing -b {K}", 1, "there is no topic nothing")
	s.prints(t, "ottla topic delete nothing --if-exists -b {K}", "")
}

func TestBench(t *testing.T) {
	s := start(t)
	for _, line := range []string{
		"ottla bench produce -b {K} -c 2 --batch 2000 --acks all",
		"ottla bench produce -b {K} -c 2 --batch 1 --rate 200",
		"ottla bench produce -b {K} -c 1 -n 1 --codec lz4 --config segment.bytes=1000000",
		"ottla bench consume -b {K} -c 2 --fill 1",
		"ottla bench roundtrip -b {K} -c 2 --rate 100",
		"ottla bench roundtrip -b {K} -c 1",
		"ottla bench request -b {K} -c 2",
		"ottla bench request -b {K} -c 1 --api metadata --partitions 5",
		"ottla bench zk -z {Z} -c 2 --keys 10",
		"ottla bench zk -z {Z} -c 2 --keys 10 --op set",
		"ottla bench zk -z {Z} -c 2 --op create --rate 100",
		"ottla bench zk -z {Z} -c 2 --op exists --keys 5",
		"ottla bench zk -z {Z} -c 5 --op watch",
		"ottla bench zk -z {Z} -c 5 --op watch --keys 3",
		"ottla bench zk -z {Z} -c 20 --op session --session-timeout 100ms",
	} {
		var r result
		var got bench.Result
		// A slow machine may answer nothing within a short run: then a longer one tells.
		for seconds := 0.3; got.Operations == 0 && seconds < 10; seconds *= 3 {
			r = s.call(t, "", fmt.Sprint(line, " --warmup 0.1 --json --seconds ", seconds))
			if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
				t.Fatalf("%s: status %d, %v, %s", line, r.code, err, r.errs)
			}
		}
		l := got.Latency
		if got.Operations == 0 || l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
			t.Errorf("%s: %s", line, r.out)
		}
	}
	if r := s.call(t, "", "ottla bench zk -z {Z} --seconds 0.1 --warmup 0 --keys 3"); !strings.Contains(r.out, "closed loop") || !strings.Contains(r.out, "p99.9") {
		t.Errorf("printed %q", r.out)
	}
	s.prints(t, "ottla zk ls / -z {Z} -o json", s.call(t, "", "ottla zk ls / -z {Z} -o json").out)
	if r := s.call(t, "", "ottla zk ls / -z {Z}"); strings.Contains(r.out, "bench") {
		t.Errorf("left behind: %s", r.out)
	}
	await(t, func() error {
		if r := s.call(t, "", "ottla topic list -b {K}"); strings.Contains(r.out, "bench") {
			return fmt.Errorf("left behind: %s", r.out)
		}
		return nil
	})
}
