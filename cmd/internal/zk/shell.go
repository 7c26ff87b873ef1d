package zk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Exit statuses of ZooKeeper's own client.
const (
	statusFailed  = 1
	statusUnknown = 127
)

// A dialect is one of the two programs that the shell stands in for. They have the same commands.
type dialect struct {
	usage  string // before the list of commands
	zxids  bool   // events are printed with their zxid
	option string // the one that names a file with the settings of TLS
}

var (
	kafkaShell = dialect{usage: "ZooKeeper -server host:port [-zk-tls-config-file <file>] cmd args", option: "-zk-tls-config-file"}
	zkCli      = dialect{usage: "ZooKeeper -server host:port -client-configuration properties-file cmd args", option: "-client-configuration", zxids: true}
)

// shell is one run of zookeeper-shell or zkCli.
type shell struct {
	dialect
	ctx     context.Context
	z       client.ZooKeeper
	t       *client.Tree // nil: closed
	history []string
	failed  error // of the latest command: the exit status of a script that ends with quit
	mine    marks

	mu    sync.Mutex // the output's: watches print from goroutines of their own
	out   io.Writer
	errs  io.Writer
	quiet bool // printwatches off
}

// Shell is zookeeper-shell.sh of Kafka: a command in the arguments, or commands from standard input.
func Shell() *cobra.Command {
	return &cobra.Command{
		Use:                   "zookeeper-shell host:port[/chroot] [-zk-tls-config-file FILE] [COMMAND [ARGUMENT]...]",
		Short:                 "Run commands of ZooKeeper's command-line client",
		Long:                  "Run a command of ZooKeeper's command-line client, or those of standard input.\n\n" + strings.Join(help(), "\n"),
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
			return runShell(cmd, kafkaShell, append([]string{"-server"}, args...))
		},
	}
}

// CLI is zkCli.sh of ZooKeeper.
func CLI() *cobra.Command {
	return &cobra.Command{
		Use:                   "zkCli [-server host:port[/chroot]] [-timeout MS] [-client-configuration FILE] [COMMAND [ARGUMENT]...]",
		Short:                 "ZooKeeper's command-line client",
		Long:                  "Run a command of ZooKeeper's command-line client, or those of standard input.\n\n" + strings.Join(help(), "\n"),
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (args[0] == "--help" || args[0] == "-h" || args[0] == "-help") {
				return cmd.Help()
			}
			return runShell(cmd, zkCli, args)
		},
	}
}

// runShell reads the options and runs the command behind them, or those of standard input.
func runShell(cmd *cobra.Command, d dialect, args []string) error {
	s := &shell{dialect: d, ctx: cmd.Context(), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr()}
	s.z.Connect = client.DefaultConnect
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := args[0]
		args = args[1:]
		if name == "-r" || name == "-waitforconnection" { // our sessions are there before the first command, and read-only servers need no asking
			continue
		}
		if len(args) == 0 {
			fmt.Fprintf(s.errs, "Error: no argument found for option %s\n", name)
			return output.Status(statusFailed)
		}
		value := args[0]
		args = args[1:]
		switch name {
		case "-server":
			s.z.Connect = value
		case "-timeout":
			ms, err := strconv.Atoi(value)
			if err != nil || ms <= 0 {
				return output.Usagef("-timeout %s: want milliseconds", value)
			}
			s.z.SessionTimeout = time.Duration(ms) * time.Millisecond
		case s.option:
			s.z.ClientConfig = value
		default:
			return output.Usagef("unknown option %s; `%s --help` lists them", name, cmd.Name())
		}
	}
	return s.run(cmd.InOrStdin(), args)
}

func (s *shell) run(in io.Reader, command []string) error {
	fmt.Fprintf(s.out, "Connecting to %s\n", s.z.Connect)
	if len(command) == 0 {
		fmt.Fprintln(s.out, "Welcome to ZooKeeper!\nJLine support is disabled")
	}
	if err := s.connect(s.z.Connect); err != nil {
		fmt.Fprintln(s.errs, err)
		return output.Status(statusFailed)
	}
	defer s.close()
	if len(command) == 0 {
		return s.loop(in)
	}
	return s.report(s.execute(command))
}

// connect opens a session, in place of one that there is.
func (s *shell) connect(servers string) error {
	s.close()
	s.z.Connect = servers
	t, err := s.z.Open(s.ctx)
	if err != nil {
		return err
	}
	s.t = t
	t.Listen(func(ev client.Event) {
		if name := ev.Type.String(); s.mine.fires(ev) {
			s.event("SyncConnected", strings.TrimPrefix(name, "Event"), t.Shown(ev.Path), ev.Zxid)
		}
	})
	s.event("SyncConnected", "None", "null", -1)
	return nil
}

func (s *shell) close() {
	if s.t != nil {
		s.t.Close()
	}
	s.t = nil
	s.mine = marks{}
}

// report prints an error as ZooKeeper's client does, and returns the exit status that it stands for.
func (s *shell) report(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unknown unknownCommand
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		fmt.Fprintln(s.errs, s.usage)
		for _, l := range help() {
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
	lines := newLines(in, s.out, s.complete)
	s.out, s.errs = lines.writer(s.out), lines.writer(s.errs)
	for {
		state := "CONNECTED"
		if s.t == nil {
			state = "CLOSED"
		}
		line, err := lines.read(fmt.Sprintf("[zk: %s(%s) %d] ", s.z.Connect, state, len(s.history)))
		if errors.Is(err, io.EOF) {
			return s.failed
		}
		if err != nil {
			return err
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s.history = append(s.history, line)
		words := split(line)
		if words[0] == "quit" {
			if s.t != nil {
				s.event("Closed", "None", "null", -1)
			}
			return s.failed
		}
		s.failed = s.report(s.execute(words))
	}
}

// complete is the commands, or the children of the node whose path is begun.
func (s *shell) complete(words []string) []string {
	begun := words[len(words)-1]
	if len(words) == 1 {
		var names []string
		for _, l := range help() {
			if name, _, _ := strings.Cut(l, " "); strings.HasPrefix(name, begun) {
				names = append(names, name)
			}
		}
		return names
	}
	if s.t == nil {
		return nil
	}
	return completePath(s.t, begun)
}

// completePath is the paths of nodes that begin so.
func completePath(t *client.Tree, begun string) (paths []string) {
	if !strings.HasPrefix(begun, "/") {
		return nil
	}
	slash := strings.LastIndexByte(begun, '/')
	at, err := t.At(begun[:slash+1])
	if err != nil {
		return nil
	}
	names, _, err := t.Children(at)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	for _, n := range names {
		if strings.HasPrefix(n, begun[slash+1:]) {
			paths = append(paths, begun[:slash+1]+n)
		}
	}
	return paths
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

func (s *shell) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.errs, format, args...)
}

// event prints an event of the session or of a watch.
func (s *shell) event(state, kind, path string, zxid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quiet {
		return
	}
	fmt.Fprintf(s.out, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s", state, kind, path)
	if s.zxids {
		fmt.Fprintf(s.out, " zxid: %d", zxid)
	}
	fmt.Fprintln(s.out)
}

// printStat prints all there is to say about a node; times are in this machine's zone, as Java prints them.
func (s *shell) printStat(st *zk.Stat) {
	at := func(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }
	s.print("cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\ncversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		uint64(st.Czxid), at(st.Ctime), uint64(st.Mzxid), at(st.Mtime), uint64(st.Pzxid), st.Cversion, st.Version, st.Aversion, uint64(st.EphemeralOwner), st.DataLength, st.NumChildren)
}
