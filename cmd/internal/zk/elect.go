package zk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// candidate is who stands for an election.
type candidate struct {
	ID     string    `json:"id"`
	Node   string    `json:"node"`
	Since  time.Time `json:"since"`
	Leader bool      `json:"leader"`
}

func elect() *cobra.Command {
	var z client.ZooKeeper
	var wait time.Duration
	var id string
	cmd := &cobra.Command{
		Use:   "elect PATH [-- COMMAND [ARGUMENT]...]",
		Short: "Run a command while being the leader, or show who is",
		Long: fmt.Sprintf(`Stand for leader at PATH, and run a command once elected; with the command the leadership ends. Candidates lead in their order of
arrival; those of Curator's LeaderLatch on the same path are among them. Without a command it lists the candidates, the leader first.

The exit status is the command's own; %d: not elected within --wait; %d: the leadership was lost, and the command ended for it; %d: the
command could not be run.`, statusNotInTime, statusLost, statusNotRun),
		Example: "  ottla zk elect /app/leader --id node-1 -- ./serve.sh\n  ottla zk elect /app/leader",
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); len(args) == 0 || n < 0 && len(args) > 1 || n >= 0 && (n != 1 || len(args) < 2) {
				return errors.New("want one path, and a command behind --")
			}
			return nil
		},
	}
	z.Flags(cmd.Flags())
	cmd.Flags().DurationVarP(&wait, "wait", "w", 0, "give up when not elected within this time; 0: wait for ever")
	cmd.Flags().StringVar(&id, "id", "", "the `name` that others see; the host and process if it is not given")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if len(args) == 1 {
				return showCandidates(cmd, t, at, *format)
			}
			if id == "" {
				host, _ := os.Hostname()
				id = fmt.Sprintf("%s pid %d", host, os.Getpid())
			}
			return underLock(cmd, t, latchRecipe, args[0], at, []byte(id), wait, lossAfter(z.SessionTimeout), args[1:])
		})
	}
	return cmd
}

func showCandidates(cmd *cobra.Command, t *client.Tree, at string, format output.Format) error {
	names, err := (&contender{t: t, dir: at}).queue(cmd.Context())
	if err != nil {
		return err
	}
	all := []candidate{}
	for _, n := range names {
		data, st, err := t.Get(join(at, n))
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, candidate{ID: string(data), Node: n, Since: time.UnixMilli(st.Ctime).UTC(), Leader: len(all) == 0})
	}
	return format.Print(cmd.OutOrStdout(), all, func() *output.Table {
		tab := &output.Table{Columns: []string{"ROLE", "CANDIDATE", "SINCE", "NODE"}}
		for _, c := range all {
			role := "waiting"
			if c.Leader {
				role = "leader"
			}
			tab.Row(role, c.ID, c.Since.Format(time.RFC3339), c.Node)
		}
		return tab
	})
}

// without leaves a name out of a list.
func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return n == name })
}
