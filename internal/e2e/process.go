//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root is the repository's root, seen from this package's directory.
var Root = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}()

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds cmd/ottla once a test run and returns its path. OTTLA_BINARY names one that is tested instead.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("OTTLA_BINARY"); path != "" {
		return path
	}
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "ottla-e2e")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "ottla")
		cmd := exec.Command("go", "build", "-o", build.path, "./cmd/ottla")
		cmd.Dir = Root
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatalf("build: %v", build.err)
	}
	return build.path
}

// Cleanup removes what Binary built and keeps the class archives; TestMain calls it.
func Cleanup() {
	archives.publish()
	if build.path != "" {
		os.RemoveAll(filepath.Dir(build.path))
	}
}

var ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// FreePort returns a port that nobody listens on and that is given out once a test run. The kernel's own choice would come from
// the range of outgoing connections, one of which could take the port while a server is down between a kill and a restart.
func FreePort(t testing.TB) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			continue
		}
		l.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port found")
	return 0
}

// Process is a running child.
type Process struct {
	name string
	cmd  *exec.Cmd
	jvm  bool
	out  *buffer
	done chan struct{} // closed when it has ended
	err  error         // of Wait, once done
}

// Start runs a command in dir. The test ends it if it still runs, and shows the end of its output if the test failed.
func Start(t testing.TB, dir, name string, command ...string) *Process {
	t.Helper()
	p := &Process{name: name, cmd: exec.Command(command[0], command[1:]...), jvm: command[0] == "java", out: &buffer{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.out
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.SysProcAttr = attr()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("--- the end of %s's output\n%s", name, p.out.tail(4000))
		}
	})
	return p
}

// Output is what the process has printed so far, both streams together.
func (p *Process) Output() string { return p.out.String() }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal; to a process that has ended it does nothing.
func (p *Process) Signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop ends the process with SIGTERM. It fails the test if the process takes longer than a minute or ends with an error.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	err := p.Wait(time.Minute)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 128+int(syscall.SIGTERM) && p.jvm {
		err = nil // how a JVM ends after its shutdown hooks
	}
	if err != nil {
		t.Errorf("%s did not stop cleanly: %v\n%s", p.name, err, p.out.tail(3000))
	}
}

// Wait waits for the end of the process and returns its error.
func (p *Process) Wait(limit time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		return fmt.Errorf("%s still runs after %v", p.name, limit)
	}
}

// Run runs a command to its end and returns its standard output. The test fails if it fails or takes longer than limit.
func Run(t testing.TB, limit time.Duration, dir string, command ...string) string {
	t.Helper()
	out, err := Try(limit, dir, "", command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try runs a command to its end with the given standard input and returns its standard output.
func Try(limit time.Duration, dir, stdin string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("took longer than %v", limit)
		}
		return out.String(), fmt.Errorf("%s: %w\nstdout: %s\nstderr: %s", strings.Join(command, " "), err, last(out.String(), 2000), last(errs.String(), 2000))
	}
	return out.String(), nil
}

// Await polls cond until it returns nil. The test fails with the last error when the time is over.
func Await(t testing.TB, limit time.Duration, what string, cond func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if err = cond(); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
	}
}

// Listening is a condition for Await: something accepts connections at the address.
func Listening(p *Process, address string) func() error {
	return func() error {
		if !p.Running() {
			return fmt.Errorf("%s has ended: %v", p.name, p.err)
		}
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
}

// FourLetter sends a four-letter word to a ZooKeeper server and returns the answer.
func FourLetter(address, word string) (string, error) {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	if errors.Is(err, syscall.ECONNRESET) && len(b) > 0 {
		err = nil
	}
	return string(b), err
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// buffer collects output, bounded so that a server that logs without end cannot fill the memory.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const bufferMax = 8 << 20

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.b.Len() < bufferMax {
		b.b.Write(p)
	}
	return len(p), nil
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// tail is the end of the output, without what a server logs for debugging.
func (b *buffer) tail(n int) string {
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, `{"level":"debug"`) {
			out.WriteString(line)
		}
	}
	return last(out.String(), n)
}
