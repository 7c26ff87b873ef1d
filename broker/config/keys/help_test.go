package keys

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestHelp(t *testing.T) {
	var b bytes.Buffer
	for _, table := range []*Table{Broker, Topic} {
		if err := WriteHelp(&b, table, Low); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteMarkdown(&b, Topic); err != nil {
		t.Fatal(err)
	}
	const name = "../../../testdata/config/help.txt"
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("run go test -update if this is meant:\n%s", d)
	}
	var high, all bytes.Buffer
	_ = WriteHelp(&high, Broker, High)
	_ = WriteHelp(&all, Broker, Low)
	if high.Len() == 0 || high.Len() >= all.Len() {
		t.Errorf("%d bytes of the most important keys, %d of all", high.Len(), all.Len())
	}
}
