//go:build unix

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCompactedTopic: from a client's first record to the last of each key, with the policy changed on the running topic.
func TestCompactedTopic(t *testing.T) {
	dir := t.TempDir()
	b := startInside(t, "log.dirs="+dir, "log.cleaner.backoff.ms=50")
	createTopic(t, b.address, "c", 1, map[string]*string{"segment.bytes": ptr("20000"), "min.cleanable.dirty.ratio": ptr("0.01")})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.address, kgo.DefaultProduceTopic("c"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	for round := range 30 {
		var rs []*kgo.Record
		for i := range 40 {
			rs = append(rs, &kgo.Record{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, "%d %s", round, strings.Repeat("x", 50))})
		}
		if err := cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	alterTopic(t, ctx, b.address, "c", "cleanup.policy", "compact")
	Await(t, 20*time.Second, "it is cleaned", func() error {
		to, err := cleanedTo(dir, "c", 0)
		if err == nil && to < 500 {
			err = fmt.Errorf("up to %d\n%s", to, b.log.String())
		}
		return err
	})
	keyless := cl.ProduceSync(ctx, &kgo.Record{Value: []byte("no key")}).FirstErr()
	if keyless == nil || !strings.Contains(keyless.Error(), "INVALID_RECORD") {
		t.Errorf("a record without a key: %v", keyless)
	}
}
