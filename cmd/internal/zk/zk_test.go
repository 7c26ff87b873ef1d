package zk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/coordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a command of `ottla zk` and returns its output.
func run(t *testing.T, addr string, args ...string) (out, errs string, err error) {
	t.Helper()
	cmd := Command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var o, e locked // commands under a lock write to them too
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetIn(strings.NewReader("from standard input"))
	args = slices.Insert(slices.Clone(args), 1, "-z", addr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(context.Background())
	return o.String(), e.String(), err
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func connect(t *testing.T, addr string) *client.Tree {
	t.Helper()
	tree, err := (&client.ZooKeeper{Connect: addr}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

func await(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func TestNodes(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	for _, c := range []struct {
		args string
		want string // or, with a !, part of the error
	}{
		{"ls", "zookeeper\n"},
		{"create /a hello", "/a\n"},
		{"create /a", "!node /a exists already; `ottla zk set /a`"},
		{"create /b/c/d -p x", "/b/c/d\n"},
		{"create /x/y z", "!there is no node /x/y"},
		{"create /b/n- -s", "/b/n-0000000001\n"},
		{"create /b/ -s", "/b/0000000002\n"},
		{"create /i -", "/i\n"},
		{"get /a", "hello\n"},
		{"get /i", "from standard input\n"},
		{"get /b", ""},
		{"get /nope", "!there is no node /nope; `ottla zk ls /`"},
		{"get nope", "!path \"nope\" must begin with /"},
		{"set /a other", ""},
		{"set /a third --version 0", "!node /a has another version"},
		{"get /a", "other\n"},
		{"ls /b", "0000000002\nc\nn-0000000001\n"},
		{"ls /b -o json", "[\n  \"0000000002\",\n  \"c\",\n  \"n-0000000001\"\n]\n"},
		{"ls /a -o json", "[]\n"},
		{"delete /b", "!has children; `ottla zk delete --recursive /b`"},
		{"tree /b -d", "/b\n├── 0000000002\n├── c\n│   └── d  x\n└── n-0000000001\n"},
		{"tree /b -L 1", "/b\n├── 0000000002\n├── c  (1 below)\n└── n-0000000001\n"},
		{"delete -r /b", ""},
		{"delete /b", "!there is no node /b"},
		{"delete -r /", "!the root cannot be deleted"},
		{"stat /b", "!there is no node /b"},
	} {
		out, _, err := run(t, addr, strings.Fields(c.args)...)
		if part, isError := strings.CutPrefix(c.want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", c.args, err, part)
			}
			continue
		}
		if d := cmp.Diff(c.want, out); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.args, err, d)
		}
	}
	if out, _, err := run(t, addr, "stat", "/a"); err != nil || !strings.Contains(out, "\nversion          1\n") || !strings.Contains(out, "\ndata length      5\n") {
		t.Errorf("stat: %q, %v", out, err)
	}
	if out, _, err := run(t, addr, "get", "/a", "-o", "json"); err != nil || !strings.Contains(out, `"data": "other"`) || !strings.Contains(out, `"ephemeralOwner": "0x0"`) {
		t.Errorf("get: %q, %v", out, err)
	}
}

func TestWatch(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	type result struct {
		out string
		err error
	}
	watch := func(args ...string) chan result {
		done := make(chan result, 1)
		go func() {
			out, _, err := run(t, addr, append([]string{"watch"}, args...)...)
			done <- result{out, err}
		}()
		return done
	}
	// Writes follow each other only once the one before was seen, by a watch of our own that was set later.
	data, children := watch("/w", "-n", "4"), watch("/w", "-c", "-n", "2")
	watched := func(n int) {
		await(t, func() error {
			a, err := watchCount(addr)
			if err == nil && a < n {
				err = fmt.Errorf("%d watches", a)
			}
			return err
		})
	}
	watched(2)
	step := func(f func() error) {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	step(func() error { _, err := tree.Create("/w", []byte("1"), 0, open); return err })
	watched(2)
	step(func() error { _, err := tree.Create("/w/c", nil, 0, open); return err })
	r := <-children
	if want := "missing /w\ncreated /w []\nchildren /w [c]\n"; r.err != nil || r.out != want {
		t.Errorf("children: %v, %q", r.err, r.out)
	}
	watched(1)
	step(func() error { _, err := tree.Set("/w", []byte("2"), -1); return err })
	watched(1)
	step(func() error { return deleteAll(tree, "/w", 0) })
	watched(1)
	step(func() error { _, err := tree.Create("/w", []byte("3"), 0, open); return err })
	r = <-data
	if want := "missing /w\ncreated /w 1\nchanged /w 2\ndeleted /w\ncreated /w 3\n"; r.err != nil || r.out != want {
		t.Errorf("data: %v, %q", r.err, r.out)
	}
}

func TestLock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are those of a Unix shell")
	}
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	log := filepath.Join(t.TempDir(), "log")
	read := func() string { b, _ := os.ReadFile(log); return string(b) }

	// The status is the command's own; the lock's nodes are gone after it.
	_, errs, err := run(t, addr, "lock", "/locks/a", "--", "sh", "-c", "exit 7")
	var status output.Status
	if !errors.As(err, &status) || status != 7 || errs != "" {
		t.Errorf("%v, %q", err, errs)
	}
	if names, _, err := tree.Children("/locks/a"); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}

	// Contenders get it in their order, one at a time.
	release := filepath.Join(t.TempDir(), "release")
	done := make(chan error, 3)
	hold := func(name, script string) {
		go func() {
			_, _, err := run(t, addr, "lock", "/locks/b", "--", "sh", "-c", script+"; echo "+name+" >> "+log)
			done <- err
		}()
	}
	contenders := func(n int) {
		await(t, func() error {
			names, _, err := tree.Children("/locks/b")
			if err == nil && len(names) != n {
				err = fmt.Errorf("%d contenders", len(names))
			}
			return err
		})
	}
	hold("first", "while [ ! -e "+release+" ]; do sleep 0.02; done")
	contenders(1)
	hold("second", "true")
	contenders(2)
	_, errs, err = run(t, addr, "lock", "/locks/b", "--wait", "50ms", "--", "false")
	if !errors.As(err, &status) || status != statusNotInTime || !strings.Contains(errs, "was not free within 50ms") {
		t.Errorf("impatient: %v, %q", err, errs)
	}
	contenders(2)
	if read() != "" {
		t.Errorf("the log holds %q", read())
	}
	if err := os.WriteFile(release, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if read() != "first\nsecond\n" {
		t.Errorf("the log holds %q", read())
	}

	// A holder whose node vanishes is ended.
	go func() {
		_, errs, err := run(t, addr, "lock", "/locks/c", "--", "sh", "-c", "trap 'exit 3' TERM; while true; do sleep 0.02; done")
		if !strings.Contains(errs, "the node of the lock was deleted") {
			err = fmt.Errorf("%w, %q", err, errs)
		}
		done <- err
	}()
	await(t, func() error {
		names, _, err := tree.Children("/locks/c")
		if err == nil && len(names) == 1 {
			return tree.Delete("/locks/c/"+names[0], -1)
		}
		return fmt.Errorf("%v, %v", names, err)
	})
	if err := <-done; !errors.As(err, &status) || status != statusLost {
		t.Errorf("deleted: %v", err)
	}
	if _, _, err := run(t, addr, "lock", "/locks/d", "--", "/no/such/program"); !errors.As(err, &status) || status != statusNotFound {
		t.Errorf("no program: %v", err)
	}
	if _, _, err := run(t, addr, "lock", "/locks/d", "true"); err == nil || !strings.Contains(err.Error(), "before --") {
		t.Errorf("no dashes: %v", err)
	}
}

// TestLockIsTheLibrarys: a lock of the library and ours exclude each other.
func TestLockIsTheLibrarys(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is one of Unix")
	}
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	l := zk.NewLock(tree.Conn, "/l", open)
	if err := l.Lock(); err != nil {
		t.Fatal(err)
	}
	var status output.Status
	if _, _, err := run(t, addr, "lock", "/l", "-w", "50ms", "--", "true"); !errors.As(err, &status) || status != statusNotInTime {
		t.Errorf("held by the library: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := run(t, addr, "lock", "/l", "--", "true"); err != nil {
		t.Errorf("%v, %s", err, errs)
	}
}

// TestLockIsLostWithTheServer: without a connection the command is ended before the server may give the lock to another.
func TestLockIsLostWithTheServer(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is one of Unix")
	}
	server := coordtest.Start(t)
	addr := server.Addr().String()
	tree, err := (&client.ZooKeeper{Connect: addr}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, errs, err := run(t, addr, "lock", "--session-timeout", "3s", "/l", "--", "sleep", "60")
		if !strings.Contains(errs, "the session is lost") {
			err = fmt.Errorf("%w, %q", err, errs)
		}
		done <- err
	}()
	await(t, func() error {
		names, _, err := tree.Children("/l")
		if err == nil && len(names) == 0 {
			err = errors.New("nobody holds it")
		}
		return err
	})
	tree.Close()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		var status output.Status
		if !errors.As(err, &status) || status != statusLost {
			t.Errorf("%v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the command still runs")
	}
}
