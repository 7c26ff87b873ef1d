//go:build unix

package e2e

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	ottla "ottla/broker"
	"ottla/broker/config"
	"ottla/coord/coordtest"
	"ottla/internal/fs"
)

// inside is a broker of ours in this process, on a coordinator of its own, with its files and its clock in the test's hands.
type inside struct {
	t       testing.TB
	address string
	disk    *fs.Faulty
	shift   atomic.Int64 // by how much its clock is wrong
	lines   []string
	zk      string
	log     *buffer
	stop    func()
}

// startInside starts one whose configuration has the lines.
func startInside(t testing.TB, lines ...string) *inside {
	t.Helper()
	b := &inside{t: t, disk: fs.NewFaulty(fs.OS), lines: lines, zk: coordtest.Start(t).Addr().String(), log: &buffer{}}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *inside) now() time.Time { return time.Now().Add(time.Duration(b.shift.Load())) }

func (b *inside) start() {
	b.t.Helper()
	c, _, err := config.Load(config.Sources{Overrides: append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0", "zookeeper.connect=" + b.zk, "offsets.topic.num.partitions=2", "group.initial.rebalance.delay.ms=0",
		"controlled.shutdown.enable=false", "log.initial.task.delay.ms=0",
	}, b.lines...)})
	if err != nil {
		b.t.Fatal(err)
	}
	s := ottla.New(ottla.Options{Config: c, FS: b.disk, Now: b.now, Logger: zerolog.New(b.log)})
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Serve(ctx, 10*time.Second, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		b.t.Fatal(err)
	}
	once := false
	b.stop = func() {
		if !once {
			once = true
			cancel()
			<-ended // a failed directory is not closed cleanly
		}
	}
	_, port, err := net.SplitHostPort(s.Addr("PLAINTEXT").String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.address = "127.0.0.1:" + port
}

// restart stops the broker and starts it again, at another address.
func (b *inside) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}
