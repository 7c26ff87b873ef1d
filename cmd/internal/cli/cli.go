// Package cli puts the commands together: the tree of `ottla`, and the names of a tutorial's commands, under which the same
// binary can be linked or copied.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
)

// Main runs the command that args name and returns the exit status: 0, 1 for a failure, 2 for a wrong call.
func Main(args []string) int {
	cmd := command(args[0])
	cmd.SetArgs(arguments(cmd, args[1:]))
	cmd.SetIn(os.Stdin)
	cmd.SetOut(os.Stdout)
	cmd.SetErr(os.Stderr)
	err := cmd.ExecuteContext(context.Background())
	var status output.Status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(os.Stderr, output.Problem("Error: ")+err.Error())
	var usage output.UsageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// plainName is a program's name without its directory and ending.
func plainName(program string) string {
	name := filepath.Base(program)
	for _, ending := range []string{".exe", ".bat", ".sh"} {
		name = strings.TrimSuffix(name, ending)
	}
	return name
}

// command is the one that the program's own name asks for, else ottla.
func command(program string) *cobra.Command {
	name := plainName(program)
	if build, ok := named[name]; ok {
		cmd := build()
		cmd.Use = name + strings.TrimPrefix(cmd.Use, strings.Fields(cmd.Use)[0])
		cmd.CompletionOptions.DisableDefaultCmd = true
		return finish(cmd)
	}
	return finish(root())
}

// arguments are those of a command. The tools of Apache Kafka take -topic for --topic, and an option's value may be left out
// where it may also follow as the next argument.
func arguments(cmd *cobra.Command, args []string) []string {
	if _, ok := named[cmd.Name()]; !ok || cmd.DisableFlagParsing {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) > 2 && a[0] == '-' && a[1] >= 'a' && a[1] <= 'z' {
			a = "-" + a
		}
		f := cmd.Flags().Lookup(strings.TrimPrefix(a, "--"))
		if f != nil && f.NoOptDefVal != "" && f.Value.Type() != "bool" && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			a += "=" + args[i]
		}
		out = append(out, a)
	}
	return out
}

// finish sets what all commands have in common: errors are printed once, by Main, and without the whole usage.
func finish(cmd *cobra.Command) *cobra.Command {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(usage)
	checkArgs(cmd)
	return cmd
}

func usage(cmd *cobra.Command, err error) error {
	return output.UsageError{Err: fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
}

// checkArgs makes wrong numbers of arguments usage errors, in all commands below cmd.
func checkArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		checkArgs(c)
	}
}
