//go:build unix

package e2e

import (
	"context"
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
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

// explained are the differences that are meant, by path: what of the node differs, and why. A node that only Apache Kafka has
// must be in notYet.
var explained = map[string]struct {
	fields []string
	why    string
}{
	"/":                      {[]string{"Cversion", "Children"}, "fewer children: see the list of what is not made yet"},
	"/brokers/ids":           {[]string{"Cversion"}, "the recording had one more start of the broker between the moments"},
	"/brokers/ids/0":         {[]string{"Data"}, "the recorded broker had a SASL listener as well"},
	"/config/brokers/0":      {[]string{"Data"}, "the recording has a SASL listener's password in it"},
	"/config/changes":        {[]string{"Cversion", "Children"}, "no notifications of users, clients and ips"},
	"/config/topics/created": {[]string{"Data"}, "the recorded topic has cleanup.policy=compact,delete, which is refused until there is a cleaner"},
	"/config/clients":        {[]string{"Cversion", "Children"}, "no client quotas"},
	"/config/ips":            {[]string{"Cversion", "Children"}, "no connection quotas"},
	"/config/users":          {[]string{"Cversion", "Children"}, "no users"},
	"/consumers":             {[]string{"Cversion", "Children"}, "no 0.10 consumer runs in this test"},
}

// notYet are nodes that Apache Kafka makes for features that the broker does not have yet, by prefix.
var notYet = []struct{ prefix, feature string }{
	{"/config/users/", "client quotas and SCRAM credentials"},
	{"/config/clients/", "client quotas"},
	{"/config/ips/", "connection quotas"},
	{"/config/changes/config_change_", "notifications of the three above (those of topics and brokers are compared)"},
	{"/consumers/", "a 0.10 consumer's own nodes: none runs in this test"},
	{"/delegation_token", "delegation tokens"},
	{"/kafka-acl", "the authorizer"},
}

// compare fails the test for every difference that is not explained.
func compare(t *testing.T, ours, theirs map[string]node) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(theirs)) {
		want := theirs[p]
		got, ok := ours[p]
		if !ok {
			if !slices.ContainsFunc(notYet, func(n struct{ prefix, feature string }) bool { return strings.HasPrefix(p, n.prefix) }) {
				t.Errorf("%s is missing", p)
			}
			continue
		}
		for _, f := range explained[p].fields {
			switch f {
			case "Data":
				got.Data, want.Data = "", ""
			case "Cversion":
				got.Cversion, want.Cversion = "", ""
			case "Children":
				got.Children, want.Children = "", ""
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (- Apache Kafka, + ours):\n%s", p, diff)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(ours)) {
		if _, ok := theirs[p]; !ok {
			t.Errorf("%s is not there with Apache Kafka: %+v", p, ours[p])
		}
	}
}

// TestZnodes compares what one broker leaves in the coordinator with recordings of Apache Kafka 3.9, at the same moments.
func TestZnodes(t *testing.T) {
	coordinators(t, func(t *testing.T, coord *Server) {
		c := connect(t, coord.Address)
		dir := t.TempDir()
		fresh := BrokerOn(t, dir, 0, coord.Address)
		var tree map[string]node
		t.Run("first start", func(t *testing.T) {
			tree = dump(t, c)
			compare(t, tree, recorded(t, "single-fresh"))
		})
		fresh.Stop(t)
		t.Run("clean stop", func(t *testing.T) { compare(t, dump(t, c), recorded(t, "single-stopped")) })

		b := BrokerOn(t, dir, 0, coord.Address, "password.encoder.secret=golden", "num.partitions=2", "offsets.topic.num.partitions=2")
		t.Run("after changes", func(t *testing.T) {
			change(t, c, b.Address)
			compare(t, dump(t, c), recorded(t, "single-after"))
		})
		b.Stop(t)
	})
}

// change does what was done to the recorded broker, as far as this version goes, in the same order.
func change(t *testing.T, c *zk.Conn, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cl := Client(t, address, kgo.AllowAutoTopicCreation())
	adm := kadm.NewClient(cl)
	str := func(s string) *string { return &s }
	if r, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": str("86400000")}, "created"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	plain := Client(t, address, kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite())
	if err := plain.ProduceSync(ctx, &kgo.Record{Topic: "auto.created", Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// As kafka-topics --zookeeper of 2.8 and of 0.10 write them.
	acl := zk.WorldACL(zk.PermAll)
	for name, data := range map[string]string{
		"by-zookeeper":      `{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}`,
		"by-zookeeper-0.10": `{"version":1,"partitions":{"0":[0]}}`,
	} {
		for _, n := range []struct{ path, data string }{{"/config/topics/" + name, `{"version":1,"config":{}}`}, {"/brokers/topics/" + name, data}} {
			if _, err := c.Create(n.path, []byte(n.data), 0, acl); err != nil {
				t.Fatal(err)
			}
		}
		Await(t, 30*time.Second, name+" has a leader", func() error { _, err := leaders(t, address, name, 1); return err })
	}
	if r, err := adm.UpdatePartitions(ctx, 3, "created"); err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	Await(t, 30*time.Second, "created has three partitions", func() error { _, err := leaders(t, address, "created", 3); return err })
	alter := func(kind kmsg.ConfigResourceType, name string, configs ...[2]string) {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, kv := range configs {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Value = kv[0], str(kv[1])
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || resp.Resources[0].ErrorCode != 0 {
			t.Fatalf("alter %s: %v %+v", name, err, resp)
		}
	}
	alter(kmsg.ConfigResourceTypeTopic, "created", [2]string{"max.message.bytes", "65536"}, [2]string{"min.insync.replicas", "1"})
	alter(kmsg.ConfigResourceTypeBroker, "0", [2]string{"log.cleaner.threads", "2"})
	alter(kmsg.ConfigResourceTypeBroker, "", [2]string{"log.retention.ms", "172800000"})
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "created", Value: []byte("1")}).FirstErr(); err != nil {
		t.Fatal(err) // idempotent: a block of producer ids
	}
	group := Client(t, address, kgo.ConsumerGroup("g-new"), kgo.ConsumeTopics("auto.created"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err := group.PollFetches(ctx).Err0(); err != nil {
		t.Fatal(err)
	}
	if err := group.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
}
