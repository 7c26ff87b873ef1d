package cli

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestHelp compares the help texts of all commands with the golden file.
func TestHelp(t *testing.T) {
	var b bytes.Buffer
	help := func(name string, cmd *cobra.Command) {
		fmt.Fprintf(&b, "# %s\n\n", name)
		cmd.SetOut(&b)
		cmd.InitDefaultHelpFlag()
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		help(cmd.CommandPath(), cmd)
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				walk(c)
			}
		}
	}
	walk(command("ottla"))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		help(name, command(name))
	}
	path := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("go test ./cmd/internal/cli -run TestHelp -update writes it anew:\n%s", d)
	}
}

// TestEveryCommandSaysWhatItDoes wants a short text from all, and no command that does nothing.
func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Run == nil && cmd.RunE == nil {
			t.Errorf("%s: no short text, or nothing to run", cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(command("ottla"))
	for name := range named {
		walk(command(name))
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want []string
	}{
		{"kafka-topics", []string{"-list", "--topic", "-1", "-zookeeper", "x"}, []string{"--list", "--topic", "-1", "--zookeeper", "x"}},
		{"kafka-console-producer", []string{"--compression-codec", "lz4", "--topic", "t"}, []string{"--compression-codec=lz4", "--topic", "t"}},
		{"kafka-console-producer", []string{"--compression-codec", "--topic", "t"}, []string{"--compression-codec", "--topic", "t"}},
		{"kafka-console-producer", []string{"--sync", "x"}, []string{"--sync", "x"}},
		{"kafka-consumer-groups", []string{"--list", "--state", "Empty"}, []string{"--list", "--state=Empty"}},
		{"zookeeper-shell", []string{"localhost:2181", "ls", "-R", "/"}, []string{"localhost:2181", "ls", "-R", "/"}},
		{"ottla", []string{"zk", "-z", "x"}, []string{"zk", "-z", "x"}},
	} {
		if d := cmp.Diff(c.want, arguments(command(c.name), c.in)); d != "" {
			t.Errorf("%s %v:\n%s", c.name, c.in, d)
		}
	}
}

func TestNames(t *testing.T) {
	for _, program := range []string{"kafka-topics", "/opt/bin/kafka-topics.sh", "kafka-topics.bat", "kafka-topics.exe"} {
		if name := command(program).Name(); name != "kafka-topics" {
			t.Errorf("%s is %s", program, name)
		}
	}
	if name := command("/usr/bin/ottla").Name(); name != "ottla" {
		t.Errorf("ottla is %s", name)
	}
}

func TestWrongCalls(t *testing.T) {
	var s servers
	s.fails(t, "ottla topc", 2, "no command `ottla topc`", "Did you mean topic?")
	s.fails(t, "ottla topic frob", 2, "no command `ottla topic frob`")
	s.fails(t, "ottla topic list x", 2, "`ottla topic list --help`")
	s.fails(t, "ottla topic list --nope", 2, "unknown flag: --nope")
	s.fails(t, "ottla topic list -o xml", 2, "want table or json")
	s.fails(t, "ottla as nothing", 2, "kafka-topics")
	s.fails(t, "ottla topic list -b 127.0.0.1:1", 1, "nothing listens at 127.0.0.1:1", "`ottla up` starts one")
	s.fails(t, "ottla zk ls / -z 127.0.0.1:1", 1, "nothing listens at 127.0.0.1:1", "`ottla coordinator` starts one")
	s.fails(t, "ottla zk get foo -z 127.0.0.1:1", 1)
	s.fails(t, "ottla config get table/x", 2, "want topic/NAME")
	s.fails(t, "ottla consume t --offset 1", 2, "--offset needs --partition")
	s.fails(t, "ottla bench produce -c 0", 2, "--connections")
	s.fails(t, "ottla broker /nonexistent/server.properties", 1, "/nonexistent/server.properties")
	s.fails(t, "ottla coordinator /nonexistent/zoo.cfg", 1, "/nonexistent/zoo.cfg")
	s.fails(t, "kafka-topics", 1, "Command must include exactly one action: --list, --describe, --create, --alter or --delete")
	s.fails(t, "kafka-topics --list", 1, "--bootstrap-server must be specified")
	s.fails(t, "kafka-topics --create --bootstrap-server x", 1, `Missing required argument "[topic]"`)
	s.fails(t, "kafka-topics --list --bootstrap-server x --config a=b", 1, `Option "[config]" can't be used with option "[list]"`)
	s.fails(t, "kafka-console-consumer --bootstrap-server x", 1, "Exactly one of --include/--topic is required.")
	s.fails(t, "kafka-console-consumer --bootstrap-server x --topic t --offset 3", 1, "The partition is required when offset is specified.")
	s.fails(t, "kafka-console-consumer --bootstrap-server x --topic t --formatter com.example.Mine", 1, "no formatter com.example.Mine here", "DefaultMessageFormatter")
	s.fails(t, "kafka-console-producer --topic t", 1, `Missing required argument "[bootstrap-server]"`)
	s.fails(t, "kafka-configs --bootstrap-server x --describe", 1, "At least one entity type must be specified")
	s.fails(t, "kafka-consumer-groups --bootstrap-server x", 1, "Command must include exactly one action")
	s.fails(t, "zookeeper-shell", 1, "USAGE: zookeeper-shell host:port")
	s.fails(t, "kafka-server-start", 2, "USAGE: kafka-server-start")
	s.fails(t, "zookeeper-server-start", 2, "USAGE: zookeeper-server-start")
}
