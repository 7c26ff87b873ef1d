package zk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// readyNode is what opens a double barrier, in every library's recipe.
const readyNode = "ready"

func barrier() *cobra.Command {
	var z client.ZooKeeper
	var wait time.Duration
	var members int
	cmd := &cobra.Command{
		Use:   "barrier PATH [-- COMMAND [ARGUMENT]...]",
		Short: "Wait for others: until all have come, or until a node is gone",
		Long: fmt.Sprintf(`With --members wait at the double barrier PATH until so many have come, run the command, and wait until all are through; Curator's
DistributedDoubleBarrier and kazoo's DoubleBarrier on the same path take part. Without --members wait until the node PATH is gone, as
Curator's DistributedBarrier and kazoo's Barrier do; `+"`ottla zk create PATH`"+` closes such a barrier, `+"`ottla zk delete PATH`"+` opens it.

The exit status is the command's own, or 0; %d: the barrier did not open within --wait.`, statusNotInTime),
		Example: "  ottla zk barrier /jobs/load --members 3 -- ./load.sh",
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); len(args) == 0 || n < 0 && len(args) > 1 || n >= 0 && (n != 1 || len(args) < 2) {
				return errors.New("want one path, and a command behind --")
			}
			return nil
		},
	}
	z.Flags(cmd.Flags())
	cmd.Flags().DurationVarP(&wait, "wait", "w", 0, "give up when it does not open within this time; 0: wait for ever")
	cmd.Flags().IntVarP(&members, "members", "n", 0, "how `many` come")
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if members < 0 {
			return output.Usagef("--members %d: want 1 or more", members)
		}
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			entering := ctx
			if wait > 0 {
				var cancel context.CancelFunc
				entering, cancel = context.WithTimeout(ctx, wait)
				defer cancel()
			}
			b := &doubleBarrier{t: t, at: at, members: members}
			err := b.enter(entering)
			if errors.Is(err, context.DeadlineExceeded) {
				fmt.Fprintf(cmd.ErrOrStderr(), "the barrier %s did not open within %v; `ottla zk ls %s` shows who has come\n", args[0], wait, args[0])
				return output.Status(statusNotInTime)
			}
			if errors.Is(err, context.Canceled) {
				return output.Status(statusSignal + int(syscall.SIGINT))
			}
			if err != nil {
				return err
			}
			if len(args) > 1 {
				err = runCommand(ctx, cmd, args[1:])
			}
			return firstOf(err, b.leave(ctx))
		})
	}
	return cmd
}

// runCommand runs a command to its end.
func runCommand(ctx context.Context, cmd *cobra.Command, command []string) error {
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = mercy
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := child.Start(); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), err)
		return output.Status(statusNotRun)
	}
	return statusOf(child.Wait())
}

// doubleBarrier is the recipe: PATH/ID, ephemeral, for each who has come, and PATH/ready once all have. Without members it is the
// single one, which is closed as long as PATH is there.
type doubleBarrier struct {
	t       *client.Tree
	at      string
	members int
	own     string
}

func (b *doubleBarrier) enter(ctx context.Context) error {
	if b.members == 0 {
		return b.until(ctx, b.at, false)
	}
	ready := join(b.at, readyNode)
	if err := makeAbove(b.t, ready); err != nil {
		return err
	}
	b.own = join(b.at, rand.Text())
	if _, err := b.t.Create(b.own, nil, zk.FlagEphemeral, open); err != nil {
		return err
	}
	names, _, err := b.t.Children(b.at)
	if err == nil && len(without(names, readyNode)) >= b.members {
		if _, err = b.t.Create(ready, nil, 0, open); errors.Is(err, zk.ErrNodeExists) {
			err = nil
		}
	} else if err == nil {
		err = b.until(ctx, ready, true)
	}
	if err != nil {
		_ = b.t.Delete(b.own, -1) // the others wait for one more
	}
	return err
}

// until waits until a node is there, or gone.
func (b *doubleBarrier) until(ctx context.Context, at string, there bool) error {
	for {
		is, _, changed, err := b.t.ExistsW(at)
		if err != nil {
			return err
		}
		if is == there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave waits until all who came are through. The last one takes the barrier's nodes away, so that it can be used again.
func (b *doubleBarrier) leave(ctx context.Context) error {
	if b.members == 0 {
		return nil
	}
	if err := b.t.Delete(b.own, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for {
		names, _, changed, err := b.t.ChildrenW(b.at)
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(without(names, readyNode)) == 0 {
			if err := b.t.Delete(join(b.at, readyNode), -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
				return err
			}
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
