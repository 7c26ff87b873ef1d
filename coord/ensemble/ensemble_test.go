package ensemble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"ottla/coord/store"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list is a machine that remembers what it was told, in order.
type list struct {
	mu      sync.Mutex
	batches []string
	terms   []uint64
	index   uint64
	term    uint64
	saved   int
	grown   chan struct{} // closed and replaced with each batch
	hold    chan struct{} // Apply waits for it, if set
	refuse  string
}

func newList() *list { return &list{grown: make(chan struct{})} }

func (l *list) Apply(index, term uint64, batch []byte) (int, error) {
	l.mu.Lock()
	hold := l.hold
	l.mu.Unlock()
	if hold != nil {
		<-hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if index < l.index || term < l.term {
		return 0, fmt.Errorf("entry %d of term %d after %d of %d", index, term, l.index, l.term)
	}
	l.index = index
	if batch == nil {
		if term <= l.term {
			return 0, fmt.Errorf("term %d opened after %d", term, l.term)
		}
		l.term = term
		return 0, nil
	}
	l.term = term
	switch {
	case l.refuse == "":
	case string(batch) == l.refuse:
		return 0, errors.New("refused")
	case "panic "+string(batch) == l.refuse:
		panic("refused")
	}
	l.batches = append(l.batches, string(batch))
	l.terms = append(l.terms, term)
	close(l.grown)
	l.grown = make(chan struct{})
	return 1, nil
}

func (l *list) Snapshot() (Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, batches := l.saved, l.batches[l.saved:len(l.batches):len(l.batches)]
	l.saved = len(l.batches)
	return Snapshot{Meta: fmt.Append(nil, len(l.batches)), Changes: func(yield func(store.Record) bool) {
		for i, b := range batches {
			if !yield(store.Record{Bucket: "list", Key: binary.BigEndian.AppendUint64(nil, uint64(from+i)), Value: []byte(b)}) {
				return
			}
		}
	}}, nil
}

func (l *list) restore(_ store.Header, records iter.Seq2[store.Record, error]) error {
	for r := range records {
		l.batches = append(l.batches, string(r.Value))
		l.terms = append(l.terms, 0)
	}
	l.saved = len(l.batches)
	return nil
}

// wait returns once n batches were applied.
func (l *list) wait(t testing.TB, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		have, grown := len(l.batches), l.grown
		l.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("%d of %d batches applied", have, n)
		}
	}
}

func (l *list) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.batches...)
}

// member is one life of a server.
type member struct {
	*Ensemble
	list  *list
	store *store.Store
}

// checkpoints is one atomic value on the same disk; see coord/store's power cut test.
type checkpoints struct {
	fsys fs.FS
	fail error
}

func (c *checkpoints) Load(fn store.LoadFunc) error {
	var h store.Header
	b, err := fs.ReadFile(c.fsys, "/state/state.db", 1<<30)
	if err != nil {
		return nil
	}
	h.Index, h.Term = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	h.Conf = b[17 : 17+b[16]]
	b = b[17+b[16]:]
	return fn(h, func(yield func(store.Record, error) bool) {
		for len(b) > 0 {
			n := binary.BigEndian.Uint32(b[8:])
			if !yield(store.Record{Bucket: "list", Key: b[:8], Value: b[12 : 12+n]}, nil) {
				return
			}
			b = b[12+n:]
		}
	})
}

func (c *checkpoints) Commit(h store.Header, changes iter.Seq[store.Record]) error {
	if c.fail != nil {
		return c.fail
	}
	b := binary.BigEndian.AppendUint64(nil, h.Index)
	b = binary.BigEndian.AppendUint64(b, h.Term)
	b = append(append(b, byte(len(h.Conf))), h.Conf...)
	add := func(r store.Record) {
		b = append(b, r.Key...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.Value)))
		b = append(b, r.Value...)
	}
	err := c.Load(func(_ store.Header, records iter.Seq2[store.Record, error]) error {
		for r := range records {
			add(r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for r := range changes {
		add(r)
	}
	return fs.WriteFileAtomic(c.fsys, "/state", "/state/state.db", b)
}

func (c *checkpoints) Close() error { return nil }

func newDisk(t testing.TB) *fs.Crash {
	c := fs.NewCrash()
	must(t, c.MkdirAll("/state", 0o755))
	c.Persist()
	return c
}

func open(fsys fs.FS, change ...func(*Config)) (*member, error) {
	m := &member{list: newList()}
	ckpt := &checkpoints{fsys: fsys}
	var err error
	m.store, err = store.Open(store.Options{Dir: "/data", FS: fsys, Checkpoints: ckpt, SegmentBytes: 8 << 10, Logger: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	if err = m.store.Load(m.list.restore); err == nil {
		cfg := Config{Store: m.store, Machine: m.list, Logger: zerolog.Nop()}
		for _, fn := range change {
			fn(&cfg)
		}
		m.Ensemble, err = New(cfg)
	}
	if err != nil {
		m.store.Close()
		return nil, err
	}
	return m, nil
}

func mustOpen(t testing.TB, fsys fs.FS, change ...func(*Config)) *member {
	t.Helper()
	m, err := open(fsys, change...)
	must(t, err)
	return m
}

func (m *member) stop(t testing.TB) {
	t.Helper()
	must(t, m.Close())
	must(t, m.store.Close())
}

func proposeN(t testing.TB, m *member, n int) {
	t.Helper()
	have := len(m.list.all())
	for i := range n {
		must(t, m.Propose(fmt.Appendf(nil, "batch %d", have+i)))
	}
	m.list.wait(t, have+n)
}

func verify(t testing.TB, m *member, n int) {
	t.Helper()
	all := m.list.all()
	if len(all) != n {
		t.Fatalf("%d batches, want %d", len(all), n)
	}
	for i, b := range all {
		if b != fmt.Sprintf("batch %d", i) {
			t.Fatalf("batch %d is %q", i, b)
		}
	}
}

func TestBatchesAreAppliedInOrderAndSurvive(t *testing.T) {
	disk := newDisk(t)
	m := mustOpen(t, disk)
	proposeN(t, m, 100)
	term := m.Stats().Term
	m.stop(t)
	m = mustOpen(t, disk)
	verify(t, m, 100)
	if m.Stats().Term <= term || m.list.term <= term {
		t.Errorf("term %d after a restart, before %d", m.Stats().Term, term)
	}
	if st := m.Stats(); st.Applied != m.store.Log().LastIndex() || m.store.Header().Index == 0 {
		t.Errorf("a clean stop left no checkpoint: %+v", m.store.Header())
	}
	proposeN(t, m, 50)
	m.stop(t)
	m = mustOpen(t, disk)
	verify(t, m, 150)
	m.stop(t)
}

func TestReplayWithoutCheckpoint(t *testing.T) {
	disk := newDisk(t)
	m := mustOpen(t, disk)
	for range 40 {
		proposeN(t, m, 50)
	}
	kept := disk.Survivor(fs.LoseAll, 0)
	m.stop(t)
	m = mustOpen(t, kept)
	if m.store.Header().Index != 0 || m.store.Log().Recovered().Segments < 3 {
		t.Fatalf("%+v %+v", m.store.Header(), m.store.Log().Recovered())
	}
	verify(t, m, 2000)
	proposeN(t, m, 10)
	m.stop(t)
}

func TestManyProposersShareGroups(t *testing.T) {
	disk := newDisk(t)
	m := mustOpen(t, disk)
	const proposers, each = 20, 200
	var wg sync.WaitGroup
	for p := range proposers {
		wg.Go(func() {
			for i := range each {
				if err := m.Propose(fmt.Appendf(nil, "%d %d", p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	m.list.wait(t, proposers*each)
	var next [proposers]int
	for _, b := range m.list.all() {
		var p, i int
		fmt.Sscanf(b, "%d %d", &p, &i)
		if i != next[p] {
			t.Fatalf("batch %d of proposer %d came when %d was next", i, p, next[p])
		}
		next[p]++
	}
	st := m.Stats()
	if st.Batches != proposers*each || st.Groups > st.Batches {
		t.Errorf("%+v", st)
	}
	m.stop(t)
}

func TestCheckpointBoundsTheLog(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"txns":  func(c *Config) { c.CheckpointTxns = 300 },
		"bytes": func(c *Config) { c.CheckpointBytes = 10 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t)
			m := mustOpen(t, disk, limit)
			for range 20 {
				proposeN(t, m, 250)
			}
			deadline := time.Now().Add(10 * time.Second)
			for m.Stats().Checkpoints < 3 {
				if time.Now().After(deadline) {
					t.Fatalf("%+v", m.Stats())
				}
				proposeN(t, m, 50)
			}
			n := len(m.list.all())
			killed := disk.Survivor(fs.LoseAll, 0)
			m.stop(t)
			m = mustOpen(t, killed, limit)
			if m.store.Header().Index == 0 || m.store.Log().Recovered().Entries > m.store.Log().LastIndex()/2 {
				t.Errorf("replayed from %d: %+v", m.store.Header().Index, m.store.Log().Recovered())
			}
			verify(t, m, n)
			m.stop(t)
		})
	}
}

func TestLargeBatchesAndPacking(t *testing.T) {
	disk := newDisk(t)
	m := mustOpen(t, disk)
	hold := make(chan struct{})
	m.list.mu.Lock()
	m.list.hold = hold
	m.list.mu.Unlock()
	var want []string
	for i := range 40 {
		b := strings.Repeat(string(rune('a'+i%26)), i*i*i*5+1)
		want = append(want, b)
		must(t, m.Propose([]byte(b)))
	}
	close(hold)
	m.list.wait(t, len(want))
	killed := disk.Survivor(fs.LoseAll, 0)
	m.stop(t)
	m = mustOpen(t, killed)
	for i, b := range m.list.all() {
		if b != want[i] {
			t.Fatalf("batch %d has %d bytes, want %d", i, len(b), len(want[i]))
		}
	}
	m.stop(t)
	if err := m.Propose(nil); err == nil {
		t.Error("an empty batch was taken")
	}
}

func TestBackpressure(t *testing.T) {
	m := mustOpen(t, newDisk(t), func(c *Config) { c.PendingBytes, c.UnappliedBytes = 1000, 64<<10 })
	proposeN(t, m, 1)
	hold := make(chan struct{})
	m.list.mu.Lock()
	m.list.hold = hold
	m.list.mu.Unlock()
	// The loop goes on taking until what is not applied fills its own limit; with a machine that stands still it then stops too.
	big := make([]byte, 8<<10)
	proposed := make(chan int, 100)
	go func() {
		defer close(proposed)
		for i := range 24 {
			if err := m.Propose(big); err != nil {
				return
			}
			proposed <- i
		}
	}()
	n := 0
	for waiting := true; waiting; {
		select {
		case _, ok := <-proposed:
			if !ok {
				t.Fatalf("all %d batches of 8 KiB were taken from a machine that stands still: %v", n, m.Err())
			}
			n++
		case <-time.After(300 * time.Millisecond):
			waiting = false
		}
	}
	if n < 2 {
		t.Errorf("only %d batches were taken", n)
	}
	close(hold)
	for range proposed {
	}
	m.list.wait(t, 25)
	m.stop(t)
}

func TestDiskErrorStops(t *testing.T) {
	for _, op := range []fs.Op{fs.OpWrite, fs.OpDatasync, fs.OpCreate} {
		t.Run(op.String(), func(t *testing.T) {
			disk := newDisk(t)
			faulty := fs.NewFaulty(disk)
			m := mustOpen(t, faulty)
			proposeN(t, m, 10)
			eio := errors.New("input/output error")
			rule := faulty.Inject(fs.Rule{Op: op, Name: "*.wal", Err: eio})
			for m.Propose(make([]byte, 1000)) == nil {
			}
			select {
			case <-m.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("still running")
			}
			applied := len(m.list.all())
			if !errors.Is(m.Err(), eio) || !errors.Is(m.Close(), eio) {
				t.Errorf("stopped with %v", m.Err())
			}
			if m.Propose([]byte("x")) != ErrStopped {
				t.Error("took a batch after the failure")
			}
			if err := m.store.Close(); !errors.Is(err, eio) {
				t.Errorf("store closed with %v", err)
			}
			if rule.Hits() != 1 {
				t.Errorf("the disk was tried %d times", rule.Hits())
			}
			m, err := open(disk.Survivor(fs.LoseAll, 0))
			must(t, err)
			if have := len(m.list.all()); have < applied {
				t.Errorf("%d batches left of %d applied", have, applied)
			}
			m.stop(t)
		})
	}
}

func TestFailedCheckpointStops(t *testing.T) {
	disk := newDisk(t)
	faulty := fs.NewFaulty(disk)
	m := mustOpen(t, faulty, func(c *Config) { c.CheckpointTxns = 10 })
	full := errors.New("no space left on device")
	faulty.Inject(fs.Rule{Op: fs.OpWrite, Name: "state.db.tmp", Err: full})
	for m.Propose([]byte("x")) == nil {
	}
	<-m.Done()
	if !errors.Is(m.Err(), full) || !strings.Contains(m.Err().Error(), "checkpoint at entry") {
		t.Errorf("stopped with %v", m.Err())
	}
	m.store.Close()
}

func TestMachineErrorStops(t *testing.T) {
	for _, refuse := range []string{"batch 5", "panic batch 5"} {
		m := mustOpen(t, newDisk(t))
		m.list.mu.Lock()
		m.list.refuse = refuse
		m.list.mu.Unlock()
		for i := range 6 {
			must(t, m.Propose(fmt.Appendf(nil, "batch %d", i)))
		}
		<-m.Done()
		if m.Err() == nil || !strings.Contains(m.Err().Error(), "refused") || len(m.list.all()) != 5 {
			t.Errorf("stopped with %v after %d batches", m.Err(), len(m.list.all()))
		}
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSlowSyncIsReported(t *testing.T) {
	var b strings.Builder
	disk := newDisk(t)
	m := mustOpen(t, disk, func(c *Config) { c.SlowSync, c.Logger = time.Nanosecond, zerolog.New(&b) })
	proposeN(t, m, 1)
	m.stop(t)
	if !strings.Contains(b.String(), "was slow") {
		t.Errorf("log %q", b.String())
	}
}

func FuzzUnpack(f *testing.F) {
	e, _ := pack([][]byte{[]byte("one"), []byte("two")})
	f.Add(e)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'x'})
	f.Fuzz(func(t *testing.T, entry []byte) {
		var again [][]byte
		if unpack(entry, func(b []byte) error { again = append(again, b); return nil }) != nil {
			return
		}
		var n int
		for _, b := range again {
			n += len(b)
		}
		if n > len(entry) {
			t.Fatalf("%d bytes out of %d", n, len(entry))
		}
	})
}
