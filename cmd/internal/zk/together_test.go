package zk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"ottla/cmd/internal/output"
	"ottla/coord/coordtest"
)

func TestElect(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are those of a Unix shell")
	}
	addr := coordtest.Start(t).Addr().String()
	release := filepath.Join(t.TempDir(), "release")
	done := make(chan error, 2)
	stand := func(id, script string) {
		go func() {
			_, _, err := run(t, addr, "elect", "/lead", "--id", id, "--", "sh", "-c", script)
			done <- err
		}()
	}
	candidates := func(want ...string) {
		await(t, func() error {
			out, _, err := run(t, addr, "elect", "/lead")
			lines := strings.Split(strings.TrimSpace(out), "\n")[1:]
			if err != nil || len(lines) != len(want) {
				return fmt.Errorf("%v, %q", err, out)
			}
			for i, w := range want {
				if !strings.HasPrefix(strings.Join(strings.Fields(lines[i]), " "), w) {
					return fmt.Errorf("%q, want %q", lines[i], w)
				}
			}
			return nil
		})
	}
	tree := connect(t, addr)
	if err := makeAbove(tree, "/lead/"); err != nil {
		t.Fatal(err)
	}
	stand("first", "while [ ! -e "+release+" ]; do sleep 0.02; done; exit 3")
	candidates("leader first")
	stand("second", "exit 4")
	candidates("leader first", "waiting second")
	// A candidate of Curator's LeaderLatch stands in the same line.
	if _, err := tree.Create("/lead/_c_00000000-0000-0000-0000-000000000000-latch-", []byte("curator"), zk.FlagEphemeral|zk.FlagSequence, open); err != nil {
		t.Fatal(err)
	}
	candidates("leader first", "waiting second", "waiting curator")
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []output.Status{3, 4} {
		var status output.Status
		if err := <-done; !errors.As(err, &status) || status != want {
			t.Errorf("%v, want %d", err, want)
		}
	}
	candidates("leader curator")
	var status output.Status
	if _, errs, err := run(t, addr, "elect", "/lead", "--wait", "50ms", "--", "true"); !errors.As(err, &status) || status != statusNotInTime || !strings.Contains(errs, "the leadership /lead was not free") {
		t.Errorf("%v, %q", err, errs)
	}
	candidates("leader curator")
}

func TestBarrier(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are those of a Unix shell")
	}
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	log := filepath.Join(t.TempDir(), "log")
	done := make(chan error, 3)
	come := func() {
		_, _, err := run(t, addr, "barrier", "/b", "-n", "3", "--", "sh", "-c", "echo in >> "+log)
		done <- err
	}
	for range 2 { // the barrier can be used again
		for n := range 2 {
			go come()
			await(t, func() error {
				names, _, err := tree.Children("/b")
				if err == nil && len(without(names, readyNode)) != n+1 {
					err = fmt.Errorf("%v have come", names)
				}
				return err
			})
		}
		var status output.Status
		if _, errs, err := run(t, addr, "barrier", "/b", "-n", "4", "-w", "50ms"); !errors.As(err, &status) || status != statusNotInTime || !strings.Contains(errs, "did not open") {
			t.Errorf("%v, %q", err, errs)
		}
		if b, _ := os.ReadFile(log); len(b) > 0 {
			t.Errorf("somebody did not wait: %q", b)
		}
		go come()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if b, _ := os.ReadFile(log); string(b) != "in\nin\nin\n" {
			t.Errorf("%q", b)
		}
		if names, _, err := tree.Children("/b"); err != nil || len(names) != 0 {
			t.Errorf("left behind: %v, %v", names, err)
		}
		_ = os.Remove(log)
	}

	// The single barrier is closed while its node is there.
	runAll(t, addr, []call{{"create /gate", "/gate\n"}})
	go func() {
		_, _, err := run(t, addr, "barrier", "/gate", "--", "sh", "-c", "echo through >> "+log)
		done <- err
	}()
	await(t, func() error {
		n, err := watchCount(addr)
		if err == nil && n == 0 {
			err = errors.New("nobody waits")
		}
		return err
	})
	if _, err := os.Stat(log); err == nil {
		t.Error("it did not wait")
	}
	runAll(t, addr, []call{{"delete /gate", ""}})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(log); string(b) != "through\n" {
		t.Errorf("%q", b)
	}
}
