package coord_test

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"ottla/coord"
	"ottla/coord/config"
)

// childDir, when set, makes the test binary a coordinator on that directory, which the test may kill.
const childDir = "OTTLA_TEST_COORDINATOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// child serves until SIGTERM. It prints its address once it is ready.
func child(dir string) {
	c := config.Default()
	c.DataDir, c.ClientPort, c.ClientPortAddress, c.Words = dir, 0, "127.0.0.1", []string{"*"}
	c.CheckpointTxns = 500 // so that kills hit checkpoints too
	c.SegmentBytes = 1 << 20
	s, err := coord.New(coord.Options{Config: c, Logger: zerolog.New(os.Stderr).Level(zerolog.WarnLevel)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		s.Close()
	}()
	if err := s.Serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
