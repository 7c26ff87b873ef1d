package output

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestTable(t *testing.T) {
	table := &Table{Columns: []string{"TOPIC", "PARTITIONS", "LAG", "NOTE"}}
	table.Row("orders", 12, "-", "")
	table.Row("größe", 3, -41, "2 of 3")
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `TOPIC   PARTITIONS  LAG  NOTE
orders          12    -
größe            3  -41  2 of 3
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	empty := &Table{Columns: []string{"A", "B"}}
	b.Reset()
	if err := empty.Write(&b); err != nil || b.String() != "A  B\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestFormat(t *testing.T) {
	cmd := &cobra.Command{Use: "x"}
	f := Flag(cmd)
	if err := cmd.ParseFlags([]string{"-o", "xml"}); err == nil {
		t.Error("-o xml was accepted")
	}
	if err := cmd.ParseFlags([]string{"--output", "json"}); err != nil || *f != AsJSON {
		t.Errorf("%v, %v", *f, err)
	}
	var b bytes.Buffer
	if err := f.Print(&b, map[string]string{"a": "<&>"}, nil); err != nil || b.String() != "{\n  \"a\": \"<&>\"\n}\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if IsTerminal(w) || IsTerminal(&bytes.Buffer{}) || Heading(w, "x") != "x" || Aside(w, "x") != "x" || Good(w, "x") != "x" {
		t.Error("a pipe is coloured")
	}
}

func TestErrors(t *testing.T) {
	err := Usagef("bad %w", os.ErrInvalid)
	var u UsageError
	if !errors.As(err, &u) || !errors.Is(err, os.ErrInvalid) || err.Error() != "bad invalid argument" {
		t.Errorf("%v", err)
	}
	if Status(3).Error() != "exit status 3" {
		t.Error(Status(3).Error())
	}
}
