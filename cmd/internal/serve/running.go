package serve

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
	"ottla/internal/fs"
)

// A server that a start script started holds a lock on DIR/KIND-PID, where the stop scripts look: a file without a lock was
// left by a server that was killed, so no other process that has its number by now is ever signalled.

// runningDir is where the files are.
func runningDir() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "ottla", "running"), err
}

// register makes it known that this process runs a server. Without a place to keep the file the stop scripts will not find it.
func register(kind string) (unregister func()) {
	dir, err := runningDir()
	if err != nil || os.MkdirAll(dir, 0o700) != nil {
		return func() {}
	}
	path := filepath.Join(dir, kind+"-"+strconv.Itoa(os.Getpid()))
	lock, err := fs.OS.Lock(path)
	if err != nil {
		return func() {}
	}
	return func() {
		_ = os.Remove(path) // else the next stop script does
		lock.Close()
	}
}

// running lists the processes that run a server of a kind, and removes what killed ones left.
func running(kind string) ([]int, error) {
	dir, err := runningDir()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), kind+"-")
		pid, err := strconv.Atoi(digits)
		if !ok || err != nil || pid == os.Getpid() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		var lock io.Closer
		switch lock, err = fs.OS.Lock(path); {
		case errors.Is(err, fs.ErrLocked):
			pids = append(pids, pid)
		case err == nil:
			_ = os.Remove(path)
			lock.Close()
		default:
			return nil, err
		}
	}
	return pids, nil
}

// stopTime is how long a stop script waits for the servers' end.
const stopTime = grace + 5*time.Second

// KafkaServerStop is kafka-server-stop.sh.
func KafkaServerStop() *cobra.Command { return stopScript("kafka", "kafka-server-start") }

// ZooKeeperServerStop is zookeeper-server-stop.sh.
func ZooKeeperServerStop() *cobra.Command { return stopScript("zookeeper", "zookeeper-server-start") }

func stopScript(kind, start string) *cobra.Command {
	return &cobra.Command{
		Use:   kind + "-server-stop",
		Short: "Stop the servers that " + start + " started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pids, err := running(kind)
			if err != nil {
				return err
			}
			if len(pids) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "No %s server to stop\n", kind)
				return output.Status(1)
			}
			for _, pid := range pids {
				if err := interrupt(pid); err != nil {
					return fmt.Errorf("process %d: %w", pid, err)
				}
			}
			for end := time.Now().Add(stopTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if pids, err = running(kind); err != nil || len(pids) == 0 {
					return err
				}
			}
			return fmt.Errorf("%v still run after %v", pids, stopTime)
		},
	}
}

// interrupt asks a process to stop.
func interrupt(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(syscall.SIGTERM)
}
