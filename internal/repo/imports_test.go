package repo

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A rule forbids packages below From to import what matches any of Not, except what matches Except. Patterns are prefixes of
// whole path elements; "ottla/x" matches ottla/x and all below it.
type rule struct {
	from   string
	not    []string
	except []string
	why    string
}

var pure = []string{"net", "os", "math/rand", "math/rand/v2", "crypto/rand"}

var rules = []rule{
	{from: "ottla/broker", not: []string{"ottla/coord"}, why: "the broker knows the coordinator only through the ZooKeeper protocol, so that a real ZooKeeper can take its place"},
	{from: "ottla/coord", not: []string{"ottla/broker"}, why: "the coordinator knows nothing of Kafka"},
	{from: "ottla/broker", not: []string{"ottla/cmd"}, why: "imports point down"},
	{from: "ottla/coord", not: []string{"ottla/cmd"}, why: "imports point down"},
	{from: "ottla/internal", not: []string{"ottla/broker", "ottla/coord", "ottla/cmd"}, except: []string{"ottla/internal/e2e"}, why: "internal is what both sides share"},
	{from: "ottla/broker/api", not: []string{"ottla"}, except: []string{"ottla/broker/api", "ottla/broker/topic"}, why: "handlers register themselves: group imports api, never the reverse"},
	{from: "ottla/broker/api/shape", not: append(pure, "ottla"), except: []string{"ottla/broker/api/shape"}, why: "the check of a body is a pure function over bytes, and knows no decoder"},
	{from: "ottla/broker/topic", not: []string{"ottla"}, except: []string{"ottla/broker/topic"}, why: "names are at the bottom"},
	{from: "ottla/broker/purgatory", not: []string{"ottla"}, except: []string{"ottla/broker/purgatory"}, why: "waiting is generic"},
	{from: "ottla/broker/network", not: []string{"ottla/broker"}, except: []string{"ottla/broker/network", "ottla/broker/api", "ottla/broker/quota"}, why: "the network knows no API"},
	{from: "ottla/broker/record", not: pure, why: "record batches are pure functions over bytes"},
	{from: "ottla/broker/record", not: []string{"ottla"}, except: []string{"ottla/broker/record", "ottla/broker/topic"}, why: "record batches are pure functions over bytes"},
	{from: "ottla/coord/wire", not: append(pure, "ottla"), except: []string{"ottla/coord/wire"}, why: "the wire format imports nothing of ours"},
	{from: "ottla/coord/tree", not: pure, why: "the tree is pure: the same entries give the same tree on every member"},
	{from: "ottla/coord/watch", not: pure, why: "the watch tables are pure"},
	{from: "ottla/coord/fsm", not: append(pure, "time"), why: "apply must be deterministic: time and randomness come in the log entry"},
	{from: "ottla/coord/acl", not: pure, except: []string{"net/netip"}, why: "who may do what is a pure function; netip only parses addresses"},
	{from: "ottla/internal/digestmd5", not: append(pure, "ottla", "time"), except: []string{"ottla/internal/digestmd5"}, why: "a login is a pure exchange: the nonce comes from the caller"},
	{from: "ottla/internal/jaas", not: append(pure, "ottla"), except: []string{"ottla/internal/jaas"}, why: "a parser takes text"},
	{from: "ottla/coord/coordtest/model", not: append(pure, "time", "ottla"), except: []string{"ottla/coord/coordtest/model"}, why: "the model shares no code with the server that it judges"},
	{from: "ottla/broker/group/classic", not: pure, why: "a group's steps are pure: time comes as an argument"},
	{from: "ottla/broker/quota", not: append(pure, "ottla"), except: []string{"net/netip", "net/url", "ottla/broker/quota", "ottla/broker/quota/admin"}, why: "quotas are policy: time comes as an argument, and callers delay whom they say"},
	{from: "ottla/broker/group/model", not: append(pure, "ottla"), why: "the model of a group is pure, and shares nothing with what is held against it"},
	{from: "ottla/broker/group/offsetlog", not: pure, why: "the entries of __consumer_offsets are pure functions over bytes"},
	{from: "ottla/broker/controller/planner", not: pure, why: "the planner is pure: state and event in, state and writes out"},
	{from: "ottla", not: []string{"go.etcd.io/raft"}, except: nil, why: "raft stays inside coord/ensemble, behind its own types"},
	{from: "ottla", not: []string{"go.etcd.io/bbolt"}, except: nil, why: "bbolt stays inside coord/store"},
}

// exempt are the packages that a rule about a library names as its home.
var exempt = map[string][]string{
	"go.etcd.io/raft":  {"ottla/coord/ensemble"},
	"go.etcd.io/bbolt": {"ottla/coord/store"},
}

func below(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func TestImportsPointDown(t *testing.T) {
	type pkg struct {
		ImportPath string
		Imports    []string
	}
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "ottla/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, imp := range p.Imports {
			for _, r := range rules {
				if !below(p.ImportPath, r.from) {
					continue
				}
				for _, not := range r.not {
					if !below(imp, not) ||
						slices.ContainsFunc(r.except, func(e string) bool { return below(imp, e) || below(p.ImportPath, e) && e != r.from }) ||
						slices.ContainsFunc(exempt[not], func(e string) bool { return below(p.ImportPath, e) }) {
						continue
					}
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.why)
				}
			}
		}
	}
	if seen < 5 {
		t.Fatalf("go list named only %d packages", seen)
	}
}
