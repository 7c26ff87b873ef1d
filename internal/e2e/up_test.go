//go:build unix

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestUp is the first command of the README: no configuration, an empty directory, the well-known ports.
func TestUp(t *testing.T) {
	dir := t.TempDir()
	up := func() *Process {
		t.Helper()
		p := Start(t, dir, "ottla up", Binary(t), "up")
		Await(t, 20*time.Second, "ottla up serves", func() error {
			if !p.Running() {
				return fmt.Errorf("it has ended: %s", p.Output())
			}
			return serves("localhost:9092")
		})
		return p
	}
	stop := func(p *Process) {
		t.Helper()
		p.Signal(syscall.SIGINT)
		if err := p.Wait(20 * time.Second); err != nil {
			t.Errorf("ottla up after Ctrl-C: %v\n%s", err, p.Output())
		}
	}
	p := up()
	if a, err := FourLetter("localhost:2181", "srvr"); err != nil || !strings.Contains(a, "Mode: standalone") {
		t.Errorf("srvr: %q, %v", a, err)
	}
	if _, err := Try(20*time.Second, dir, "one\ntwo\n", Binary(t), "produce", "greetings"); err != nil {
		t.Error(err)
	}
	c := connect(t, "localhost:2181")
	if _, err := c.Create("/mine", []byte("data"), 0, world); err != nil {
		t.Error(err)
	}
	c.Close()
	stop(p)
	p = up()
	printed(t, "ottla consume", Run(t, 20*time.Second, dir, Binary(t), "consume", "greetings", "--from-beginning", "--max-messages", "2"), "one", "two")
	if data, _, err := connect(t, "localhost:2181").Get("/mine"); err != nil || string(data) != "data" {
		t.Errorf("/mine holds %q, %v", data, err)
	}
	stop(p)
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != "ottla-data" {
		t.Errorf("it wrote %v, not just ottla-data", entries)
	}
}

// TestUpIsQuickAndSmall measures from the start of the process, in an empty directory, to the first acknowledged record, whose
// topic is made on the way; then the memory when nothing happens.
func TestUpIsQuickAndSmall(t *testing.T) {
	kafka, zookeeper := FreePort(t), FreePort(t)
	address := fmt.Sprint("localhost:", kafka)
	Binary(t) // built before the clock runs
	cl := Client(t, address, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("first"), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }), kgo.UnknownTopicRetries(-1), kgo.RecordRetries(1000))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begin := time.Now()
	p := Start(t, t.TempDir(), "ottla up", Binary(t), "up", "--kafka-port", fmt.Sprint(kafka), "--zookeeper-port", fmt.Sprint(zookeeper))
	if err := cl.ProduceSync(ctx, kgo.StringRecord("hello")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	Result(t, "%v from the start of the process to the first acknowledged record", took.Round(time.Millisecond))
	Within(t, "the way to the first acknowledged record", took, 300*time.Millisecond)
	cl.Close()

	const bound = 40 // MiB
	limit := bound
	if !Long() {
		limit *= 10
	}
	settled := time.Now().Add(time.Duration(Scale(0, 10)) * time.Second)
	Await(t, time.Minute, "idle", func() error {
		if time.Now().Before(settled) {
			return fmt.Errorf("a moment of quiet first")
		}
		mib, err := resident(p)
		if err != nil {
			return err
		}
		Result(t, "%d MiB resident", mib)
		if mib > limit {
			t.Errorf("%d MiB are resident, more than %d", mib, limit)
		}
		return nil
	})
	p.Stop(t)
}

// resident is the memory of a process, in MiB.
func resident(p *Process) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var kib int
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		return 0, err
	}
	return kib >> 10, nil
}
