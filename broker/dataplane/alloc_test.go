package dataplane

import (
	"io"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// At most ten objects and a kibibyte for a produce or a fetch, whatever the size of its batches: over a real socket, network
// included.
func TestAllocationsPerRequest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tb := newTestBroker(t, nil)
	tb.make(topicSpec{name: "t", leaders: []int32{0}})
	c := tb.dial()
	for _, size := range []int{1 << 10, 64 << 10, 900 << 10} {
		mustProduce(t, c, "t", 0, string(make([]byte, size)))
	}
	fetch := func(max int32, offset int64) kmsg.Request {
		q := fetchRequest(11, 0, 1, fetchAsk{offset: offset, max: max, epoch: -1})
		q.Topics[0].Topic = "t"
		return q
	}
	for name, q := range map[string]kmsg.Request{
		"produce 1 KiB": produceOne(9, 1, "t", 0, records100(t, 1<<10)), "produce 1 MiB": produceOne(9, -1, "t", 0, records100(t, 1000<<10)),
		"fetch 1 KiB": fetch(1<<10, 0), "fetch 1 MiB": fetch(1<<20, 2), "fetch nothing": fetch(1<<20, 3),
	} {
		if name == "fetch nothing" {
			q.(*kmsg.FetchRequest).Topics[0].Partitions[0].FetchOffset = tb.partition("t", 0).Log().LogEnd()
		}
		frame := prebuilt(requestFrame(q, 1))
		buf := make([]byte, 2<<20)
		exchange := func() {
			if _, err := c.Write(frame); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf[:4]); err != nil {
				t.Fatal(err)
			}
			n := int(buf[0])<<24 | int(buf[1])<<16 | int(buf[2])<<8 | int(buf[3])
			if _, err := io.ReadFull(c, buf[:n]); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			exchange() // fill the pools
		}
		const rounds = 100
		var before, after runtime.MemStats
		best := runtime.MemStats{Mallocs: 1 << 60, TotalAlloc: 1 << 60}
		for range 5 { // a collection in between empties the pools; the best of five is the request's own
			runtime.ReadMemStats(&before)
			for range rounds {
				exchange()
			}
			runtime.ReadMemStats(&after)
			best.Mallocs = min(best.Mallocs, (after.Mallocs-before.Mallocs)/rounds)
			best.TotalAlloc = min(best.TotalAlloc, (after.TotalAlloc-before.TotalAlloc)/rounds)
		}
		if best.Mallocs > 10 || best.TotalAlloc > 1<<10 {
			t.Errorf("%s: %d objects, %d bytes", name, best.Mallocs, best.TotalAlloc)
		}
		t.Logf("%s: %d objects, %d bytes", name, best.Mallocs, best.TotalAlloc)
	}
}
