package zk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Exit statuses of ZooKeeper's own client.
const (
	statusFailed  = 1
	statusUnknown = 127
)

// shell is one run of zookeeper-shell.
type shell struct {
	t       *client.Tree
	connect string
	history []string

	mu   sync.Mutex // the output's: watches print from goroutines of their own
	out  io.Writer
	errs io.Writer
}

// Shell is zookeeper-shell.sh: a command in the arguments, or commands from standard input.
func Shell() *cobra.Command {
	return &cobra.Command{
		Use:   "zookeeper-shell host:port[/chroot] [COMMAND [ARGUMENT]...]",
		Short: "Run commands of ZooKeeper's command-line client",
		Long: `Run a command of ZooKeeper's command-line client, or those of standard input.

` + strings.Join(help, "\n"),
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "-server" { // as zkCli.sh takes it
				args = args[1:]
			}
			if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			if len(args) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "USAGE: %s\n", cmd.UseLine())
				return output.Status(statusFailed)
			}
			s := &shell{connect: args[0], out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr()}
			return s.run(cmd.Context(), cmd.InOrStdin(), args[1:])
		},
	}
}

func (s *shell) run(ctx context.Context, in io.Reader, command []string) error {
	fmt.Fprintf(s.out, "Connecting to %s\n", s.connect)
	if len(command) == 0 {
		fmt.Fprintln(s.out, "Welcome to ZooKeeper!\nJLine support is disabled")
	}
	z := client.ZooKeeper{Connect: s.connect}
	t, err := z.Open(ctx)
	if err != nil {
		fmt.Fprintln(s.errs, err)
		return output.Status(statusFailed)
	}
	defer t.Close()
	s.t = t
	s.event("SyncConnected", "None", "null")
	if len(command) == 0 {
		return s.loop(in)
	}
	err = s.execute(command)
	return s.report(err)
}

// report prints an error as ZooKeeper's client does, and returns the exit status that it stands for.
func (s *shell) report(err error) error {
	var unknown unknownCommand
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		fmt.Fprintln(s.errs, "ZooKeeper -server host:port [-zk-tls-config-file <file>] cmd args")
		for _, l := range help {
			fmt.Fprintln(s.errs, "\t"+l)
		}
		fmt.Fprintf(s.errs, "Command not found: %v\n", err)
		return output.Status(statusUnknown)
	}
	fmt.Fprintln(s.errs, err)
	return output.Status(statusFailed)
}

// loop runs the commands of standard input until quit.
func (s *shell) loop(in io.Reader) error {
	f, ok := in.(*os.File)
	prompting := ok && term.IsTerminal(int(f.Fd()))
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	for {
		if prompting {
			s.print("[zk: %s(CONNECTED) %d] ", s.connect, len(s.history))
		}
		if !lines.Scan() {
			return lines.Err()
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		s.history = append(s.history, line)
		words := split(line)
		if words[0] == "quit" {
			s.event("Closed", "None", "null")
			return nil
		}
		var unknown unknownCommand
		if err := s.execute(words); errors.As(err, &unknown) {
			_ = s.report(err)
		} else if err != nil {
			s.mu.Lock()
			fmt.Fprintln(s.errs, err)
			s.mu.Unlock()
		}
	}
}

// split cuts a line into words; quotes hold blanks together.
func split(line string) []string {
	var out []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				out = append(out, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord || quote != 0 {
		out = append(out, word.String())
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

func (s *shell) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format, args...)
}

// event prints an event of the session or of a watch.
func (s *shell) event(state, kind, path string) {
	s.print("\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s\n", state, kind, path)
}

// eventNames are the types that a watch can fire with.
var eventNames = map[zk.EventType]string{
	zk.EventNodeCreated: "NodeCreated", zk.EventNodeDeleted: "NodeDeleted", zk.EventNodeDataChanged: "NodeDataChanged",
	zk.EventNodeChildrenChanged: "NodeChildrenChanged",
}

// watch prints the event that comes through a watch's channel. It ends at the latest with the connection, which fires all.
func (s *shell) watch(events <-chan zk.Event) {
	go func() {
		ev := <-events
		if name := eventNames[ev.Type]; name != "" {
			s.event("SyncConnected", name, s.t.Shown(ev.Path))
		}
	}()
}
