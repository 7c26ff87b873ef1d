//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// TestCrossCheck: kazoo's recipes and go-zookeeper's operations go to ZooKeeper 3.9 and to our coordinator at once, and the two do
// not differ.
func TestCrossCheck(t *testing.T) {
	lines := []string{"extendedTypesEnabled=true"}
	theirs, ours := ZooKeeper(t, lines...), Coordinator(t, lines...)
	address := fmt.Sprint("127.0.0.1:", FreePort(t))
	dir := t.TempDir()
	found := filepath.Join(dir, "found")
	proxy := Start(t, dir, "xcheck", "sh", "-c", `exec "$0" "$@" > found`, Binary(t), "zk", "xcheck", "--a", theirs.Address, "--b", ours.Address, "--listen", address, "-o", "json")
	Await(t, 10*time.Second, "the proxy listens", Listening(proxy, address))
	Run(t, time.Minute, "", Python(t, "recipes.py", address)...)
	crossOperations(t, address)
	proxy.Signal(syscall.SIGTERM)
	_ = proxy.Wait(10 * time.Second) // its status says whether there were differences, and so does what it printed
	out, err := os.ReadFile(found)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range all[:len(all)-1] {
		t.Errorf("they differ: %s", line)
	}
	var sum struct{ Connections, Requests, Events, Differences int }
	if err := json.Unmarshal([]byte(all[len(all)-1]), &sum); err != nil || sum.Connections < 4 || sum.Requests < 100 || sum.Events < 5 {
		t.Errorf("too little went through: %v, %+v", err, sum)
	}
	t.Logf("%+v", sum)
}

// crossOperations is every operation of go-zookeeper, right and wrong. Errors are the servers' matter: they are compared.
func crossOperations(t *testing.T, address string) {
	t.Helper()
	c, events, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for ev := range events {
		if ev.State == zk.StateHasSession {
			break
		}
	}
	open := zk.WorldACL(zk.PermAll)
	for _, path := range []string{"/g", "/g/a", "/nope/a", "/g"} {
		_, _ = c.Create(path, []byte("data"), 0, open)
	}
	for flags := range int32(4) {
		_, _ = c.Create("/g/s", nil, flags, open)
	}
	_, _ = c.Create("/g/acl", nil, 0, nil)
	_, _ = c.CreateContainer("/g/c", nil, zk.FlagContainer, open)
	_, _ = c.CreateTTL("/g/t", nil, zk.FlagTTL, open, time.Hour)
	_ = c.AddAuth("digest", []byte("u:p"))
	_, _ = c.SetACL("/g/a", zk.DigestACL(zk.PermRead|zk.PermAdmin, "u", "p"), 0)
	_, _ = c.SetACL("/g/a", open, 7)
	for _, path := range []string{"/", "/g", "/g/a", "/nope", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"} {
		_, _, _ = c.Get(path)
		_, _, _ = c.Exists(path)
		_, _, _ = c.Children(path)
		_, _, _ = c.GetACL(path)
		_, _ = c.Sync(path)
	}
	_, _, _, _ = c.ChildrenW("/g")
	_, _, _, _ = c.GetW("/g/c")
	_, _, _, _ = c.ExistsW("/g/new")
	for _, version := range []int32{-1, 0, 1, 9} {
		_, _ = c.Set("/g", []byte{0xff}, version)
	}
	_, _ = c.Set("/g/a", nil, -1)
	_, _ = c.Set("/nope", nil, -1)
	_, _ = c.Multi(&zk.CreateRequest{Path: "/g/new", Acl: open}, &zk.SetDataRequest{Path: "/g/new", Version: 0}, &zk.CheckVersionRequest{Path: "/g/new", Version: 1},
		&zk.CreateRequest{Path: "/g/new/s", Flags: zk.FlagSequence, Acl: open}, &zk.DeleteRequest{Path: "/g/c", Version: -1})
	_, _ = c.Multi(&zk.CreateRequest{Path: "/g/no", Acl: open}, &zk.CheckVersionRequest{Path: "/g", Version: 99}, &zk.DeleteRequest{Path: "/g/no"})
	_, _ = c.Multi()
	_, _ = c.IncrementalReconfig([]string{"1=a:1:2"}, nil, -1)
	for _, path := range []string{"/g", "/g/a", "/zookeeper", "/", "/nope", "/g/t"} {
		_ = c.Delete(path, -1)
		_ = c.Delete(path, 8)
	}
	if _, _, err := c.Get("/g/new"); err != nil {
		t.Errorf("the operations did not do their job: %v", err)
	}
}
