//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTakeTurns has Apache Kafka 3.9 and us take turns on one log.dirs, stopped cleanly or killed, with producers in each turn: no record
// differs, none is lost, nobody complains about what the other left, and a compacted topic that one has cleaned goes on being cleaned
// by the other. Who is killed leaves a swap of the cleaner's unfinished. The long form has 20 turns.
func TestTakeTurns(t *testing.T) {
	coord := Coordinator(t, "tickTime=500") // short sessions: an Apache broker does not start while the session of a killed one lives
	g := &turns{t: t, zk: connect(t, coord.Address), dir: t.TempDir(), compacted: map[int64]keyed{}, last: map[string]keyed{}, lastAt: map[string]int64{}}
	lines := []string{"log.retention.ms=-1", "offsets.topic.num.partitions=3", "auto.create.topics.enable=false", "log.cleaner.backoff.ms=200", "log.segment.delete.delay.ms=1000"}
	n := Scale(3, 21) // the first one makes the topics
	for turn := range n {
		apache, kill := turn%2 == 1, turn/2%2 == 0
		if apache {
			g.s = Kafka(t, g.dir, 0, coord.Address, append(lines, "zookeeper.session.timeout.ms=4000")...)
		} else {
			g.s = BrokerOn(t, g.dir, 0, coord.Address, append(lines, "zookeeper.session.timeout.ms=2000")...)
		}
		name := fmt.Sprintf("turn %d, %s", turn, g.s.name)
		if turn == 0 {
			createTopic(t, g.s.Address, "compacted", 1, map[string]*string{"cleanup.policy": ptr("compact"), "segment.bytes": ptr("20000"), "index.interval.bytes": ptr("500"),
				"min.cleanable.dirty.ratio": ptr("0.01"), "delete.retention.ms": ptr("100")})
			createTopic(t, g.s.Address, "plain", 2, map[string]*string{"segment.bytes": ptr("30000"), "index.interval.bytes": ptr("500")})
		} else {
			g.check(name)
		}
		g.work(turn, apache)
		g.check(name)
		g.end(kill)
		if kill {
			g.interrupt(turn/4*2 + turn%2) // the how manieth kill it is
		}
		g.complaints(name, turn > 0 && g.killed)
		g.killed = kill
		if t.Failed() {
			t.Fatalf("%s: see above\n%s", name, g.s.Output())
		}
	}
	Result(t, "%d turns on one log directory: %d records of a compacted topic, of which %d are left, and %d of others", n, len(g.compacted), g.left, g.plain)
}

// interrupt leaves the compacted topic as a broker does that is killed while a cleaned segment takes the place of others: whoever comes next must
// complete that, or take it back.
func (g *turns) interrupt(kills int) {
	t := g.t
	dir := filepath.Join(g.dir, "data", "compacted-0")
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) < 2 {
		t.Fatalf("segments %q, %v", logs, err)
	}
	segment := strings.TrimSuffix(logs[0], ".log") // Glob sorts
	move := func(kind, suffix string, stays bool) {
		b, err := os.ReadFile(segment + kind)
		if errors.Is(err, os.ErrNotExist) {
			return // there is not always a transaction index
		}
		if err == nil {
			err = os.WriteFile(segment+kind+suffix, b, 0o644)
		}
		if err == nil && !stays {
			err = os.Remove(segment + kind)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	state := []string{"swap, and the old one is there", "some are in place", "some are cleaned only", "swap, and the old one is deleted"}[kills%4]
	t.Logf("a turn ends in a swap: %s", state)
	for _, kind := range []string{".log", ".index", ".timeindex", ".txnindex"} {
		switch kills % 4 {
		case 0:
			move(kind, ".swap", true)
		case 1:
			if kind != ".log" {
				move(kind, ".swap", false)
			}
		case 2:
			if kind == ".log" {
				move(kind, ".swap", true)
			} else {
				move(kind, ".cleaned", true)
			}
		case 3:
			move(kind, ".deleted", true)
			move(kind, ".swap", false)
		}
	}
}

// keyed is a record of the compacted topic. A value of "" marks a deletion.
type keyed struct{ key, value string }

type turns struct {
	t      *testing.T
	zk     *zk.Conn
	dir    string
	s      *Server
	killed bool // the last one was

	compacted map[int64]keyed  // everything acknowledged, by offset
	last      map[string]keyed // the last committed of each key
	lastAt    map[string]int64
	dirty     int64 // what was there when the turn began must be clean by its end
	left      int
	plain     int
	wrote     map[part]*listing
	loads     []*load
}

// work produces in one turn.
func (g *turns) work(turn int, apache bool) {
	t := g.t
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	topic := fmt.Sprint("load-", turn)
	createTopic(t, g.s.Address, topic, 2, nil)
	l := startTrickle(t, g.s.Address, topic)
	g.loads = append(g.loads, l)
	cl := Client(t, g.s.Address, kgo.DefaultProduceTopic("compacted"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	send := func(cl *kgo.Client, round int, commit bool) {
		var rs []*kgo.Record
		for i := range 60 {
			r := &kgo.Record{Key: fmt.Appendf(nil, "key %d", (turn*7+round*3+i)%40), Value: fmt.Appendf(nil, "turn %d round %d record %d %s", turn, round, i, strings.Repeat("x", i))}
			if i%11 == 10 {
				r.Value = nil
			}
			rs = append(rs, r)
		}
		for _, r := range cl.ProduceSync(ctx, rs...) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			k := keyed{string(r.Record.Key), string(r.Record.Value)}
			g.compacted[r.Record.Offset] = k
			if commit {
				g.last[k.key], g.lastAt[k.key] = k, r.Record.Offset
			}
		}
	}
	for round := range 12 {
		send(cl, round, true)
	}
	if apache { // we have no transactions yet, and clean theirs
		tx := Client(t, g.s.Address, kgo.TransactionalID("turns"), kgo.DefaultProduceTopic("compacted"), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer tx.Close()
		for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
			if err := tx.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			send(tx, 20+i, bool(commit))
			if err := tx.EndTransaction(ctx, commit); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := g.dirty
	g.dirty = endOffsets(t, cl, "compacted")[0]
	plain := Client(t, g.s.Address, kgo.DefaultProduceTopic("plain"), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	for i := range 300 {
		r := &kgo.Record{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, "turn %d %s", turn, strings.Repeat("x", i))}
		plain.Produce(ctx, r, nil)
	}
	if err := plain.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	plain.Close()
	l.progress(t, 200)
	Await(t, 30*time.Second, "the compacted topic is cleaned", func() error {
		to, err := cleanedTo(filepath.Join(g.dir, "data"), "compacted", 0)
		if err == nil && (to < before || to == 0) {
			err = fmt.Errorf("it is clean up to %d, and had %d records when the turn began", to, before)
		}
		return err
	})
	g.wrote = list(t, g.s.Address, "plain")
}

// cleanedTo reads cleaner-offset-checkpoint.
func cleanedTo(dir, topic string, partition int) (offset int64, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "cleaner-offset-checkpoint"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, fmt.Sprintf("%s %d ", topic, partition)) {
			_, err = fmt.Sscanf(line, topic+" %d %d", &partition, &offset)
		}
	}
	return offset, err
}

// check reads everything back.
func (g *turns) check(name string) {
	t := g.t
	all := list(t, g.s.Address, "plain", "compacted")
	for p, l := range all {
		switch {
		case p.Topic == "compacted":
			g.checkCompacted(name, p, l)
		case g.wrote[p] != nil:
			sameListings(t, map[part]*listing{p: l}, map[part]*listing{p: g.wrote[p]})
			g.plain = max(g.plain, len(l.Records))
		}
	}
	if n := len(g.loads); n > 1 {
		for _, l := range g.loads[max(0, n-3) : n-1] { // the last one still runs
			l.check(t, g.s.Address)
		}
	}
}

// checkCompacted wants each record as it was sent, the last one of each key, and most of the others gone.
func (g *turns) checkCompacted(name string, p part, l *listing) {
	committed := strings.Contains(p.Isolation, "read_committed")
	seen := map[string]int64{}
	before := int64(-1)
	for _, e := range l.Records {
		want, ok := g.compacted[e.Offset]
		if got := (keyed{e.Key.Bytes, e.Value.Bytes}); !ok || got != want || e.Value.Null != (want.value == "") || e.Offset <= before {
			g.t.Errorf("%s: %s at %d behind %d is %+v, sent was %+v", name, p, e.Offset, before, got, want)
		}
		before, seen[e.Key.Bytes] = e.Offset, e.Offset
	}
	if !committed {
		return
	}
	g.left = len(l.Records)
	for key, at := range g.lastAt {
		if got, ok := seen[key]; got > at || got < at && (ok || g.last[key].value != "") {
			g.t.Errorf("%s: the last of %q is at %d (found: %t), sent was %+v at %d", name, key, got, ok, g.last[key], at)
		}
	}
	if len(g.compacted) > 4000 && g.left > len(g.compacted)/2 {
		g.t.Errorf("%s: %d of %d records are left", name, g.left, len(g.compacted))
	}
}

// end stops or kills the server, with a producer at work.
func (g *turns) end(kill bool) {
	l := g.loads[len(g.loads)-1]
	if kill {
		g.s.Kill()
		l.abandon()
	} else {
		l.halt(g.t)
		g.s.Stop(g.t)
	}
	Await(g.t, 30*time.Second, "the registration vanishes", func() error { return absent(g.zk, "/brokers/ids/0") })
}

// damage is what nobody may say of log directories that were never without power; recovery is what nobody may need after a clean stop.
var (
	damage   = regexp.MustCompile(`(?i)corrupt|damaged|insane|anew|not usable|cut back|mismatch|non-monotonic|out of order|discarding|uncleanable|found file .* but|exception.*index`)
	recovery = regexp.MustCompile(`(?i)recovering unflushed|truncat|not closed cleanly|unclean shutdown`)
	// harmless are settings and plans that have such a word in them.
	harmless = regexp.MustCompile(`unclean\.leader|uncleanLeader|(?i)discarding tombstones|UncleanLeaderElection`)
)

// complaints looks through what the server wrote.
func (g *turns) complaints(name string, afterKill bool) {
	for line := range strings.Lines(g.s.Output()) {
		if harmless.MatchString(line) {
			continue
		}
		if damage.MatchString(line) || !afterKill && recovery.MatchString(line) {
			g.t.Errorf("%s: %s", name, line)
		}
	}
}
