package zk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Exit statuses of `ottla zk lock` when the command does not say one itself. They are those of timeout(1) and of shells.
const (
	statusNotInTime = 124
	statusLost      = 125
	statusNotRun    = 126
	statusNotFound  = 127
	statusSignal    = 128 // plus the signal that ended the command
)

// mercy is how long a command may take to end after its lock is lost.
const mercy = 5 * time.Second

// lossMax bounds how long a lock is trusted without a connection; see lossAfter.
const lossMax = 5 * time.Second

func lock() *cobra.Command {
	var z client.ZooKeeper
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "lock PATH -- COMMAND [ARGUMENT]...",
		Short: "Run a command while holding a lock",
		Long: fmt.Sprintf(`Run a command while holding the lock PATH, and release it after. Contenders get it in their order of arrival; those that use a
library's lock recipe on the same path (Curator, kazoo, go-zookeeper) are among them. PATH is made if it is missing.

The exit status is the command's own; %d: the lock was not free within --wait; %d: the lock was lost, and the command ended for
it; %d: the command could not be run.`, statusNotInTime, statusLost, statusNotRun),
		Example: "  ottla zk lock /locks/backup -- ./backup.sh",
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
				return errors.New("want one path before -- and a command after it")
			}
			return nil
		},
	}
	z.Flags(cmd.Flags())
	cmd.Flags().DurationVarP(&wait, "wait", "w", 0, "give up when the lock is not free within this time; 0: wait for ever")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			host, _ := os.Hostname()
			data := fmt.Appendf(nil, "%s pid %d: %s", host, os.Getpid(), strings.Join(args[1:], " "))
			return underLock(cmd, t, lockRecipe, args[0], at, data, wait, lossAfter(z.SessionTimeout), args[1:])
		})
	}
	return cmd
}

// lossAfter is how long a lock is trusted without a connection. The client notices a silent connection after two thirds of the
// session's timeout, so a third is left. The server may have granted less than was asked for, hence the bound.
func lossAfter(session time.Duration) time.Duration { return min(session/3, lossMax) }

// A recipe is a use of the queue.
type recipe struct {
	prefix string // of a contender's number, as other libraries have it
	held   string // what the first one has, in words
}

var (
	lockRecipe  = recipe{"lock-", "lock"}        // of Curator's InterProcessMutex, kazoo and go-zookeeper
	latchRecipe = recipe{"latch-", "leadership"} // of Curator's LeaderLatch
)

// contender is a place in a lock's queue.
type contender struct {
	t    *client.Tree
	dir  string
	name string // of our node
	mark string // a random part of it, to find it when the answer to its creation was lost
}

// errGone means that our node has been deleted.
var errGone = errors.New("the node of the lock was deleted")

// enter joins the queue.
func enter(ctx context.Context, t *client.Tree, dir string, r recipe, data []byte) (*contender, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	c := &contender{t: t, dir: dir, mark: "_c_" + hex.EncodeToString(id[:]) + "-"}
	for {
		at, err := t.Create(dir+"/"+c.mark+r.prefix, data, zk.FlagEphemeral|zk.FlagSequence, open)
		switch {
		case err == nil:
			c.name = path.Base(at)
			return c, nil
		case errors.Is(err, zk.ErrNoNode):
			if err := makeAbove(t, dir+"/"); err != nil {
				return nil, err
			}
		case isDisconnected(err) && ctx.Err() == nil:
			found, err := c.find(ctx)
			if err != nil {
				return nil, err
			}
			if found {
				return c, nil
			}
		default:
			return nil, err
		}
	}
}

// find looks for our node after a lost answer.
func (c *contender) find(ctx context.Context) (bool, error) {
	names, err := c.queue(ctx)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return false, err
	}
	for _, n := range names {
		if strings.HasPrefix(n, c.mark) {
			c.name = n
			return true, nil
		}
	}
	return false, nil
}

// number is the one that the server gave a contender; ok is false for nodes that are none.
func number(name string) (n int64, ok bool) {
	const digits = 10
	if len(name) < digits {
		return 0, false
	}
	n, err := strconv.ParseInt(name[len(name)-digits:], 10, 64)
	return n, err == nil
}

// isDisconnected says whether err is a lost connection, which a session may outlive.
func isDisconnected(err error) bool {
	return errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer)
}

// queue lists the contenders, the holder first. A lost connection is waited for.
func (c *contender) queue(ctx context.Context) ([]string, error) {
	for {
		names, _, err := c.t.Children(c.dir)
		if isDisconnected(err) && ctx.Err() == nil {
			continue // the library holds the next request back until it is connected
		}
		if err != nil {
			return nil, err
		}
		names = slices.DeleteFunc(names, func(n string) bool { _, ok := number(n); return !ok })
		slices.SortFunc(names, func(a, b string) int {
			x, _ := number(a)
			y, _ := number(b)
			return int(x - y)
		})
		return names, nil
	}
}

// acquire waits for its turn, or for ctx.
func (c *contender) acquire(ctx context.Context) error {
	for {
		names, err := c.queue(ctx)
		if err != nil {
			return err
		}
		i := slices.Index(names, c.name)
		switch i {
		case -1:
			return errGone
		case 0:
			return nil
		}
		there, _, gone, err := c.t.ExistsW(c.dir + "/" + names[i-1])
		switch {
		case isDisconnected(err) && ctx.Err() == nil:
			continue
		case err != nil:
			return err
		case !there:
			continue
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lost returns why the lock is no longer ours, once it is not; nil when ctx ends first.
func (c *contender) lost(ctx context.Context, after time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := make(chan error, 1)
	go func() { gone <- c.deleted(ctx) }()
	session := make(chan error, 1)
	go func() { session <- c.t.Lost(ctx, after) }()
	select {
	case err := <-gone:
		return err
	case err := <-session:
		if err == nil {
			return errors.New("the session is lost")
		}
		return nil
	}
}

// deleted returns once our node is gone; nil when ctx ends first.
func (c *contender) deleted(ctx context.Context) error {
	for ctx.Err() == nil {
		there, _, next, err := c.t.ExistsW(c.dir + "/" + c.name)
		switch {
		case err != nil: // the session's state says what that means
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		case !there:
			return errGone
		}
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
	return nil
}

// release leaves the queue. If that cannot be sent, the end of the session does it.
func (c *contender) release() { _ = c.t.Delete(c.dir+"/"+c.name, -1) }

// underLock takes the lock, runs the command and releases.
func underLock(cmd *cobra.Command, t *client.Tree, r recipe, shown, dir string, data []byte, wait, after time.Duration, command []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", err)
		return output.Status(statusNotFound)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	c, err := take(ctx, t, dir, r, data)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(cmd.ErrOrStderr(), "the %s %s was not free within %v; `ottla zk tree %s --data` shows who holds it\n", r.held, shown, wait, shown)
		return output.Status(statusNotInTime)
	case errors.Is(err, context.Canceled):
		return output.Status(statusSignal + int(syscall.SIGINT))
	case err != nil:
		return err
	}
	defer c.release()
	stop()
	return c.run(cmd, r.held+" "+shown, after, program, command)
}

// take enters the queue and waits for the lock. Whoever lost his place with his session gets in line again.
func take(ctx context.Context, t *client.Tree, dir string, r recipe, data []byte) (*contender, error) {
	for {
		c, err := enter(ctx, t, dir, r, data)
		if err != nil {
			return nil, err
		}
		if err = c.acquire(ctx); err == nil {
			return c, nil
		}
		if !errors.Is(err, errGone) {
			c.release()
			return nil, err
		}
	}
}

// run runs the command, passes signals on to it, and ends it when the lock is lost.
func (c *contender) run(cmd *cobra.Command, shown string, after time.Duration, program string, command []string) error {
	child := exec.Command(program, command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), err)
		return output.Status(statusNotRun)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	watching, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	lost := make(chan error, 1)
	go func() { lost <- c.lost(watching, after) }()
	for {
		select {
		case err := <-ended:
			return statusOf(err)
		case s := <-signals:
			if s == syscall.SIGTERM || !output.IsTerminal(os.Stderr) { // a terminal interrupts its whole process group
				_ = child.Process.Signal(s)
			}
		case why := <-lost:
			if why == nil {
				return statusOf(<-ended)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s%v: ending %s, since somebody else may have the %s by now\n", output.Problem("Error: "), why, command[0], shown)
			_ = end(child, ended) // it was not to end by itself
			return output.Status(statusLost)
		}
	}
}

// end asks a command to end, and makes it. It returns what Wait says.
func end(child *exec.Cmd, ended <-chan error) error {
	if child.Process.Signal(syscall.SIGTERM) != nil { // Windows has none
		_ = child.Process.Kill()
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(mercy):
		_ = child.Process.Kill()
		return <-ended
	}
}

// statusOf is a command's own exit status.
func statusOf(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return err
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return output.Status(statusSignal + int(s.Signal()))
	}
	return output.Status(exit.ExitCode())
}
