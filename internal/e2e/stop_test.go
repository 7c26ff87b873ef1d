//go:build unix

package e2e

import (
	"testing"
	"time"
)

// TestStopWithoutCoordinator stops two brokers whose coordinator is gone. The first is the controller, which has nobody to ask; the
// second knows a controller that is gone, and must not wait for another.
func TestStopWithoutCoordinator(t *testing.T) {
	coord := Coordinator(t)
	brokers := []*Server{Broker(t, 0, coord.Address), Broker(t, 1, coord.Address)}
	createTopic(t, brokers[0].Address, "t", 2, nil)
	coord.Kill()
	for _, b := range brokers {
		start := time.Now()
		b.Stop(t)
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s took %v to stop", b.name, took)
		}
	}
}
