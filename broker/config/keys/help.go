package keys

import (
	"fmt"
	"io"
	"strings"
)

// WriteHelp prints the documented keys of a table up to an importance: High prints the most important alone, Low all.
func WriteHelp(w io.Writer, t *Table, upTo Importance) error {
	for _, k := range t.All() {
		if k.Internal && !k.Own || k.Importance > upTo {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s (%s)\n    %s\n", k.Name, strings.Join(k.facts(t), ", "), k.Doc); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdown prints all documented keys of a table as one Markdown table.
func WriteMarkdown(w io.Writer, t *Table) error {
	if _, err := fmt.Fprint(w, "| key | type | default | values | changes | meaning |\n|---|---|---|---|---|---|\n"); err != nil {
		return err
	}
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, k := range t.All() {
		if k.Internal && !k.Own {
			continue
		}
		def := "`" + cell.Replace(k.Default) + "`"
		if k.Null || k.Default == "" {
			def = ""
		}
		changes := k.Mode.String()
		if t == Topic {
			changes = "any time"
		}
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, strings.ToLower(k.Type.String()), def, cell.Replace(k.RangeText()), changes, cell.Replace(k.Doc)); err != nil {
			return err
		}
	}
	return nil
}

// facts are what is to be known of a key besides its documentation.
func (k Key) facts(t *Table) []string {
	f := []string{strings.ToLower(k.Type.String())}
	switch {
	case k.Null:
	case k.Default == "":
		f = append(f, "default empty")
	default:
		f = append(f, "default "+k.Default)
	}
	if r := k.RangeText(); r != "" {
		f = append(f, r)
	}
	if t != Topic && k.Mode != ReadOnly {
		f = append(f, k.Mode.String())
	}
	if len(k.Synonyms) > 0 {
		f = append(f, "from "+strings.Join(k.Synonyms, " or "))
	}
	return f
}
