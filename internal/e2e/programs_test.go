//go:build unix

package e2e

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// TestBookKeeper lets Apache BookKeeper do its work on both coordinators: bookies register, a ledger is written while one of its bookies
// dies and the coordinator is killed, closed, read back by another client, and deleted.
func TestBookKeeper(t *testing.T) {
	if !Long() {
		t.Skip("five JVMs on two cores: in the long form only")
	}
	Peers(t, "bookkeeper")
	coordinators(t, func(t *testing.T, coord *Server) {
		service := "zk+null://" + coord.Address + "/ledgers"
		conf := func(dir string, port int) string {
			path := filepath.Join(dir, "bk.conf")
			writeProperties(t, path, "metadataServiceUri="+service, "zkTimeout=6000", fmt.Sprint("bookiePort=", port), "advertisedAddress=127.0.0.1",
				"allowLoopback=true", "listeningInterface=lo", "httpServerEnabled=false", "journalDirectories="+filepath.Join(dir, "journal"), "ledgerDirectories="+filepath.Join(dir, "ledgers"),
				"dbStorage_writeCacheMaxSizeMb=16", "dbStorage_readAheadCacheMaxSizeMb=16", "diskUsageThreshold=0.99", "journalMaxSizeMB=64", "journalPreAllocSizeMB=4")
			return path
		}
		Run(t, time.Minute, "", java(t, "bookkeeper", "org.apache.bookkeeper.bookie.BookieShell", "-conf", conf(t.TempDir(), 3181), "metaformat", "-nonInteractive", "-force")...)
		c := connect(t, coord.Address)
		bookies := map[string]*Process{}
		for range 3 {
			dir, port := t.TempDir(), FreePort(t)
			bookies[fmt.Sprint("127.0.0.1:", port)] = Start(t, dir, fmt.Sprint("bookie ", port), java(t, "bookkeeper", "org.apache.bookkeeper.server.Main", "--conf", conf(dir, port))...)
		}
		available := func(n int) func() error {
			return func() error {
				names, err := bookiesOf(c)
				if err == nil && len(names) != n {
					err = fmt.Errorf("%v are registered", names)
				}
				return err
			}
		}
		Await(t, time.Minute, "three bookies are registered", available(3))

		w := startLedger(t, service)
		w.progress(t, 200)
		coord.Kill()
		coord.Restart(t)
		w.progress(t, 200)
		victim := w.bookie(t, c)
		bookies[victim].Kill()
		Await(t, time.Minute, "its registration vanishes", available(2))
		w.progress(t, 200)
		coord.Kill()
		coord.Restart(t)
		Await(t, time.Minute, "two bookies are registered", available(2))
		w.progress(t, 200)
		Result(t, "BookKeeper on %s: %s", t.Name(), w.end(t))
	})
}

func bookiesOf(c *zk.Conn) (names []string, err error) {
	all, _, err := c.Children("/ledgers/available")
	for _, name := range all {
		if name != "readonly" {
			names = append(names, name)
		}
	}
	return names, err
}

// ledgerWriter is a running testdata/java/Ledger.java.
type ledgerWriter struct {
	in  io.Writer
	out *buffer
	cmd *exec.Cmd
}

func startLedger(t *testing.T, service string) *ledgerWriter {
	t.Helper()
	command := java(t, "bookkeeper", filepath.Join(Root, "testdata", "java", "Ledger.java"), service)
	l := &ledgerWriter{cmd: exec.Command(command[0], command[1:]...), out: &buffer{}}
	l.cmd.Stdout, l.cmd.Stderr, l.cmd.SysProcAttr, l.cmd.WaitDelay = l.out, l.out, attr(), 5*time.Second
	in, err := l.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.in = in
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
		if t.Failed() {
			t.Log(l.out.tail(3000))
		}
	})
	return l
}

// ask sends a line, and waits for an answer that matches and was not there before.
func (l *ledgerWriter) ask(t *testing.T, line, answer string) string {
	t.Helper()
	before := len(l.out.String())
	if _, err := io.WriteString(l.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	var got string
	Await(t, 2*time.Minute, "an answer to "+line, func() error {
		if got = regexp.MustCompile(answer).FindString(l.out.String()[before:]); got == "" {
			return fmt.Errorf("nothing yet in %q", last(l.out.String(), 500))
		}
		return nil
	})
	return strings.TrimSuffix(got, "\n")
}

// progress waits until n more entries are acknowledged.
func (l *ledgerWriter) progress(t *testing.T, n int) {
	t.Helper()
	acked := func() int {
		k, err := strconv.Atoi(strings.TrimPrefix(l.ask(t, "n", `acked [0-9]+\n`), "acked "))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	goal := acked() + n
	Await(t, time.Minute, fmt.Sprint(n, " more entries"), func() error {
		if now := acked(); now < goal {
			return fmt.Errorf("%d are missing", goal-now)
		}
		return nil
	})
}

// bookie is one that the ledger is written to.
func (l *ledgerWriter) bookie(t *testing.T, c *zk.Conn) string {
	t.Helper()
	id := regexp.MustCompile(`ledger ([0-9]+)`).FindStringSubmatch(l.out.String())
	if id == nil {
		t.Fatalf("no ledger in %q", l.out.String())
	}
	n, err := strconv.Atoi(id[1])
	if err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("%010d", n)
	data, _, err := c.Get(fmt.Sprintf("/ledgers/%s/%s/L%s", s[:2], s[2:6], s[6:]))
	if err != nil {
		t.Fatal(err)
	}
	bookie := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindString(string(data))
	if bookie == "" {
		t.Fatalf("no bookie in %q", data)
	}
	return bookie
}

// end closes the ledger and has it read back.
func (l *ledgerWriter) end(t *testing.T) string {
	return l.ask(t, "end", `read [0-9]+ entries, [2-9] ensembles\n`)
}
