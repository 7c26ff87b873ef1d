package znode_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"ottla/broker/znode"
	"ottla/broker/znode/znodetest"
)

func TestMain(m *testing.M) {
	code := znodetest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

const deadline = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// open connects to address below a chroot of the test's own.
func open(t *testing.T, address string) *znode.Client {
	t.Helper()
	c, err := znode.Open(testContext(t), znode.Config{
		Servers: []string{address}, Chroot: znodetest.Chroot(t), SessionTimeout: 2 * time.Second, ConnectTimeout: deadline, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func session(t *testing.T, c *znode.Client) *znode.Session {
	t.Helper()
	s, err := c.Session(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// await polls until done, or fails the test.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}
