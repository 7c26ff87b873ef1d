//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
)

// node is what is compared of a znode: everything but times and zxids.
type node struct {
	Null      bool
	Data      string // JSON with sorted keys, volatile values replaced; else text
	ACL       string
	Ephemeral bool
	Version   string
	Cversion  string
	Aversion  string
	Children  string
}

// volatile are values inside data that differ between any two runs.
var volatile = []struct {
	in  *regexp.Regexp
	out string
}{
	{regexp.MustCompile(`"timestamp":"\d+"`), `"timestamp":"<ms>"`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), `127.0.0.1:<port>`},
	{regexp.MustCompile(`"port":\d+`), `"port":"<port>"`},
	{regexp.MustCompile(`"topic_id":"[\w-]{22}"`), `"topic_id":"<id>"`},
	{regexp.MustCompile(`"id":"[\w-]{22}"`), `"id":"<id>"`},
}

func normal(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		if b, err := json.Marshal(v); err == nil {
			text = string(b)
		}
	}
	for _, r := range volatile {
		text = r.in.ReplaceAllString(text, r.out)
	}
	return text
}

// recorded reads a tree that was recorded from Apache Kafka 3.9.
func recorded(t *testing.T, name string) map[string]node {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Root, "testdata", "znodes", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Path string
		Text string
		Null bool
		ACL  []struct {
			Scheme, ID string
			Perms      int32
		}
		Stat map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	tree := map[string]node{}
	for _, r := range rows {
		stat := func(k string) string { return strings.Trim(string(r.Stat[k]), `"`) }
		n := node{Null: r.Null, Data: normal(r.Text), Ephemeral: stat("ephemeralOwner") != "0" && stat("ephemeralOwner") != "0x0",
			Version: stat("version"), Cversion: stat("cversion"), Aversion: stat("aversion"), Children: stat("numChildren")}
		for _, a := range r.ACL {
			n.ACL += fmt.Sprintf("%s:%s:%d ", a.Scheme, a.ID, a.Perms)
		}
		tree[r.Path] = n
	}
	return tree
}

// dump reads the whole tree of a server.
func dump(t *testing.T, c *zk.Conn) map[string]node {
	t.Helper()
	tree := map[string]node{}
	var walk func(p string)
	walk = func(p string) {
		data, s, err := c.Get(p)
		if err == zk.ErrNoNode {
			return // it vanished meanwhile
		}
		if err != nil {
			t.Fatalf("get %s: %v", p, err)
		}
		acl, _, err := c.GetACL(p)
		if err != nil {
			t.Fatalf("getACL %s: %v", p, err)
		}
		n := node{Null: data == nil, Data: normal(string(data)), Ephemeral: s.EphemeralOwner != 0,
			Version: strconv.Itoa(int(s.Version)), Cversion: strconv.Itoa(int(s.Cversion)), Aversion: strconv.Itoa(int(s.Aversion)), Children: strconv.Itoa(int(s.NumChildren))}
		for _, a := range acl {
			n.ACL += fmt.Sprintf("%s:%s:%d ", a.Scheme, a.ID, a.Perms)
		}
		tree[p] = n
		names, _, err := c.Children(p)
		if err != nil {
			t.Fatalf("children of %s: %v", p, err)
		}
		for _, name := range names {
			walk(path.Join(p, name))
		}
	}
	walk("/")
	return tree
}

// A moment is what is meant to differ from the recording made at it.
type moment struct {
	absent  []absence
	changed []change
}

// absence names nodes that only Apache Kafka makes: the one at the path, and those below it.
type absence struct{ path, feature string }

// change turns a recorded node into the one that is wanted of us.
type change struct {
	path string
	edit func(n *node)
	why  string
}

// children takes n away from the children that were ever made below a node.
func children(n int) func(*node) {
	less := func(s string) string { i, _ := strconv.Atoi(s); return strconv.Itoa(i - n) }
	return func(r *node) { r.Cversion, r.Children = less(r.Cversion), less(r.Children) }
}

// without cuts what the patterns match out of the data.
func without(patterns ...string) func(*node) {
	return func(r *node) {
		for _, p := range patterns {
			r.Data = regexp.MustCompile(p).ReplaceAllString(r.Data, "")
		}
	}
}

// afterChanges is what is meant to differ from single-after. The recorded cluster also had features that come later.
var afterChanges = moment{
	absent: []absence{
		{"/config/users/<default>", "client quotas"},
		{"/config/users/al%20ice%2A%2B", "client quotas"},
		{"/config/users/bob", "client quotas"},
		{"/config/clients/<default>", "client quotas"},
		{"/config/clients/app-1", "client quotas"},
		{"/config/ips/<default>", "connection quotas"},
		{"/config/ips/10.0.0.1", "connection quotas"},
		{"/config/users/carol", "SCRAM credentials by the API"},
		{"/config/users/dave", "SCRAM credentials by kafka-configs --zookeeper, a write of the tool alone"},
		{"/config/changes/config_change_0000000003", "client quotas: users/al%20ice%2A%2B"},
		{"/config/changes/config_change_0000000004", "client quotas: users/<default>"},
		{"/config/changes/config_change_0000000005", "client quotas: clients/app-1"},
		{"/config/changes/config_change_0000000006", "client quotas: clients/<default>"},
		{"/config/changes/config_change_0000000007", "client quotas: users/bob/clients/app-2"},
		{"/config/changes/config_change_0000000008", "client quotas: users/bob/clients/<default>"},
		{"/config/changes/config_change_0000000009", "connection quotas: ips/10.0.0.1"},
		{"/config/changes/config_change_0000000010", "connection quotas: ips/<default>"},
		{"/config/changes/config_change_0000000011", "SCRAM credentials: users/carol"},
		{"/config/changes/config_change_0000000012", "SCRAM credentials: users/dave"},
		{"/consumers/g-old", "no feature: nodes that a 0.10 consumer makes itself, and none runs in this test"},
		{"/delegation_token", "delegation tokens"},
		{"/kafka-acl", "the authorizer"},
		{"/kafka-acl-changes", "the authorizer"},
		{"/kafka-acl-extended", "the authorizer"},
		{"/kafka-acl-extended-changes", "the authorizer"},
	},
	changed: []change{
		{"/", children(5), "no /delegation_token, and none of the four roots of the authorizer"},
		{"/config/users", children(5), "no users: see above"},
		{"/config/clients", children(2), "no client quotas"},
		{"/config/ips", children(2), "no connection quotas"},
		{"/config/changes", children(10), "no notifications of users, clients and ips"},
		{"/consumers", children(1), "no 0.10 consumer"},
		{"/brokers/ids/0", without(`,"SASL_PLAINTEXT://127.0.0.1:<port>"`, `,"SASL_PLAINTEXT":"SASL_PLAINTEXT"`), "SASL listeners are refused until there is SASL"},
		{"/config/brokers/0", without(`"listener.name.sasl_plaintext[^"]*":"[^"]*",`), "the password of that listener"},
		{"/config/topics/created", without(`"cleanup.policy":"compact,delete",`), "compaction is refused until there is a cleaner"},
	},
}

// compare fails the test for every difference that is not meant, and for what is said to differ and does not.
func compare(t *testing.T, ours, theirs map[string]node, m moment) {
	t.Helper()
	for _, a := range m.absent {
		if _, ok := theirs[a.path]; !ok {
			t.Errorf("%s is listed as absent (%s), and is not in the recording", a.path, a.feature)
		}
		maps.DeleteFunc(theirs, func(p string, _ node) bool { return p == a.path || strings.HasPrefix(p, a.path+"/") })
	}
	for _, c := range m.changed {
		n := theirs[c.path]
		c.edit(&n)
		if n == theirs[c.path] {
			t.Errorf("%s is listed as different (%s), and would be the same", c.path, c.why)
		}
		theirs[c.path] = n
	}
	for _, p := range slices.Sorted(maps.Keys(theirs)) {
		got, ok := ours[p]
		if !ok {
			t.Errorf("%s is missing", p)
			continue
		}
		if diff := cmp.Diff(theirs[p], got); diff != "" {
			t.Errorf("%s (- Apache Kafka, + ours):\n%s", p, diff)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(ours)) {
		if _, ok := theirs[p]; !ok {
			t.Errorf("%s is not there with Apache Kafka: %+v", p, ours[p])
		}
	}
}
