package console

import (
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal says whether a person types what in reads.
func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
