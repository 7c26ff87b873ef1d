package cli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"ottla/broker"
	"ottla/broker/config"
	"ottla/coord/coordtest"
)

// servers are a coordinator and a broker of ours, in this process.
type servers struct {
	kafka, zookeeper string
}

func start(t *testing.T) servers {
	t.Helper()
	zk := coordtest.Start(t).Addr().String()
	c, _, err := config.Load(config.Sources{Overrides: []string{
		"listeners=PLAINTEXT://127.0.0.1:0", "log.dirs=" + t.TempDir(), "zookeeper.connect=" + zk, "offsets.topic.num.partitions=3",
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(broker.Options{Config: c, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel)})
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.Serve(ctx, 10*time.Second, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(b.Addr("PLAINTEXT").String())
	if err != nil {
		t.Fatal(err)
	}
	return servers{"127.0.0.1:" + port, zk}
}

// result is what a command did.
type result struct {
	out, errs string
	code      int
}

// call runs a command line, whose words hold no blanks, on the servers: {K} and {Z} stand for their addresses.
func (s servers) call(t *testing.T, stdin, line string) result {
	t.Helper()
	return s.run(t, stdin, strings.Fields(strings.NewReplacer("{K}", s.kafka, "{Z}", s.zookeeper).Replace(line))...)
}

func (s servers) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := Run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return result{out.String(), errs.String(), code}
}

// prints fails the test unless a command ends well and prints just this.
func (s servers) prints(t *testing.T, line, want string) {
	t.Helper()
	r := s.call(t, "", line)
	if r.code != 0 {
		t.Errorf("%s: status %d, %s", line, r.code, r.errs)
	}
	if d := cmp.Diff(want, r.out); d != "" {
		t.Errorf("%s:\n%s", line, d)
	}
}

// fails fails the test unless a command ends with the status and says all of the texts on either stream.
func (s servers) fails(t *testing.T, line string, code int, texts ...string) {
	t.Helper()
	r := s.call(t, "", line)
	if r.code != code {
		t.Errorf("%s: status %d, want %d", line, r.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.errs, text) {
			t.Errorf("%s: printed %q, want %q in it", line, r.out+r.errs, text)
		}
	}
}

// await polls until f returns nil.
func await(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// awaitPrint polls until a command prints a text.
func (s servers) awaitPrint(t *testing.T, line, text string) {
	t.Helper()
	await(t, func() error {
		if r := s.call(t, "", line); !strings.Contains(r.out, text) {
			return fmt.Errorf("%s printed %q, want %q", line, r.out+r.errs, text)
		}
		return nil
	})
}
