//go:build unix

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestConnectionLimitsChange changes limits of connections while the broker runs, as kafka-configs does: for all brokers, for one
// listener, and what no listener takes is refused.
func TestConnectionLimitsChange(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	admin := dialRaw(t, b.Address)
	set := func(name, value string) int16 {
		t.Helper()
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.SetVersion(1)
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType = kmsg.ConfigResourceTypeBroker
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, &value
		r.Configs = append(r.Configs, c)
		req.Resources = append(req.Resources, r)
		return admin.exchange(t, "admin", req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
	}
	open := 0 // connections beside admin that are served
	served := func() bool {
		c := dialRaw(t, b.Address)
		_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		ok := c.send(versionsRequest()) == nil && c.skip() == nil
		if ok {
			open++
		} else {
			c.Close()
		}
		return ok
	}
	if code := set("max.connections.per.ip", "3"); code != 0 {
		t.Fatal(code)
	}
	for range 5 {
		served()
	}
	if open != 1 { // the third is that of the controller, which is the broker itself
		t.Errorf("%d connections beside the first are served, want 1", open)
	}
	if code := set("max.connections.per.ip", "100"); code != 0 || !served() {
		t.Errorf("a higher limit (%d) does not count", code)
	}
	if code := set("listener.name.plaintext.max.connections", "0"); code == 0 {
		t.Error("a listener is shut")
	}
	if code := set("listener.name.plaintext.max.connections", "5"); code != 0 || !served() {
		t.Errorf("a listener's limit (%d) is not reached yet", code)
	}
	if served() {
		t.Error("a sixth connection of the listener is served")
	}
	if code := set("listener.name.plaintext.max.connections", "50"); code != 0 {
		t.Fatal(code)
	}
	Await(t, 10*time.Second, "connections come in again", func() error {
		if !served() {
			return fmt.Errorf("%d are served", open)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := Client(t, b.Address).Ping(ctx); err != nil {
		t.Error(err)
	}
	b.Stop(t)
}
