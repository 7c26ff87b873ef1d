// Package cli puts the commands together: the tree of `ottla`, and the names of a tutorial's commands, under which the same
// binary can be linked or copied.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
)

// Main runs the command that args name and returns the exit status: 0, 1 for a failure, 2 for a wrong call.
func Main(args []string) int {
	return Run(context.Background(), args, os.Stdin, os.Stdout, os.Stderr)
}

// Run is Main with its surroundings. args begin with the program's name, which may be that of a tutorial's command.
func Run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	cmd := command(args[0])
	cmd.SetArgs(arguments(cmd, args[1:]))
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errs)
	err := cmd.ExecuteContext(ctx)
	var status output.Status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(errs, output.Problem("Error: ")+err.Error())
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

// dialect is what the tools say of their version: that of Apache Kafka whose options they take.
const dialect = "3.9 (Ottla)"

// command is the one that the program's own name asks for, else ottla.
func command(program string) *cobra.Command {
	name := plainName(program)
	if build, ok := named[name]; ok {
		cmd := build()
		cmd.Use = name + strings.TrimPrefix(cmd.Use, strings.Fields(cmd.Use)[0])
		cmd.CompletionOptions.DisableDefaultCmd = true
		cmd.Version = dialect
		cmd.SetVersionTemplate("{{.Version}}\n")
		finish(cmd)
		cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return errors.Unwrap(usage(cmd, err)) }) // status 1, as Apache's
		return cmd
	}
	return finish(root())
}

// arguments are those of a command. The tools of Apache Kafka take -topic for --topic, and an option's value may be left out
// where it may also follow as the next argument.
func arguments(cmd *cobra.Command, args []string) []string {
	if _, ok := named[cmd.Name()]; !ok || cmd.DisableFlagParsing {
		return args
	}
	out := []string{} // cobra takes nil for the program's own arguments
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
	groups(cmd)
	checkArgs(cmd)
	return cmd
}

// groups lets commands that only hold others, cmd included, print their help, and say what is wrong with a name they do not have.
func groups(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		groups(c)
	}
	if cmd.RunE != nil || cmd.Run != nil || !cmd.HasSubCommands() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf(" Did you mean %s?", strings.Join(near, " or "))
		}
		return output.Usagef("there is no command `%s %s`.%s `%s --help` lists what there is", cmd.CommandPath(), args[0], hint, cmd.CommandPath())
	}
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
