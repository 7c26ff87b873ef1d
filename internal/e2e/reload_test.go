//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestConfigurationOfANewSession changes a topic's configuration while the broker has no session, and lets the notification be gone
// when it has one again, as after a quarter of an hour.
func TestConfigurationOfANewSession(t *testing.T) {
	t.Parallel()
	coord := Coordinator(t)
	cable := startProxy(t, coord.Address)
	b := Broker(t, 0, cable.Address, "zookeeper.session.timeout.ms=4000")
	createTopic(t, b.Address, "t", 1, nil)
	cl := Client(t, b.Address, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	produce := func() error {
		return cl.ProduceSync(context.Background(), kgo.SliceRecord(make([]byte, 1000))).FirstErr()
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, coord.Address)
	cable.cut()
	Await(t, time.Minute, "the registration of the broker vanishes", func() error { return absent(c, "/brokers/ids/0") })
	if _, err := c.Set("/config/topics/t", []byte(`{"version":1,"config":{"max.message.bytes":"500"}}`), -1); err != nil {
		t.Fatal(err)
	}
	cable.mend()
	Await(t, time.Minute, "the new limit holds", func() error {
		if err := produce(); !errors.Is(err, kerr.MessageTooLarge) {
			return fmt.Errorf("produced: %v", err)
		}
		return nil
	})
}
