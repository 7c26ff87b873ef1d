package output

import (
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

// IsTerminal says whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// coloured says whether text for w may have colours. A console of old Windows shows escape sequences as they are; Windows
// Terminal, which sets WT_SESSION, understands them.
func coloured(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" &&
		(runtime.GOOS != "windows" || os.Getenv("WT_SESSION") != "")
}

const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	plain  = "\x1b[0m"
)

func paint(w io.Writer, colour, s string) string {
	if !coloured(w) {
		return s
	}
	return colour + s + plain
}

// Problem marks what went wrong, for standard error.
func Problem(s string) string { return paint(os.Stderr, red, s) }

// Warning marks what deserves a look, for standard error.
func Warning(s string) string { return paint(os.Stderr, yellow, s) }

// Heading marks what the eye should find first on w.
func Heading(w io.Writer, s string) string { return paint(w, bold, s) }

// Aside marks what matters less on w.
func Aside(w io.Writer, s string) string { return paint(w, dim, s) }

// Good marks what is as it should be on w.
func Good(w io.Writer, s string) string { return paint(w, green, s) }
