package tool

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"
)

func TestInclude(t *testing.T) {
	for _, c := range []struct {
		expression, name string
		want             bool
	}{
		{"test", "test", true}, {"test", "test2", false}, {"a,b", "b", true}, {"a, b", "b", true}, {"t.*", "test", true}, {`"t"`, "t", true}, {"a|b", "ab", false},
	} {
		f, err := Include(c.expression)
		if err != nil || f(c.name) != c.want {
			t.Errorf("%q for %q: %v", c.expression, c.name, err)
		}
	}
	if _, err := Include("("); err == nil {
		t.Error("( was accepted")
	}
}

func TestPairs(t *testing.T) {
	m, err := Pairs([]string{"a=b=c", " d = e "})
	if err != nil || m["a"] != "b=c" || m["d"] != "e" {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{"a", "=b", ""} {
		if _, err := Pairs([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestChecksSpeakOnce: only the first thing that is wrong is said.
func TestChecksSpeakOnce(t *testing.T) {
	cmd := &cobra.Command{Use: "kafka-x"}
	var b bytes.Buffer
	cmd.SetErr(&b)
	Switches(cmd.Flags(), map[string]string{"a": "", "b": "", "c": ""})
	if err := cmd.ParseFlags([]string{"--a", "--b"}); err != nil {
		t.Fatal(err)
	}
	k := Checks{Cmd: cmd}
	k.Excluded("c", "a")
	k.Excluded("a", "b")
	k.Required("c")
	if want := "Option \"[a]\" can't be used with option \"[b]\"\nSee kafka-x --help for the options.\n"; k.Err == nil || b.String() != want {
		t.Errorf("%v, %q", k.Err, b.String())
	}
	if _, err := Action(cmd, "a", "b", "c"); err == nil {
		t.Error("two actions")
	}
}
