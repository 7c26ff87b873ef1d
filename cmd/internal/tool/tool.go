// Package tool has what the commands under Apache Kafka's names have in common: how their options are checked, which texts say
// what is wrong with a call, and how a regular expression of Java's picks names. Their exit status is 1 for any failure.
package tool

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/cmd/internal/output"
)

// Wrong ends a wrong call: it says what is wrong on standard error, and where the options are listed.
func Wrong(cmd *cobra.Command, format string, args ...any) error {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	fmt.Fprintf(cmd.ErrOrStderr(), "See %s --help for the options.\n", cmd.Name())
	return output.Status(1)
}

// Action returns the one of the actions that is among the options, or ends a call that has none or several.
func Action(cmd *cobra.Command, actions ...string) (string, error) {
	found := ""
	count := 0
	for _, a := range actions {
		if cmd.Flags().Changed(a) {
			found, count = a, count+1
		}
	}
	if count != 1 {
		return "", Wrong(cmd, "Command must include exactly one action: %s", list(actions))
	}
	return found, nil
}

// list writes --a, --b or --c as kafka-topics does.
func list(actions []string) string {
	return "--" + strings.Join(actions[:len(actions)-1], ", --") + " or --" + actions[len(actions)-1]
}

// Checks judges the options of a call. It speaks once, about the first thing that is wrong.
type Checks struct {
	Cmd *cobra.Command
	Err error
}

func (c *Checks) on(option string) bool { return c.Cmd.Flags().Changed(option) }

// Wrong ends the call, unless it has ended already.
func (c *Checks) Wrong(format string, args ...any) {
	if c.Err == nil {
		c.Err = Wrong(c.Cmd, format, args...)
	}
}

// Required wants options to be there.
func (c *Checks) Required(options ...string) {
	for _, o := range options {
		if !c.on(o) {
			c.Wrong("Missing required argument \"[%s]\"", o)
		}
	}
}

// Excluded wants none of the others beside an option.
func (c *Checks) Excluded(option string, others ...string) {
	for _, o := range others {
		if c.on(option) && c.on(o) {
			c.Wrong("Option \"[%s]\" can't be used with option \"[%s]\"", option, o)
		}
	}
}

// Switches adds options without a value.
func Switches(f *pflag.FlagSet, usage map[string]string) {
	for name, text := range usage {
		f.Bool(name, false, text)
	}
}

// Pairs reads KEY=VALUE options, each of which may be a comma separated list of them in lists. Blanks around are dropped.
func Pairs(options []string) (map[string]string, error) {
	m := map[string]string{}
	for _, o := range options {
		k, v, ok := strings.Cut(o, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return nil, fmt.Errorf("%q: want key=value", o)
		}
		m[k] = strings.TrimSpace(v)
	}
	return m, nil
}

// Include is a filter of names as the tools understand it: an expression, or several separated by commas, for the whole name.
func Include(expression string) (func(string) bool, error) {
	e := strings.Trim(strings.ReplaceAll(strings.ReplaceAll(expression, ",", "|"), " ", ""), `"'`)
	re, err := regexp.Compile("^(?:" + e + ")$")
	if err != nil {
		return nil, fmt.Errorf("%s is an invalid regex", expression)
	}
	return re.MatchString, nil
}

// Message is what a tool shows of an error: the broker's own words if it sent some.
func Message(err error, sent string) string {
	var ke *kerr.Error
	switch {
	case sent != "":
		return sent
	case errors.As(err, &ke):
		return ke.Description
	}
	return err.Error()
}

// Print writes lines.
func Print(w io.Writer, lines []string) {
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}
