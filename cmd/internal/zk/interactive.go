package zk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// interactive is `ottla zk shell`: the commands of `ottla zk` on one session.
func interactive() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{
		Use: "shell", Short: "Run commands in one session, with history and completion", Args: cobra.NoArgs,
		Long: `Run the commands of ` + "`ottla zk`" + ` in one session, so that ephemeral nodes and watches last from one to the next: from a terminal
with editing, history and completion of commands and paths, or from standard input, one a line. Further commands: addauth SCHEME
CREDENTIALS, removewatches PATH, history, redo N, help, quit. The exit status is that of the last command.

For the syntax and the output of ZooKeeper's own client see zkCli (` + "`ottla install-links`" + `).`,
	}
	z.Flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, err := z.Open(cmd.Context())
		if err != nil {
			return err
		}
		defer t.Close()
		i := &interaction{t: t, ctx: context.WithValue(cmd.Context(), sessionKey{}, t), in: cmd.InOrStdin()}
		return i.run(z.Connect, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// interaction is one run of the shell.
type interaction struct {
	t         *client.Tree
	ctx       context.Context
	in        io.Reader
	out, errs io.Writer
	history   []string
}

func (i *interaction) run(connect string, out, errs io.Writer) (last error) {
	lines := newLines(i.in, out, i.complete)
	i.out, i.errs = lines.writer(out), lines.writer(errs)
	stop := i.t.Listen(func(ev client.Event) {
		fmt.Fprintf(i.errs, "watch: %s %s\n", eventWords[ev.Type], i.t.Shown(ev.Path))
	})
	defer stop()
	for {
		line, err := lines.read(connect + "> ")
		if errors.Is(err, io.EOF) {
			return last
		}
		if err != nil {
			return err
		}
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i.history = append(i.history, line)
		words := split(line)
		if words[0] == "quit" || words[0] == "exit" {
			return last
		}
		last = nil
		if err := i.execute(words); err != nil {
			var status output.Status
			if !errors.As(err, &status) {
				fmt.Fprintf(i.errs, "%s%v\n", output.Problem("Error: "), err)
			}
			last = output.Status(statusFailed)
		}
	}
}

func (i *interaction) execute(words []string) error {
	switch words[0] {
	case "history":
		for n, l := range i.history {
			fmt.Fprintf(i.out, "%d  %s\n", n, l)
		}
		return nil
	case "redo":
		n := -1
		if len(words) == 2 {
			if v, err := strconv.Atoi(words[1]); err == nil {
				n = v
			}
		}
		if n < 0 || n >= len(i.history)-1 || strings.HasPrefix(i.history[n], "redo") {
			return errors.New("want the number of an earlier command; `history` lists them")
		}
		i.history[len(i.history)-1] = i.history[n]
		return i.execute(split(i.history[n]))
	case "addauth":
		if len(words) != 3 {
			return errors.New("want a scheme and credentials, for example: addauth digest user:password")
		}
		return i.t.AddAuth(words[1], []byte(words[2]))
	case "removewatches":
		if len(words) != 2 {
			return errors.New("want a path")
		}
		at, err := i.t.At(words[1])
		if err != nil {
			return err
		}
		if err := i.t.RemoveWatches(i.ctx, at, wire.WatcherAny); errors.Is(err, wire.CodeNoWatcher) {
			return fmt.Errorf("there is no watch on %s", words[1])
		} else if err != nil {
			return client.Explain(words[1], err)
		}
		return nil
	case "shell":
		return errors.New("this is the shell")
	}
	cmd := i.command()
	if found, _, err := cmd.Find(words); err != nil || found == cmd && words[0] != "help" {
		return fmt.Errorf("unknown command %q; `help` lists them", words[0])
	}
	cmd.SetArgs(words)
	return cmd.ExecuteContext(i.ctx)
}

// command is `ottla zk` anew, since flags keep what they were set to.
func (i *interaction) command() *cobra.Command {
	cmd := Command()
	cmd.Use, cmd.SilenceErrors, cmd.SilenceUsage = "", true, true
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetIn(i.in)
	cmd.SetOut(i.out)
	cmd.SetErr(i.errs)
	return cmd
}

// complete is the commands, or the nodes whose path is begun.
func (i *interaction) complete(words []string) (found []string) {
	begun := words[len(words)-1]
	if len(words) > 1 {
		return completePath(i.t, begun)
	}
	for _, c := range i.command().Commands() {
		found = append(found, c.Name())
	}
	found = append(found, "addauth", "help", "history", "quit", "redo", "removewatches")
	found = slices.DeleteFunc(found, func(n string) bool { return !strings.HasPrefix(n, begun) || n == "shell" })
	slices.Sort(found)
	return found
}
