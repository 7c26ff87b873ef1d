package zk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"

	"ottla/cmd/internal/output"
	"ottla/coord"
	"ottla/coord/coordtest"
)

// call is a command with what it prints on standard output or, with a !, part of its error.
type call struct{ args, want string }

func runAll(t *testing.T, addr string, calls []call) {
	t.Helper()
	for _, c := range calls {
		out, _, err := run(t, addr, split(c.args)...)
		if part, isError := strings.CutPrefix(c.want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", c.args, err, part)
			}
		} else if d := cmp.Diff(c.want, out); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.args, err, d)
		}
	}
}

func TestTrees(t *testing.T) {
	addr := coordtest.Start(t, func(o *coord.Options) { o.Config.ExtendedTypes = true }).Addr().String()
	file := filepath.Join(t.TempDir(), "dump.json")
	runAll(t, addr, []call{
		{"create /a/b/c -p deep", "/a/b/c\n"},
		{"create /a/d text --acl world:anyone:cdrwa,digest:x:y:r", "/a/d\n"},
		{"create /a/e x --acl nonsense", "!want scheme:id:perms"},
		{"create /a/f -e", "!ottla zk shell"},
		{"ls -R /a", "/a/b\n/a/d\n/a/b/c\n"},
		{"count /a", "3\n"},
		{"count /nope", "!there is no node /nope"},
		{"find /a --data te", "/a/d\n"},
		{"find /a --name [bc]", "/a/b\n/a/b/c\n"},
		{"find /a --leaf --min-bytes 4", "/a/d\n/a/b/c\n"},
		{"find /a --name [", "!--name ["},
		{"find --owner x", "!--owner x"},
		{"cp /a /z", ""},
		{"cp /a /z", "!node /z exists already"},
		{"cp /a /a/b/x", "!is in /a itself"},
		{"cp /a /nope/a", "!there is no node /nope/a"},
		{"tree /z -d", "/z\n├── b\n│   └── c  deep\n└── d  text\n"},
		{"getacl /z/d", "SCHEME  ID      PERMISSIONS\nworld   anyone  cdrwa\ndigest  x:y     r\n"},
		{"mv /z /y", ""},
		{"ls", "a\ny\nzookeeper\n"},
		{"setacl -R /y world:anyone:rdaw", ""},
		{"getacl /y/b/c -o json", "{\n  \"acl\": [\n    \"world:anyone:drwa\"\n  ]\n}\n"},
		{"create /y/b/c/no", "!the ACL of /y/b/c/no does not allow"},
		{"delete -r /y", ""},
		{"quota get /a", "!/a has no quota; `ottla zk quota set /a`"},
		{"quota set /a -n 10 -B 100", ""},
		{"quota get /a", "OF     USED  SOFT  HARD\nnodes     4    10     -\nbytes     8     -   100\n"},
		{"quota set /a/b -n 10", "!/a/b has a parent /a which has a quota"},
		{"quota delete /a", ""},
		{"quota delete /a", "!/a has no quota"},
		{"ls /zookeeper/quota", ""},
		{"config", ""},
		{"reconfig --add 1=a:1:2;3", "!disabled"},
		{"sync /a", ""},
		{"ephemerals", ""},
		{"whoami", "SCHEME       USER\nip      127.0.0.1\n"},
		{"whoami --auth digest:bob:secret", "SCHEME  USER\nip      127.0.0.1\ndigest  bob\n"},
	})
	out, errs, err := run(t, addr, "dump", "/a")
	if err != nil || errs != "" || os.WriteFile(file, []byte(out), 0o600) != nil {
		t.Fatalf("%v, %s", err, errs)
	}
	runAll(t, addr, []call{
		{"load " + file, "!4 of 4 nodes are there already, for example /a; nothing was changed. --overwrite"},
		{"load " + file + " /x/y --dry-run", ""},
		{"ls /x", "!there is no node /x"},
		{"load " + file + " /x/y", ""},
		{"tree /x -d", "/x\n└── y\n    ├── b\n    │   └── c  deep\n    └── d  text\n"},
		{"set /x/y/d other", ""},
		{"delete /x/y/b/c", ""},
		{"load " + file + " /x/y --overwrite", ""},
		{"tree /x -d", "/x\n└── y\n    ├── b\n    │   └── c  deep\n    └── d  text\n"},
		{"load /no/such/file", "!no such file"},
	})
	again, _, err := run(t, addr, "dump", "/x/y")
	if err != nil || strings.Replace(again, `"/x/y"`, `"/a"`, 1) != out {
		t.Errorf("a dump of what was loaded differs: %v\n%s", err, cmp.Diff(out, again))
	}
	for name, text := range map[string]string{
		"another format": `{"format":"x","version":1}`, "no JSON": "nodes", "an illegal path": `{"format":"ottla-zk-dump","version":1,"root":"/l","nodes":[{"path":"/../x","acl":["world:anyone:r"]}]}`,
		"no ACL": `{"format":"ottla-zk-dump","version":1,"root":"/l","nodes":[{"path":"/"}]}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := run(t, addr, "load", file); err == nil {
			t.Errorf("%s was loaded", name)
		}
	}
}

// TestLoadKinds: containers, times to live and binary data.
func TestLoadKinds(t *testing.T) {
	addr := coordtest.Start(t, func(o *coord.Options) { o.Config.ExtendedTypes = true }).Addr().String()
	file := filepath.Join(t.TempDir(), "dump.json")
	const text = `{"format":"ottla-zk-dump","version":1,"root":"/k","nodes":[
		{"path":"/","data":null,"acl":["world:anyone:cdrwa"],"container":true},
		{"path":"/t","dataBase64":"//4=","acl":["world:anyone:cdrwa"],"ttlMs":3600000},
		{"path":"/p","data":"","acl":["world:anyone:cdrwa"]}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := run(t, addr, "load", file); err != nil || errs != "3 nodes made, 0 changed, 3 transactions\n" {
		t.Fatalf("%v, %q", err, errs)
	}
	tree := connect(t, addr)
	for path, want := range map[string][]byte{"/k": nil, "/k/t": {0xff, 0xfe}, "/k/p": {}} {
		data, _, err := tree.Get(path)
		if err != nil || string(data) != string(want) || (data == nil) != (want == nil) {
			t.Errorf("%s: %v, %v", path, data, err)
		}
	}
}

// TestLargeTree: what takes several transactions says so, and a subtree that changes is not moved.
func TestLargeTree(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	var ops []any
	ops = append(ops, &zk.CreateRequest{Path: "/big", Acl: open})
	const nodes = batchMax + 10
	for i := range nodes {
		ops = append(ops, &zk.CreateRequest{Path: fmt.Sprintf("/big/%04d", i), Data: []byte("x"), Acl: open})
	}
	if err := runBatches(tree, batches(ops)); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := run(t, addr, "mv", "/big", "/moved"); err != nil || !strings.Contains(errs, fmt.Sprintf("moved %d nodes in 4 transactions, each atomic, the whole not", nodes+1)) {
		t.Errorf("%v, %q", err, errs)
	}
	runAll(t, addr, []call{{"ls", "moved\nzookeeper\n"}, {"count /moved", fmt.Sprintln(nodes)}, {"delete -r /moved -b 7", ""}, {"ls", "zookeeper\n"}})

	p := func() *plan {
		if _, err := tree.Create("/s", nil, 0, open); err != nil {
			t.Fatal(err)
		}
		p, err := planCopy(tree, "/s", "/t")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}()
	if _, err := tree.Set("/s", []byte("new"), -1); err != nil {
		t.Fatal(err)
	}
	if err := runBatches(tree, batches(append(p.creates, p.deletes...))); !errors.Is(err, zk.ErrBadVersion) {
		t.Errorf("a node that changed was moved: %v", err)
	}
	runAll(t, addr, []call{{"ls", "s\nzookeeper\n"}})
	if _, err := tree.Create("/s/e", nil, zk.FlagEphemeral, open); err != nil {
		t.Fatal(err)
	}
	runAll(t, addr, []call{{"mv /s /t", "!/s/e belongs to a session"}, {"cp /s /t", ""}, {"ls /t", ""}, {"find --ephemeral", "/s/e\n"}})
	out, _, err := run(t, addr, "sessions", "-o", "json")
	var rows []sessionRow
	if err != nil || json.Unmarshal([]byte(out), &rows) != nil || len(rows) != 1 || rows[0].ID != fmt.Sprintf("0x%x", tree.SessionID()) ||
		!cmp.Equal(rows[0].Ephemerals, []string{"/s/e"}) || rows[0].TimeoutMs != 30000 {
		t.Errorf("sessions: %v, %s", err, out)
	}
}

// TestAdminSessions: the answers are those of ZooKeeper 3.9.4.
func TestAdminSessions(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/commands/connections":
			io.WriteString(w, `{"connections":[{"remote_socket_address":"127.0.0.1:5000","session_id":72057594037927937,"session_timeout":30000,"packets_received":3,"packets_sent":2,"last_operation":"PING"}],"secure_connections":[],"error":null}`)
		case "/commands/dump":
			io.WriteString(w, `{"session_id_to_ephemeral_paths":{"72057594037927937":["/e"],"72057594037927938":["/f"]},"error":null}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer admin.Close()
	defer http.DefaultClient.CloseIdleConnections()
	runAll(t, "localhost:1", []call{
		{"sessions --admin " + admin.URL, "SESSION            SERVER  CLIENT          TIMEOUT  LAST  EPHEMERALS\n" +
			"0x100000000000001       -  127.0.0.1:5000  30s      PING  /e\n0x100000000000002       -  -               0s       -     /f\n"},
		{"sessions --admin " + admin.URL + "/x", "!404"},
	})
}

func TestInteractive(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	cmd := Command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var o, e locked
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetIn(strings.NewReader("create -e /e \"two words\"\nephemerals\n\n# no command\nget /e\nget -w /e\nset /e x\nredo 3\naddauth digest a:b\nwhoami -o json\nfrob\nhistory\nsessions\nremovewatches /e\nremovewatches /e\nquit\nls\n"))
	cmd.SetArgs([]string{"shell", "-z", addr})
	err := cmd.ExecuteContext(context.Background())
	var status output.Status
	if !errors.As(err, &status) {
		t.Errorf("the last command failed, and the shell returned %v", err)
	}
	for _, part := range []string{"/e\n/e\ntwo words\ntwo words\nx\n", "\"user\": \"a\"", "0  create -e /e"} {
		if !strings.Contains(o.String(), part) {
			t.Errorf("%q is missing in %q", part, o.String())
		}
	}
	for _, part := range []string{"watch: changed /e\n", "unknown command \"frob\"", "there is no watch on /e"} {
		if !strings.Contains(e.String(), part) {
			t.Errorf("%q is missing in %q", part, e.String())
		}
	}
}

func TestWatchTree(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	done := make(chan string, 1)
	go func() {
		out, _, err := run(t, addr, "watch", "-R", "/w", "-n", "5")
		done <- fmt.Sprint(out, err)
	}()
	await(t, func() error {
		n, err := watchCount(addr)
		if err == nil && n == 0 {
			err = errors.New("no watch")
		}
		return err
	})
	if _, err := multi(tree, []any{
		&zk.CreateRequest{Path: "/w", Acl: open}, &zk.CreateRequest{Path: "/w/a", Data: []byte("1"), Acl: open}, &zk.CreateRequest{Path: "/wx", Acl: open},
		&zk.CreateRequest{Path: "/w/a/b", Acl: open}, &zk.DeleteRequest{Path: "/w/a/b", Version: -1}, &zk.SetDataRequest{Path: "/w/a", Data: []byte("2"), Version: -1},
	}); err != nil {
		t.Fatal(err)
	}
	if got, want := <-done, "created /w\ncreated /w/a 2\ncreated /w/a/b\ndeleted /w/a/b\nchanged /w/a 2\n<nil>"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestComplete(t *testing.T) {
	addr := coordtest.Start(t).Addr().String()
	tree := connect(t, addr)
	for _, p := range []string{"/app", "/apple", "/app/x"} {
		if _, err := tree.Create(p, nil, 0, open); err != nil {
			t.Fatal(err)
		}
	}
	l := newLines(strings.NewReader(""), nil, nil)
	s := &shell{t: tree}
	for line, want := range map[string]string{
		"ls /z": "ls /zookeeper", "ls /a": "ls /app", "ls /app/": "ls /app/x", "getAl": "getAllChildrenNumber ", "ls /q": "ls /q",
	} {
		if got, pos, ok := l.tab(line, len(line), s.complete); got != want || pos != len(want) || !ok {
			t.Errorf("%q: %q, %d", line, got, pos)
		}
	}
	i := &interaction{t: tree, ctx: context.Background()}
	if d := cmp.Diff([]string{"quit", "quota"}, i.complete([]string{"qu"})); d != "" {
		t.Error(d)
	}
}
