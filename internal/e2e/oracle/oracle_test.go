//go:build unix

package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/internal/e2e"
)

func TestMain(m *testing.M) {
	code := m.Run()
	e2e.Cleanup()
	os.Exit(code)
}

// serverLines are what both are configured with.
var serverLines = []string{
	"num.partitions=1", "offsets.topic.num.partitions=3", "transaction.state.log.num.partitions=3", "group.min.session.timeout.ms=100",
	"auto.create.topics.enable=true", "log.retention.ms=-1", "log.message.timestamp.after.max.ms=9223372036854775807",
}

// open starts both servers, with the topics that scripts use.
func open(t *testing.T) *lab {
	coord := e2e.Coordinator(t)
	exceptions, err := readExceptions(filepath.Join("testdata", "differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dirs := [2]string{t.TempDir(), t.TempDir()}
	theirs := e2e.Kafka(t, dirs[1], 0, coord.Address+"/theirs", serverLines...)
	ours := e2e.BrokerOn(t, dirs[0], 0, coord.Address+"/ours", serverLines...)
	l := &lab{
		t: t, exceptions: exceptions, told: map[string]int{},
		ours:   newTarget("Ottla", ours.Address, filepath.Join(dirs[0], "data"), coord.Address+"/ours"),
		theirs: newTarget("Apache Kafka", theirs.Address, filepath.Join(dirs[1], "data"), coord.Address+"/theirs"),
	}
	if out := os.Getenv("ORACLE_LOG"); out != "" { // what Apache Kafka says about it
		t.Cleanup(func() { _ = os.WriteFile(out, []byte(theirs.Output()), 0o644) })
	}
	t.Cleanup(l.ours.close)
	t.Cleanup(l.theirs.close)
	return l
}

// TestOracle is the whole comparison; the short form has one seed.
func TestOracle(t *testing.T) {
	e2e.Peers(t, "kafka-3.9")
	l := open(t)
	makeTopics(l)
	elections(l)
	makeElsewhere(l)
	begin := time.Now()
	step := func(name string, f func(l *lab)) {
		before, started := l.requests, time.Now()
		f(l)
		t.Logf("%s: %d requests in %v", name, l.requests-before, time.Since(started).Round(time.Millisecond))
	}
	step("records", records)
	step("groups", groups)
	step("topics", topics)
	step("configurations", configurations)
	step("administration", administration)
	step("recorded", replay)
	seeds := uint64(e2e.Scale(1, 40))
	step(fmt.Sprintf("generated, seeds 1 to %d", seeds), func(l *lab) {
		for seed := uint64(1); seed <= seeds; seed++ {
			generate(l, seed)
		}
	})
	l.done(e2e.Long())
	e2e.Result(t, "%d requests, %d answered alike, %d but for what differences.txt says, in %v", l.requests, l.equal, l.excepted, time.Since(begin).Round(time.Second))
}

// serves says which versions of an API our broker advertises.
func serves(l *lab, key, version int16) bool {
	if l.served == nil {
		a, err := l.ours.ask(int16(kmsg.ApiVersions), 0, nil)
		if err != nil || a.outcome != answered {
			l.t.Fatal(a.outcome, err)
		}
		r, err := decode(int16(kmsg.ApiVersions), 0, a.body)
		if err != nil {
			l.t.Fatal(err)
		}
		l.served = map[int16][2]int16{}
		for _, k := range r.(*kmsg.ApiVersionsResponse).ApiKeys {
			l.served[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
	}
	v, ok := l.served[key]
	return ok && version >= v[0] && version <= v[1]
}

// notReplayed are recorded requests after which the logs of the two would differ for good.
var notReplayed = map[string]string{
	"produce 124": "a compressed batch of format v2 is stored without being decompressed",
}

// makeRecordedTopics makes what recorded clients have asked for, so that no answer depends on which server makes it sooner.
func makeRecordedTopics(l *lab, all []recorded) {
	made := map[string]bool{}
	for _, r := range all {
		if r.Key != int16(kmsg.Metadata) || r.Version > 12 {
			continue
		}
		body, err := r.body()
		if err != nil {
			l.t.Fatal(err)
		}
		q := kmsg.NewPtrMetadataRequest()
		q.Version = r.Version
		if q.ReadFrom(body) != nil {
			continue
		}
		for _, t := range q.Topics {
			if t.Topic != nil && topicName.MatchString(*t.Topic) && !made[*t.Topic] {
				made[*t.Topic] = true
				l.each("make recorded "+*t.Topic, 7, func(*target) kmsg.Request { return create(newTopic(*t.Topic, 1)) })
			}
		}
	}
}

// topicName are the names that may be made; of those that may not be there are requests elsewhere.
var topicName = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)

// replay sends what was recorded.
func replay(l *lab) {
	all, err := readRecorded(filepath.Join(e2e.Root, "testdata", "wire", "oracle", "requests.jsonl.gz"))
	if err != nil {
		l.t.Fatal(err)
	}
	makeRecordedTopics(l, all)
	for _, r := range all {
		body, err := r.body()
		if err != nil {
			l.t.Fatalf("%s %d: %v", r.File, r.N, err)
		}
		if serves(l, r.Key, r.Version) && notReplayed[fmt.Sprint(r.File, " ", r.N)] == "" {
			l.raw(fmt.Sprintf("recorded %s %d", r.File, r.N), r.Key, r.Version, body, body)
		}
	}
}

// notGenerated are the requests that a generated body is no good for.
var notGenerated = map[int16]string{
	4: "LeaderAndIsr of old versions is believed, and ends what the test stands on",
	5: "StopReplica likewise", 6: "UpdateMetadata likewise", 7: "ControlledShutdown likewise",
	19: "topics that are made or deleted while others are asked about: one server is done with that before the other",
	20: "likewise", 37: "likewise",
}

// generate sends the bodies of all APIs and versions with values that depend on the seed.
func generate(l *lab, seed uint64) {
	all, err := readVectors(filepath.Join(e2e.Root, "testdata", "messages", "messages.txt.gz"))
	if err != nil {
		l.t.Fatal(err)
	}
	m := newMutator(seed)
	taken := map[[2]int16]int{}
	for _, v := range all {
		if n := taken[[2]int16{v.key, v.version}]; notGenerated[v.key] != "" || v.key == int16(kmsg.Metadata) && v.version < 4 || !serves(l, v.key, v.version) || n > 0 && (!e2e.Long() || n > 5) {
			continue
		}
		taken[[2]int16{v.key, v.version}]++
		q, err := v.request()
		if err != nil {
			continue // kmsg lays a few of the vectors out otherwise: see broker/api
		}
		m.mutate(q)
		l.raw(fmt.Sprintf("generated %d", seed), v.key, v.version, encode(q), encode(q))
	}
}
