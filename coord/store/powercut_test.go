package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ottla/internal/fs"
)

// fileCheckpoints stands in for bbolt, whose commit is one step that happened wholly or not at all: everything in one file,
// replaced atomically.
type fileCheckpoints struct {
	fsys fs.FS
	dir  string
}

func (f fileCheckpoints) path() string { return filepath.Join(f.dir, "state.db") }

func (f fileCheckpoints) Load(fn LoadFunc) error {
	if err := f.fsys.SyncDir(f.dir); err != nil {
		return err
	}
	b, err := fs.ReadFile(f.fsys, f.path(), 1<<20)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var h Header
	lines := strings.Split(string(b), "\n")
	if _, err := fmt.Sscanf(lines[0], "%d %d", &h.Index, &h.Term); err != nil {
		return err
	}
	return fn(h, func(yield func(Record, error) bool) {
		for _, l := range lines[1:] {
			if k, v, ok := strings.Cut(l, "="); ok && !yield(Record{"b", []byte(k), []byte(v)}, nil) {
				return
			}
		}
	})
}

func (f fileCheckpoints) Commit(h Header, changes iter.Seq[Record]) error {
	state := map[string]string{}
	err := f.Load(func(_ Header, records iter.Seq2[Record, error]) error {
		return each(records, func(r Record) error { state[string(r.Key)] = string(r.Value); return nil })
	})
	if err != nil {
		return err
	}
	for r := range changes {
		state[string(r.Key)] = string(r.Value)
	}
	b := fmt.Appendf(nil, "%d %d\n", h.Index, h.Term)
	for _, k := range slices.Sorted(maps.Keys(state)) {
		b = fmt.Appendf(b, "%s=%s\n", k, state[k])
	}
	return fs.WriteFileAtomic(f.fsys, f.dir, f.path(), b)
}

func (f fileCheckpoints) Close() error { return nil }

func (f fileCheckpoints) exists() (bool, error) {
	_, err := f.fsys.Stat(f.path())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// update applies each slice in one step.
func (f fileCheckpoints) update(fn func(apply func(h *Header, changes []Record) error) error) error {
	return fn(func(h *Header, changes []Record) error {
		if h == nil {
			h = &Header{}
			if err := f.Load(func(old Header, _ iter.Seq2[Record, error]) error { *h = old; return nil }); err != nil {
				return err
			}
		}
		return f.Commit(*h, slices.Values(changes))
	})
}

// layeredFile merges in so small steps that a power cut hits between them.
func layeredFile(fsys fs.FS) *layered {
	l := newLayered(fsys, "/state/delta", fileCheckpoints{fsys, "/state"})
	l.step = 9
	return l
}

// life is one life of a process on the store. What it tells the world is acked and seen: numbers of entries that were
// acknowledged, and that a client read.
type life struct {
	fsys  fs.FS
	world *world
	state []string // applied entries' data, from 1 on
	s     *Store
}

// world is what the clients know. It survives all lives.
type world struct {
	acked []string
}

func (l *life) open() error {
	if err := l.load(); err != nil {
		return err
	}
	// A new term, as each start opens one.
	log := l.s.Log()
	term := log.HardState().Term + 1
	if err := log.Append(HardState{Term: term, Vote: 1, Commit: log.HardState().Commit}, nil); err != nil {
		return err
	}
	// From now on clients read: what this life found can never be taken back.
	l.world.acked = slices.Clone(l.state)
	return nil
}

// load reads what is on disk.
func (l *life) load() error {
	var err error
	l.s, err = Open(Options{Dir: "/data/coord", LogDir: "/logs/coord", FS: l.fsys, Checkpoints: layeredFile(l.fsys), SegmentBytes: 1024, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	err = l.s.Load(func(_ Header, records iter.Seq2[Record, error]) error {
		return each(records, func(r Record) error {
			var i int
			fmt.Sscanf(string(r.Key), "%d", &i)
			l.state = append(l.state, make([]string, max(0, i-len(l.state)))...)
			l.state[i-1] = string(r.Value)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if h := l.s.Header(); uint64(len(l.state)) != h.Index {
		return fmt.Errorf("checkpoint at %d holds %d entries", h.Index, len(l.state))
	}
	log := l.s.Log()
	for log.LastIndex() > uint64(len(l.state)) {
		list, err := log.Entries(uint64(len(l.state))+1, log.LastIndex()+1, 200)
		if err != nil {
			return err
		}
		for _, e := range list {
			l.state = append(l.state, string(e.Data))
		}
	}
	return nil
}

// write acknowledges a group of entries.
func (l *life) write(group ...string) error {
	log := l.s.Log()
	var list []Entry
	for _, d := range group {
		list = append(list, Entry{Index: log.LastIndex() + uint64(len(list)) + 1, Term: log.HardState().Term, Data: []byte(d)})
	}
	hs := log.HardState()
	hs.Commit = log.LastIndex()
	if err := log.Append(hs, list); err != nil {
		return err
	}
	l.state = append(l.state, group...)
	l.world.acked = slices.Clone(l.state)
	return nil
}

// checkpoint saves the state and compacts the log.
func (l *life) checkpoint() error {
	n := uint64(len(l.state))
	term, err := l.s.Log().Term(n)
	if err != nil {
		return err
	}
	err = l.s.Commit(Header{Index: n, Term: term}, func(yield func(Record) bool) {
		for i, d := range l.state {
			if !yield(Record{"b", fmt.Appendf(nil, "%04d", i+1), []byte(d)}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := l.s.Log().Compact(n)(); err != nil {
		return err
	}
	return l.s.Merge(nil)
}

// run is the recorded workload of one life, numbered so that every life writes something else.
func (l *life) run(no int) error {
	if err := l.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	name := func(i, size int) string {
		return fmt.Sprintf("life %d entry %d %s", no, i, strings.Repeat("x", size))
	}
	for i := range 12 {
		group := []string{name(i, i*31%170)}
		if i%3 == 0 {
			group = append(group, name(100+i, 200), name(200+i, 0))
		}
		if err := l.write(group...); err != nil {
			return err
		}
		if i == 6 {
			if err := l.checkpoint(); err != nil {
				return err
			}
		}
		// A commit index alone is written and not synced.
		log := l.s.Log()
		if err := log.Append(HardState{log.HardState().Term, 1, log.LastIndex()}, nil); err != nil {
			return err
		}
	}
	return l.s.Close()
}

// verify starts on what a cut left and compares with what the world knows.
func verify(c *fs.Crash, w *world) error {
	known := slices.Clone(w.acked)
	l := &life{fsys: c, world: &world{}}
	if err := l.open(); err != nil {
		return fmt.Errorf("refuses to start: %w", err)
	}
	defer l.s.Close()
	for i, want := range known {
		if i >= len(l.state) {
			return fmt.Errorf("entry %d of %d that were acknowledged or seen is missing", i+1, len(known))
		}
		if l.state[i] != want {
			return fmt.Errorf("entry %d is %.30q, was %.30q", i+1, l.state[i], want)
		}
	}
	return nil
}

var errKilled = errors.New("killed")

// scenario runs lives one after the other on one disk: each but the last is killed in its kill-th operation (0: stops by itself),
// the last one has its power cut in its cut-th. It returns how many operations the last life made.
func scenario(t *testing.T, faults []fs.Rule, kills []int, cut int, seeds uint64) (ops int, broken error) {
	t.Helper()
	disk := fs.NewCrash()
	must(t, disk.MkdirAll("/data", 0o755))
	must(t, disk.MkdirAll("/logs", 0o755))
	must(t, disk.MkdirAll("/state", 0o755))
	disk.Persist()
	w := &world{}
	for no, kill := range kills {
		f := faulty(disk, faults)
		if kill > 0 {
			f.Inject(fs.Rule{Op: fs.AnyChange | fs.OpOpen | fs.OpRead | fs.OpReadDir, Skip: kill - 1, Err: errKilled})
		}
		l := &life{fsys: f, world: w}
		if err := l.run(no); err != nil && !errors.Is(err, errKilled) {
			return 0, fmt.Errorf("life %d: %w", no, err)
		}
		l.s.unlockAll()
	}
	before := disk.Ops()
	if cut > 0 {
		disk.CutAt(before + cut)
	}
	l := &life{fsys: faulty(disk, faults), world: w}
	err := l.run(len(kills))
	if err != nil && !errors.Is(err, fs.ErrPowerCut) {
		return 0, fmt.Errorf("last life: %w", err)
	}
	l.s.unlockAll()
	ops = disk.Ops() - before
	disk.Cut()
	for _, loss := range fs.Losses {
		for seed := range seeds {
			if err := verify(disk.Survivor(loss, seed), w); err != nil {
				return ops, fmt.Errorf("killed at %v, cut at %d, %v, seed %d: %w", kills, cut, loss, seed, err)
			}
			if loss != fs.Tear {
				break
			}
		}
	}
	return ops, nil
}

func (s *Store) unlockAll() {
	if s != nil {
		s.unlock()
	}
}

func faulty(under fs.FS, rules []fs.Rule) *fs.Faulty {
	f := fs.NewFaulty(under)
	for _, r := range rules {
		f.Inject(r)
	}
	return f
}

// The power is cut in each operation of a first life, of a life after a clean stop, and of one after a kill.
func TestPowerCutAtEachOperation(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 2
	}
	for _, kills := range [][]int{{}, {0}, {25}, {40, 33}} {
		ops, err := scenario(t, nil, kills, 0, 1)
		must(t, err)
		if ops < 60 {
			t.Fatalf("only %d operations", ops)
		}
		for cut := 1; cut <= ops; cut++ {
			if _, err := scenario(t, nil, kills, cut, seeds); err != nil {
				t.Error(err)
			}
		}
	}
}

// A process may be killed in each of its operations; the next one shows what it finds, and then the power goes.
func TestPowerCutAfterAKill(t *testing.T) {
	for kill := 1; kill < 160; kill++ {
		for _, cut := range []int{8, 12, 20, 0} {
			if _, err := scenario(t, nil, []int{kill}, cut, 4); err != nil {
				t.Error(err)
			}
		}
	}
}

// These are the syncs that an acknowledgement depends on, as doc.go lists them. A disk that lies about any one of them loses what was
// acknowledged, and the test above sees it. state.db is not among them: its commit is one step.
func TestEachSyncIsNeeded(t *testing.T) {
	for _, tc := range []struct {
		what  string
		rule  fs.Rule
		kills []int
	}{
		{"append: fdatasync of the group", fs.Rule{Op: fs.OpDatasync, Name: "*.wal", Skip: 1}, nil},
		{"new segment: fdatasync of the header", fs.Rule{Op: fs.OpDatasync, Name: "*.wal", Times: 1}, nil},
		{"new segment: directory of the log", fs.Rule{Op: fs.OpSyncDir, Name: "log", Skip: 1}, nil},
		{"first segment: directory of the log", fs.Rule{Op: fs.OpSyncDir, Name: "log", Times: 1}, nil},
		{"first start: meta", fs.Rule{Op: fs.OpSync, Name: "meta.tmp"}, nil},
		{"first start: data directory with meta in it", fs.Rule{Op: fs.OpSyncDir, Name: "coord"}, nil},
		{"first start: names of the directories", fs.Rule{Op: fs.OpSyncDir, Name: "data"}, nil},
		{"first start: names of the log directories", fs.Rule{Op: fs.OpSyncDir, Name: "logs"}, nil},
		{"recovery: fdatasync of the last segment", fs.Rule{Op: fs.OpDatasync, Name: "*.wal"}, []int{-1}},
		{"recovery: data directory with meta in it", fs.Rule{Op: fs.OpSyncDir, Name: "coord"}, []int{-1}},
		{"recovery: directory of the log", fs.Rule{Op: fs.OpSyncDir, Name: "log"}, []int{-1}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			tc.rule.Swallow = true
			for n := 1; n < 200; n++ {
				var err error
				if tc.kills == nil {
					_, err = scenario(t, []fs.Rule{tc.rule}, nil, n, 12)
				} else {
					err = recoveryWithout(t, tc.rule, n)
				}
				if err != nil {
					t.Log(err)
					return
				}
			}
			t.Error("nothing is lost without it")
		})
	}
}

// A segment is whole before there is a next one, or its last hard state could look like damage.
func TestSealedSegmentIsSynced(t *testing.T) {
	sound, _ := scenarioTrace(t, nil)
	skip := -1
	for i, e := range sound {
		if e.Op == fs.OpCreate && strings.HasSuffix(e.Name, ".wal") && sound[i-1].Op == fs.OpDatasync {
			skip = 0
			for _, before := range sound[:i-1] {
				if before.Op == fs.OpDatasync {
					skip++
				}
			}
			break
		}
	}
	if skip < 0 {
		t.Fatal("no sync before a new segment")
	}
	rule := fs.Rule{Op: fs.OpDatasync, Skip: skip, Times: 1, Swallow: true}
	for cut := 1; cut <= len(sound); cut++ {
		if _, err := scenario(t, []fs.Rule{rule}, nil, cut, 20); err != nil {
			t.Log(err)
			return
		}
	}
	t.Error("nothing is lost without it")
}

// The operations of one life.
func scenarioTrace(t *testing.T, faults []fs.Rule) ([]fs.TraceEntry, error) {
	disk := fs.NewCrash()
	for _, d := range []string{"/data", "/logs", "/state"} {
		must(t, disk.MkdirAll(d, 0o755))
	}
	n := len(disk.Trace())
	err := (&life{fsys: faulty(disk, faults), world: &world{}}).run(0)
	return disk.Trace()[n:], err
}

// The operator's mark is gone for good before anything is acknowledged.
func TestRestartMarkDoesNotComeBack(t *testing.T) {
	broken := func(faults ...fs.Rule) error {
		for cut := range 40 {
			disk := fs.NewCrash()
			must(t, disk.MkdirAll("/state", 0o755))
			disk.Persist()
			l := &life{fsys: disk, world: &world{}}
			must(t, l.run(0))
			f, err := disk.OpenFile("/logs/coord/log/"+restartMark, os.O_CREATE|os.O_WRONLY, 0o644)
			must(t, err)
			must(t, f.Close())
			disk.Persist()
			if cut > 0 {
				disk.CutAt(disk.Ops() + cut)
			}
			w := &world{}
			l = &life{fsys: faulty(disk, faults), world: w}
			if l.open() == nil {
				l.write("kept")
			}
			l.s.unlockAll()
			disk.Cut()
			for seed := range uint64(20) {
				if err := verify(disk.Survivor(fs.Tear, seed), w); err != nil {
					return fmt.Errorf("cut at %d, seed %d: %w", cut, seed, err)
				}
			}
		}
		return nil
	}
	must(t, broken())
	if broken(fs.Rule{Op: fs.OpSyncDir, Name: "log", Skip: 2, Swallow: true}) == nil {
		t.Error("nothing is lost without the sync after the removal")
	}
}

// recoveryWithout kills a sound life at an operation, starts a second one whose first matching sync does nothing, lets a client read
// what it found, and cuts the power then or before.
func recoveryWithout(t *testing.T, rule fs.Rule, kill int) error {
	for cut := range 12 {
		disk := fs.NewCrash()
		must(t, disk.MkdirAll("/state", 0o755))
		disk.Persist()
		w := &world{}
		l := &life{fsys: faulty(disk, []fs.Rule{{Op: fs.AnyChange, Skip: kill, Err: errKilled}}), world: w}
		l.run(0)
		l.s.unlockAll()
		if cut > 0 {
			disk.CutAt(disk.Ops() + cut)
		}
		rule.Times = 1
		l = &life{fsys: faulty(disk, []fs.Rule{rule}), world: w}
		if err := l.load(); err == nil {
			w.acked = slices.Clone(l.state) // what Load returned is durable by itself, without the write of a new term
		}
		l.s.unlockAll()
		disk.Cut()
		if err := verify(disk.Survivor(fs.LoseAll, 0), w); err != nil {
			return fmt.Errorf("killed at %d, cut at %d: %w", kill, cut, err)
		}
	}
	return nil
}

// The order of writes and syncs, for reading.
func TestOrderOfOperations(t *testing.T) {
	disk := fs.NewCrash()
	must(t, disk.MkdirAll("/data", 0o755))
	must(t, disk.MkdirAll("/logs", 0o755))
	must(t, disk.MkdirAll("/state", 0o755))
	l := &life{fsys: disk, world: &world{}}
	must(t, l.open())
	must(t, l.write("one"))
	must(t, l.write("two", "three"))
	must(t, l.checkpoint())
	must(t, l.write(strings.Repeat("4", 900)))
	must(t, l.checkpoint())
	must(t, l.s.Close())
	var b bytes.Buffer
	for _, e := range disk.Trace() {
		fmt.Fprintln(&b, strings.TrimPrefix(e.String(), fmt.Sprintf("%d ", e.N)))
	}
	golden := filepath.Join("testdata", "operations.txt")
	if os.Getenv("REWRITE") != "" {
		must(t, os.WriteFile(golden, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("operations changed (REWRITE=1 accepts them):\n%s", &b)
	}
}
