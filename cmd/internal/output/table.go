package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Table is a result for people: a heading for each column, and rows of as many cells.
type Table struct {
	Columns []string
	Rows    [][]string
}

// Row adds a row; each cell is printed as fmt.Sprint does.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.Rows = append(t.Rows, row)
}

// gap is between columns.
const gap = "  "

// Write prints the table with aligned columns: numbers to the right, the rest to the left.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.Columns))
	right := make([]bool, len(t.Columns))
	for i, c := range t.Columns {
		widths[i], right[i] = utf8.RuneCountInString(c), len(t.Rows) > 0
		for _, r := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
			right[i] = right[i] && isNumber(r[i])
		}
	}
	line := func(cells []string) string {
		var b strings.Builder
		for i, c := range cells {
			if i > 0 {
				b.WriteString(gap)
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if right[i] {
				b.WriteString(pad + c)
			} else {
				b.WriteString(c + pad)
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	if _, err := fmt.Fprintln(w, Heading(w, line(t.Columns))); err != nil {
		return err
	}
	for _, r := range t.Rows {
		if _, err := fmt.Fprintln(w, line(r)); err != nil {
			return err
		}
	}
	return nil
}

// isNumber takes the dash of a missing value for a number too.
func isNumber(s string) bool {
	return s == "-" || s != "" && strings.Trim(s, "0123456789.,") == "" || len(s) > 1 && s[0] == '-' && isNumber(s[1:])
}

// Format is the value of --output.
type Format string

// The formats.
const (
	AsTable Format = "table"
	AsJSON  Format = "json"
)

var formats = []Format{AsTable, AsJSON}

// String is the format's name.
func (f *Format) String() string { return string(*f) }

// Set refuses what is no format.
func (f *Format) Set(s string) error {
	if !slices.Contains(formats, Format(s)) {
		return fmt.Errorf("want table or json")
	}
	*f = Format(s)
	return nil
}

// Type is what help calls the value.
func (f *Format) Type() string { return "table|json" }

// Flag adds --output to a command.
func Flag(cmd *cobra.Command) *Format {
	f := AsTable
	cmd.Flags().VarP(&f, "output", "o", "how to print the result")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// Print prints value as JSON, or table, as the format says.
func (f *Format) Print(w io.Writer, value any, table func() *Table) error {
	if *f == AsJSON {
		return JSON(w, value)
	}
	return table().Write(w)
}

// JSON prints value indented, with <, > and & as they are.
func JSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
