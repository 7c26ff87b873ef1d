//go:build unix

package e2e

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Toolbox is a JVM that runs the tools of one set, one after the other: testdata/java/Tools.java. Not for concurrent use.
type Toolbox struct {
	set     string
	in      io.Writer
	answers chan string
	errs    *buffer
	stuck   bool // a call has not ended: the next answer would be its
}

// Printed is what a call of a tool did.
type Printed struct {
	Out, Errs string
	Status    int
}

// OpenTools starts a toolbox, which ends with the test.
func OpenTools(t testing.TB, set string) *Toolbox {
	t.Helper()
	Peers(t, set)
	command := java(t, set, filepath.Join(Root, "testdata", "java", "Tools.java"))
	cmd := exec.Command(command[0], append([]string{"-Djava.security.manager=allow", "--add-opens=java.base/java.lang=ALL-UNNAMED"}, command[1:]...)...)
	cmd.SysProcAttr, cmd.WaitDelay = attr(), 5*time.Second
	b := &Toolbox{set: set, answers: make(chan string), errs: &buffer{}}
	cmd.Stderr = b.errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.in = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.answers)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			b.answers <- line
		}
	}()
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		for range b.answers {
		}
		_ = cmd.Wait()
	})
	return b
}

// Run runs a tool to its end, with the given standard input.
func (b *Toolbox) Run(t testing.TB, limit time.Duration, stdin, tool string, args ...string) Printed {
	t.Helper()
	p, err := b.try(limit, stdin, classOf(t, b.set, tool), args)
	if err != nil {
		t.Fatalf("%s/%s %s: %v", b.set, tool, strings.Join(args, " "), err)
	}
	return p
}

func (b *Toolbox) try(limit time.Duration, stdin, class string, args []string) (Printed, error) {
	if b.stuck {
		return Printed{}, errors.New("a call before has not ended")
	}
	var line strings.Builder
	for i, word := range append([]string{class, stdin}, args...) {
		if i > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(base64.StdEncoding.EncodeToString([]byte(word)))
	}
	line.WriteByte('\n')
	if _, err := io.WriteString(b.in, line.String()); err != nil {
		return Printed{}, fmt.Errorf("%w\n%s", err, b.errs.tail(2000))
	}
	select {
	case answer, ok := <-b.answers:
		if !ok {
			return Printed{}, fmt.Errorf("the JVM has ended\n%s", b.errs.tail(2000))
		}
		return readAnswer(answer)
	case <-time.After(limit):
		b.stuck = true
		return Printed{}, fmt.Errorf("it still runs after %v", limit)
	}
}

func readAnswer(answer string) (p Printed, err error) {
	words := strings.Split(strings.TrimSuffix(answer, "\n"), " ")
	if len(words) != 3 {
		return p, fmt.Errorf("an answer of %d words", len(words))
	}
	var out, errs []byte
	p.Status, err = strconv.Atoi(words[0])
	if err == nil {
		out, err = base64.StdEncoding.DecodeString(words[1])
	}
	if err == nil {
		errs, err = base64.StdEncoding.DecodeString(words[2])
	}
	p.Out, p.Errs = string(out), string(errs)
	return p, err
}

// classOf finds the class of a tool in a set.
func classOf(t testing.TB, set, tool string) string {
	t.Helper()
	classes, err := os.ReadFile(filepath.Join(peersDir(), set, "classes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range tools[tool] {
		if strings.Contains(string(classes), "\n"+class+"\n") {
			return class
		}
	}
	t.Fatalf("there is no tool %s in %s", tool, set)
	return ""
}
