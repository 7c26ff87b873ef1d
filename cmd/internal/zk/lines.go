package zk

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// lines reads the lines of a shell: with editing, history and completion from a terminal, and as they are from anything else. The
// terminal is raw only while a line is read, so that commands print and are interrupted as usual.
type lines struct {
	fd      int
	t       *term.Terminal // nil: no terminal
	scanner *bufio.Scanner
}

const lineMax = 4 << 20

// newLines reads from in. complete takes the words of the line so far, the last of which is begun, and returns what it may be.
func newLines(in io.Reader, out io.Writer, complete func(words []string) []string) *lines {
	l := &lines{}
	f, ok := in.(*os.File)
	o, ok2 := out.(*os.File)
	if !ok || !ok2 || !term.IsTerminal(int(f.Fd())) || !term.IsTerminal(int(o.Fd())) {
		l.scanner = bufio.NewScanner(in)
		l.scanner.Buffer(nil, lineMax)
		return l
	}
	l.fd = int(f.Fd())
	l.t = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "")
	l.t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return l.tab(line, pos, complete)
	}
	return l
}

// tab completes the word before pos. Of several possibilities it takes what they have in common, and else shows them.
func (l *lines) tab(line string, pos int, complete func([]string) []string) (string, int, bool) {
	words := split(line[:pos])
	if strings.HasSuffix(line[:pos], " ") && words[0] != "" {
		words = append(words, "")
	}
	begun := words[len(words)-1]
	found := complete(words)
	if len(found) == 0 || !strings.HasSuffix(line[:pos], begun) {
		return line, pos, true
	}
	whole := common(found)
	if len(found) == 1 && !strings.HasPrefix(whole, "/") {
		whole += " "
	}
	if whole == begun && len(found) > 1 {
		io.WriteString(l.t, strings.Join(found, "  ")+"\n")
		return line, pos, true
	}
	start := line[:pos-len(begun)] + whole
	return start + line[pos:], len(start), true
}

// common is what all begin with.
func common(all []string) string {
	first, last := slices.Min(all), slices.Max(all)
	n := 0
	for n < len(first) && n < len(last) && first[n] == last[n] {
		n++
	}
	return strings.ToValidUTF8(first[:n], "")
}

// read returns the next line, or io.EOF at the end.
func (l *lines) read(prompt string) (string, error) {
	if l.t == nil {
		if l.scanner.Scan() {
			return l.scanner.Text(), nil
		}
		if err := l.scanner.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
	state, err := term.MakeRaw(l.fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(l.fd, state) }()
	if w, h, err := term.GetSize(l.fd); err == nil && w > 0 && h > 0 { // it may have changed since the last line
		_ = l.t.SetSize(w, h)
	}
	l.t.SetPrompt(prompt)
	line, err := l.t.ReadLine()
	l.t.SetPrompt("")
	return line, err
}

// writer is where to print while lines are read: it keeps the line that is being edited below what is printed.
func (l *lines) writer(w io.Writer) io.Writer {
	if l.t == nil {
		return w
	}
	return l.t
}
