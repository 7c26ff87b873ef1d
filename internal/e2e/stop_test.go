//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
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

// TestStopFinishesWhatItAccepted stops a broker under pipelined produces that nobody sends again: whatever is in its log afterwards
// was acknowledged.
func TestStopFinishesWhatItAccepted(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	createTopic(t, b.Address, "t", 1, nil)
	const clients = 16
	var acked atomic.Int64
	var all sync.WaitGroup
	batch := oneBatch(t, 2000)
	for i := range clients {
		c := dialRaw(t, b.Address)
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		all.Go(func() { // until the connection ends
			for c.send(produce("t", int16(1-2*(i%2)), batch)) == nil {
			}
		})
		all.Go(func() {
			for c.skip() == nil {
				acked.Add(1)
			}
		})
	}
	Await(t, 20*time.Second, "produces are acknowledged", func() error {
		if n := acked.Load(); n < 2000 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	b.Stop(t)
	all.Wait()
	b.Restart(t)
	if end := endOffsets(t, Client(t, b.Address), "t")[0]; end != acked.Load() {
		t.Errorf("%d records are in the log, %d were acknowledged", end, acked.Load())
	}
	b.Stop(t)
}

// TestSecondSignal: the first SIGTERM hands partitions over, which a coordinator that does not answer holds up; the second ends the
// broker at once.
func TestSecondSignal(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	createTopic(t, b.Address, "t", 1, nil)
	coord.Signal(syscall.SIGSTOP)
	defer coord.Signal(syscall.SIGCONT)
	for b.Running() {
		b.Signal(syscall.SIGTERM)
		_ = b.Wait(50 * time.Millisecond)
	}
	var exit *exec.ExitError
	if err := b.Wait(time.Second); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the broker ended with %v, not by the signal", err)
	}
}
