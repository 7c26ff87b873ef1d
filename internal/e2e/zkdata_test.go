//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
)

const zkSuper = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=" // super:test

// zkTree is every node as super sees it: data, access control and all of its stat.
func zkTree(t *testing.T, address string) map[string]string {
	t.Helper()
	c, _, err := zk.Connect([]string{address}, 30*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.AddAuth("digest", []byte("super:test")); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{}
	var walk func(path string)
	walk = func(path string) {
		data, stat, err := c.Get(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		acl, _, err := c.GetACL(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		nodes[path] = fmt.Sprintf("%q (null %v) %v %+v", data, data == nil, acl, *stat)
		children, _, err := c.Children(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, child := range children {
			walk(strings.TrimSuffix(path, "/") + "/" + child)
		}
	}
	walk("/")
	return nodes
}

// zkSessions are the session ids of dump, but for the one that asks.
func zkSessions(t *testing.T, address string) map[string]bool {
	t.Helper()
	a, err := FourLetter(address, "dump")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	section, _, _ := strings.Cut(a, "ephemeral nodes dump:")
	for _, l := range strings.Split(section, "\n") {
		if id := strings.TrimSpace(l); strings.HasPrefix(id, "0x") {
			ids[id] = true
		}
	}
	return ids
}

// A ZooKeeper is killed under load. Its data is imported, served by us, exported and served by another ZooKeeper: node for node the same, and
// the sessions live on.
func TestZooKeeperDataThereAndBack(t *testing.T) {
	lines := []string{zkSuper, "4lw.commands.whitelist=*", "snapCount=200", "extendedTypesEnabled=true", "maxSessionTimeout=600000"}
	data := t.TempDir()
	first := ZooKeeper(t, append(lines, "dataDir="+data)...)
	var (
		acked   sync.Map // path -> data
		total   atomic.Int64
		writers sync.WaitGroup
		clients []*zk.Conn
	)
	for w := range 4 {
		c, _, err := zk.Connect([]string{first.Address}, 10*time.Minute, zk.WithLogInfo(false))
		if err != nil {
			t.Fatal(err)
		}
		c.SetLogger(quiet{})
		clients = append(clients, c)
		if err := c.AddAuth("digest", fmt.Appendf(nil, "user%d:pw", w)); err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			root := fmt.Sprint("/w", w)
			if _, err := c.Create(root, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
				return
			}
			for i := 0; ; i++ {
				path, flags, acl := fmt.Sprintf("%s/%d", root, i), int32(0), zk.WorldACL(zk.PermAll)
				data := strings.Repeat("x", i%300)
				switch i % 7 {
				case 1:
					flags = zk.FlagEphemeral
				case 2:
					acl = zk.AuthACL(zk.PermAll)
				}
				var err error
				switch {
				case i%11 == 10:
					_, err = c.Multi(&zk.CreateRequest{Path: path, Data: []byte(data), Acl: acl}, &zk.SetDataRequest{Path: root, Data: []byte(path), Version: -1})
				default:
					_, err = c.Create(path, []byte(data), flags, acl)
				}
				if err != nil {
					return
				}
				acked.Store(path, data)
				total.Add(1)
				if i%5 == 4 {
					old := fmt.Sprintf("%s/%d", root, i-2)
					acked.Delete(old)
					if c.Delete(old, -1) != nil {
						return
					}
				}
			}
		})
	}
	Await(t, time.Minute, "the load has made 2000 writes", func() error {
		if n := total.Load(); n < 2000 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	first.Kill()
	for _, c := range clients {
		c.Close() // the server does not hear of it, so the sessions live on
	}
	writers.Wait()
	ottla := func(args ...string) string {
		return Run(t, time.Minute, t.TempDir(), append([]string{Binary(t)}, args...)...)
	}
	ours := t.TempDir()
	override := "--override=dataDir=" + ours
	out := ottla("coordinator", "import", data, override, "--dry-run")
	if _, err := os.Stat(filepath.Join(ours, "meta")); err == nil {
		t.Error("a dry run has written")
	}
	t.Log(out)
	ottla("coordinator", "import", data, override)
	dir := t.TempDir()
	ottla("coordinator", "export", dir, override)

	// The original directory, our import and our export, each served by its server.
	first.Restart(t)
	want := zkTree(t, first.Address)
	wantSessions := zkSessions(t, first.Address)
	back := ZooKeeper(t, append(lines, "dataDir="+dir)...)
	if diff := cmp.Diff(want, zkTree(t, back.Address)); diff != "" {
		t.Errorf("after import and export (-before +after):\n%.3000s", diff)
	}
	middle := Coordinator(t, append(lines[:1:1], "dataDir="+ours, "4lw.commands.whitelist=*", "maxSessionTimeout=600000")...)
	if diff := cmp.Diff(want, zkTree(t, middle.Address)); diff != "" {
		t.Errorf("after import (-before +after):\n%.3000s", diff)
	}
	for id := range wantSessions {
		if got := zkSessions(t, back.Address); !got[id] && len(wantSessions) >= 4 {
			t.Errorf("session %s is missing from %v", id, got)
			break
		}
	}
	if len(want) < 1000 || len(wantSessions) < 4 {
		t.Errorf("only %d nodes and %d sessions", len(want), len(wantSessions))
	}
	acked.Range(func(path, data any) bool {
		if got, ok := want[path.(string)]; ok && !strings.HasPrefix(got, fmt.Sprintf("%q ", data)) {
			t.Errorf("%s is %.80s", path, got)
		}
		return true
	})
}
