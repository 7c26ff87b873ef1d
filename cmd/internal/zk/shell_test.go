package zk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ottla/cmd/internal/output"
	"ottla/coord/coordtest"
)

// watchCount asks a server how many watches there are.
func watchCount(addr string) (int, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "mntr"); err != nil {
		return 0, err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), "zk_watch_count\t")
	line, _, _ := strings.Cut(after, "\n")
	return strconv.Atoi(strings.TrimSpace(line))
}

func shellRun(t *testing.T, stdin string, args ...string) (out, errs string, status int) {
	t.Helper()
	cmd := Shell()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(args)
	var s output.Status
	if err := cmd.ExecuteContext(context.Background()); errors.As(err, &s) {
		status = int(s)
	} else if err != nil {
		t.Error(err)
	}
	return o.String(), e.String(), status
}

const connected = "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n"

// TestShell: what is printed is ZooKeeper's; internal/e2e compares it with the real one.
func TestShell(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	head := "Connecting to " + addr + "\n" + connected
	for _, c := range []struct {
		args      string
		out, errs string
		status    int
	}{
		{"ls /", "[zookeeper]\n", "", 0},
		{"create /a hello", "", "Created /a\n", 0},
		{"create /a hello", "", "Node already exists: /a\n", 1},
		{"create -s /a/n x", "", "Created /a/n0000000000\n", 0},
		{"create -e /e", "", "Created /e\n", 0},
		{"get /e", "", "Node does not exist: /e\n", 1},
		{"get /a", "hello\n", "", 0},
		{"get /a/n0000000000", "x\n", "", 0},
		{"get /nope", "", "Node does not exist: /nope\n", 1},
		{"set /a new", "", "", 0},
		{"set -v 0 /a new", "", "version No is not valid : /a\n", 1},
		{"set /a", "", "set path data [-s] [-v version] [-b]\n", 1},
		{"delete /a", "", "Node not empty: /a\n", 1},
		{"ls -R /a", "/a\n/a/n0000000000\n", "", 0},
		{"ls a", "", "Path must start with / character\n", 1},
		{"ls /a/", "", "Path must not end with / character\n", 1},
		{"ls -x /a", "", "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: -x\n", 1},
		{"getAcl /a", "'world,'anyone\n: cdrwa\n", "", 0},
		{"setAcl /a world:anyone:r", "", "", 0},
		{"getAcl /a", "'world,'anyone\n: r\n", "", 0},
		{"set /a x", "", "Insufficient permission : /a\n", 1},
		{"deleteall /a", "", "Failed to delete some node(s) in the subtree!\n", 0},
		{"sync /a", "Sync is OK\n", "", 0},
		{"quit", "", "", 0},
	} {
		out, errs, status := shellRun(t, "", append([]string{addr}, strings.Fields(c.args)...)...)
		if d := cmp.Diff(head+c.out, out); d != "" || errs != c.errs || status != c.status {
			t.Errorf("%s: status %d, %q\n%s", c.args, status, errs, d)
		}
	}
	if _, errs, status := shellRun(t, "", addr, "frob", "/a"); status != 127 || !strings.HasSuffix(errs, "Command not found: Command not found frob\n") {
		t.Errorf("an unknown command: %d, %q", status, errs)
	}
}

func TestShellFromStandardInput(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	out, errs, status := shellRun(t, "create /q \"two words\"\n\n get  '/q' \nget -w /q\nset /q x\nls -s /q\nfrob\nget /gone\nhistory\nquit\nls /\n", addr)
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, part := range []string{
		"Welcome to ZooKeeper!\nJLine support is disabled\n" + connected + "two words\ntwo words\n",
		"[]\ncZxid = 0x", "dataVersion = 1\n", "0 - create /q \"two words\"\n1 - get  '/q'\n",
		"WatchedEvent state:SyncConnected type:NodeDataChanged path:/q\n",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing in %q", part, out)
		}
	}
	if !strings.HasSuffix(out, "\nWATCHER::\n\nWatchedEvent state:Closed type:None path:null\n") {
		t.Errorf("it ends with %q", out[max(0, len(out)-100):])
	}
	for _, part := range []string{"Created /q\n", "Command not found: Command not found frob\n", "Node does not exist: /gone\n"} {
		if !strings.Contains(errs, part) {
			t.Errorf("%q is missing in %q", part, errs)
		}
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"ls /":                  {"ls", "/"},
		`set /a "b  c" 'd "e"'`: {"set", "/a", "b  c", `d "e"`},
		`create /a ""`:          {"create", "/a", ""},
		`get "/a`:               {"get", "/a"},
		"":                      {""},
	} {
		if d := cmp.Diff(want, split(line)); d != "" {
			t.Errorf("%q: %s", line, d)
		}
	}
}

func TestParseACL(t *testing.T) {
	got, faults := parseACL("world:anyone:cdrwa,digest:bob:hash=:r")
	if len(faults) != 0 || len(got) != 2 || got[0].Perms != 31 || got[1].ID != "bob:hash=" || got[1].Perms != 1 {
		t.Errorf("%+v, %v", got, faults)
	}
	for _, bad := range []string{"world", "world:anyone", "world:anyone:x", "world:anyone:r,"} {
		if _, faults := parseACL(bad); len(faults) != 1 {
			t.Errorf("%q: %q", bad, faults)
		}
	}
}

func TestNumber(t *testing.T) {
	for name, want := range map[string]int64{"_c_ab-lock-0000000042": 42, "lock-0000000001": 1, "short": -1, "not-a-number": -1} {
		n, ok := number(name)
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%s: %d", name, n)
		}
	}
}
