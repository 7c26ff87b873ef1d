package logdir

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/commitlog"
	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// tears is how many ways to tear unsynced writes are tried at each cut.
var tears = flag.Uint64("tears", 4, "ways to tear unsynced writes at each power cut")

// world is what clients know: what was acknowledged, which is also all that readers have seen.
type world struct {
	now    time.Time
	n      int                          // values given out
	acked  map[topic.Partition][]string // values by offset
	floor  map[topic.Partition]int64    // retention may have taken what is below
	absent map[topic.Partition]bool     // its deletion was begun: it may be gone
	// aborted are the transactions whose abort was acknowledged.
	aborted map[topic.Partition][]commitlog.AbortedTxn
	meta    Meta
}

func newWorld() *world {
	return &world{now: time.UnixMilli(1e12), acked: map[topic.Partition][]string{}, floor: map[topic.Partition]int64{}, absent: map[topic.Partition]bool{},
		aborted: map[topic.Partition][]commitlog.AbortedTxn{},
		meta:    Meta{ClusterID: "tOsZcvfuT7Guu-sOvApjBQ", BrokerID: 1}}
}

var (
	partA = topic.Partition{Topic: "a", Partition: 0}
	partB = topic.Partition{Topic: "b", Partition: 1}
)

func powerSettings(string) commitlog.Settings {
	s := commitlog.DefaultSettings()
	s.SegmentBytes, s.IndexIntervalBytes, s.FlushMessages, s.RetentionBytes = 450, 90, 1, 900
	return s
}

// start opens a broker's directories.
func (w *world) start(fsys fs.FS) (*Manager, error) {
	m, err := Open(Config{FS: fsys, Dirs: []string{"/data"}, FlushEvery: time.Hour, SnapshotEveryBytes: 300, Now: func() time.Time { return w.now }, Logger: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	m.flushers, m.closers = 1, 1 // so that a cut at an operation is the same each time
	if err = m.SetMeta(w.meta); err == nil {
		err = m.Load(context.Background(), powerSettings)
	}
	if err != nil {
		_ = m.Close(false)
		return nil, err
	}
	return m, nil
}

// send appends batches in one call, waits for the disk and takes them as acknowledged and seen.
func (w *world) send(m *Manager, p topic.Partition, batches int) error {
	l, _, err := m.Create(p, topic.ID{1}, powerSettings(""))
	if err != nil {
		return err
	}
	var sets []*commitlog.AppendSet
	var values []string
	for range batches {
		var set *commitlog.AppendSet
		set, values = w.set(values, 1+w.n%2, false)
		sets = append(sets, set)
	}
	if err := w.append(l, sets, values); err != nil || p != partA {
		return err
	}
	// A transaction whose batch may lie in another segment than the marker.
	set, values := w.set(nil, 2, true)
	if err := w.append(l, []*commitlog.AppendSet{set}, values); err != nil {
		return err
	}
	abort := setOf(record.NewControlBatch(record.Marker{Type: record.Abort}, int64(w.n), 0, 0, w.now.UnixMilli()))
	if err := w.append(l, []*commitlog.AppendSet{abort}, []string{markerValue}); err != nil {
		return err
	}
	w.aborted[p] = append(w.aborted[p], commitlog.AbortedTxn{ProducerID: int64(w.n), FirstOffset: set.FirstOffset, LastOffset: abort.FirstOffset})
	return nil
}

// markerValue stands for a control batch.
const markerValue = "marker"

func (w *world) append(l *commitlog.Log, sets []*commitlog.AppendSet, values []string) error {
	p := l.Partition()
	if err := l.Append(0, sets); err != nil {
		return err
	}
	for _, s := range sets {
		if s.Err != nil {
			return s.Err
		}
		if err := l.Sync(s.SyncTo); err != nil {
			return err
		}
	}
	l.SetHighWatermark(l.SyncedEnd())
	if int(sets[0].FirstOffset) != len(w.acked[p]) {
		return fmt.Errorf("append at %d, want %d", sets[0].FirstOffset, len(w.acked[p]))
	}
	w.acked[p] = append(w.acked[p], values...)
	delete(w.absent, p)
	return nil
}

func (w *world) set(values []string, n int, transactional bool) (*commitlog.AppendSet, []string) {
	b := record.NewBuilder(record.BuilderOptions{})
	if transactional {
		b.SetProducer(int64(w.n+n), 0, 0, true)
	}
	for range n {
		v := fmt.Sprintf("value %d %s", w.n, strings.Repeat("x", w.n%40))
		w.n++
		values = append(values, v)
		b.Append(nil, []byte(v), nil, w.now.UnixMilli()+int64(w.n))
	}
	bytes, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	return setOf(bytes), values
}

// setOf is a set of one batch.
func setOf(batch []byte) *commitlog.AppendSet {
	h, err := record.ParseHeader(batch)
	if err != nil {
		panic(err)
	}
	return &commitlog.AppendSet{Records: batch, Batches: []record.Header{h}, ClientOrigin: true, LogAppendTime: -1}
}

// work is the recorded workload: two lives of a broker that ends in the middle of the second, with rolls, flushes, retention, and a
// partition that is deleted and made again.
func (w *world) work(fsys fs.FS) error {
	for life := range 2 {
		m, err := w.start(fsys)
		if err != nil {
			return err
		}
		if err := w.live(m, life); err != nil || life == 1 {
			_ = m.Close(false)
			return err
		}
		if err := m.Close(true); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) live(m *Manager, life int) error {
	for round := range 3 {
		for _, p := range []topic.Partition{partA, partB} {
			if err := w.send(m, p, 1+round); err != nil {
				return err
			}
		}
		if round == 1 {
			m.flush(m.dirs[0])
			if err := m.dirs[0].failure(); err != nil {
				return err
			}
			w.floor[partA] = int64(len(w.acked[partA]))
			w.floor[partB] = int64(len(w.acked[partB]))
			m.retain(m.dirs[0])
			m.dirs[0].sweep(w.now)
		}
		if round == 1 && life == 1 {
			w.absent[partB] = true
			if err := m.Delete(partB); err != nil {
				return err
			}
			w.acked[partB], w.floor[partB], w.aborted[partB] = nil, 0, nil
		}
	}
	return nil
}

// check opens what a power cut left and compares it with what clients know. Then it goes on working there: a recovery that left
// something loose would show.
func (w *world) check(fsys *fs.Crash, more bool) error {
	m, err := w.start(fsys)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer m.Close(false)
	for p, want := range w.acked {
		l, _ := m.Log(p)
		if l == nil {
			if len(want) > 0 && !w.absent[p] {
				return fmt.Errorf("%s is gone", p)
			}
			continue
		}
		if w.absent[p] {
			continue // of before its deletion, or of after
		}
		if l.LogEnd() < int64(len(want)) || l.LogStart() > w.floor[p] {
			return fmt.Errorf("%s has [%d, %d), acknowledged are [%d, %d)", p, l.LogStart(), l.LogEnd(), w.floor[p], len(want))
		}
		if l.SyncedEnd() != l.LogEnd() {
			return fmt.Errorf("%s is opened with end %d, synced %d", p, l.LogEnd(), l.SyncedEnd())
		}
		for offset := l.LogStart(); offset < l.LogEnd(); offset++ {
			got, err := valueAt(l, offset)
			if err != nil {
				return fmt.Errorf("%s at %d of %d: %w", p, offset, l.LogEnd(), err)
			}
			if offset < int64(len(want)) && got != want[offset] {
				return fmt.Errorf("%s at %d: %q, acknowledged was %q", p, offset, got, want[offset])
			}
		}
		txns, err := l.AbortedTxns(l.LogStart(), l.LogEnd())
		if err != nil {
			return err
		}
		for _, t := range w.aborted[p] {
			if t.LastOffset >= l.LogStart() && !slices.ContainsFunc(txns, func(x commitlog.AbortedTxn) bool {
				return x.ProducerID == t.ProducerID && x.FirstOffset == t.FirstOffset && x.LastOffset == t.LastOffset
			}) {
				return fmt.Errorf("%s: transaction %v is not known as aborted, only %v are", p, t, txns)
			}
		}
	}
	if !more {
		return nil
	}
	next := newWorld()
	next.n, next.now = w.n+1000, w.now
	for _, p := range []topic.Partition{partA, partB} {
		if l, _ := m.Log(p); l != nil {
			for offset := range l.LogEnd() {
				v := ""
				if offset >= l.LogStart() {
					if v, err = valueAt(l, offset); err != nil {
						return err
					}
				}
				next.acked[p] = append(next.acked[p], v)
			}
			next.floor[p] = l.LogStart()
		}
		if err := next.send(m, p, 2); err != nil {
			return fmt.Errorf("going on: %w", err)
		}
	}
	for seed, loss := range []fs.Loss{fs.LoseAll, fs.Tear, fs.Tear} {
		if err := next.check(fsys.Survivor(loss, uint64(seed)), false); err != nil {
			return fmt.Errorf("cut again, %s: %w", loss, err)
		}
	}
	return nil
}

// valueAt reads one record as a fetch at its offset does.
func valueAt(l *commitlog.Log, offset int64) (string, error) {
	s, err := l.Read(offset, l.LogEnd(), 1, true)
	if err != nil {
		return "", err
	}
	defer s.Release()
	b := make([]byte, s.Len)
	if _, err := s.ReadAt(b, 0); err != nil {
		return "", err
	}
	if len(b) == 0 {
		return "", errors.New("nothing is there")
	}
	if err := record.CheckCRC(b); err != nil {
		return "", err
	}
	for rec, err := range record.All(b) {
		if err != nil {
			return "", err
		}
		if h, _ := record.ParseHeader(b); h.IsControl() {
			return markerValue, nil
		}
		if rec.Offset == offset {
			return string(rec.Value), nil
		}
	}
	return "", errors.New("its batch does not hold it")
}

// cuts runs the workload with the power cut at every operation, through wrap, and checks each kind of loss with several seeds. It
// returns the first violation.
func cuts(wrap func(fs.FS) fs.FS, seeds uint64, more bool) (ops int, err error) {
	whole := fs.NewCrash()
	whole.Now = newWorld().clock()
	if err := newWorld().work(whole); err != nil {
		return 0, fmt.Errorf("without a cut: %w", err)
	}
	// A cut behind the last operation too: what was swallowed need not have one after it.
	for n := 1; n <= whole.Ops()+1; n++ {
		c := fs.NewCrash()
		c.Now = newWorld().clock()
		c.CutAt(n)
		w := newWorld()
		if err := w.work(wrap(c)); err != nil && !errors.Is(err, fs.ErrPowerCut) {
			return n, fmt.Errorf("cut at %d: the workload ended with %w", n, err)
		}
		c.Cut()
		for _, loss := range fs.Losses {
			for seed := range seeds {
				if loss != fs.Tear && seed > 0 {
					continue
				}
				if err := w.check(c.Survivor(loss, seed), more); err != nil {
					return n, fmt.Errorf("cut at %d (%s), %s, seed %d: %w", n, at(whole, n), loss, seed, err)
				}
			}
		}
	}
	return whole.Ops(), nil
}

func (w *world) clock() func() time.Time { return func() time.Time { return w.now } }

func at(c *fs.Crash, n int) string {
	if trace := c.Trace(); n <= len(trace) {
		return trace[n-1].String()
	}
	return "the end"
}

// TestPowerCut cuts the power at every operation of the workload: nothing that was acknowledged is missing or different afterwards,
// nothing that was seen is taken back, everything that is there can be read, and all of that holds for a second cut after going on.
func TestPowerCut(t *testing.T) {
	ops, err := cuts(func(f fs.FS) fs.FS { return f }, *tears, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations", ops)
}

// TestEverySyncCounts lists the kinds of sync calls of the workload and takes each one out. Those that an acknowledgement, or
// something that a reader saw, depends on must make the check fail.
func TestEverySyncCounts(t *testing.T) {
	kinds := []struct {
		op      fs.Op
		name    string // pattern
		depends string // what does; "" for those whose loss costs nothing but time
	}{
		{fs.OpDatasync, "*.log", "records"},
		{fs.OpSyncDir, "a-0", "the name of a segment"},
		{fs.OpSyncDir, "b-1", "the name of a segment"},
		{fs.OpSyncDir, "data", "the name of a partition; that the mark of a clean stop is gone"},
		{fs.OpDatasync, "*.txnindex", "the aborted transactions of a segment below the recovery point"},
		{fs.OpDatasync, "*.index", ""},                 // what a cut leaves of it leads to a batch before the right one
		{fs.OpSync, recoveryPointFile + ".tmp", ""},    // damaged, it counts as empty: everything is scanned
		{fs.OpSync, highWatermarkFile + ".tmp", ""},    // a leader finds its high watermark anew
		{fs.OpSync, logStartFile + ".tmp", ""},         // only after DeleteRecords, whose answer is no promise about the disk
		{fs.OpSync, cleanFile + ".tmp", ""},            // only its name counts
		{fs.OpSync, metaFile + ".tmp", ""},             // written before anything that depends on it
		{fs.OpSync, "partition.metadata.tmp", ""},      // the controller sends the topic id again
		{fs.OpSync, "leader-epoch-checkpoint.tmp", ""}, // damaged, it is found anew in what is scanned
		{fs.OpSync, "*.snapshot", ""},                  // its checksum says whether it is whole
		{fs.OpDatasync, "*.timeindex", ""},             // damaged, searches by time begin earlier
	}
	whole := fs.NewCrash()
	whole.Now = newWorld().clock()
	if err := newWorld().work(whole); err != nil {
		t.Fatal(err)
	}
	for _, e := range whole.Trace() {
		if e.Op&fs.AnySync == 0 {
			continue
		}
		listed := false
		for _, k := range kinds {
			ok, _ := path.Match(k.name, path.Base(e.Name))
			listed = listed || ok && k.op == e.Op
		}
		if !listed && path.Base(e.Name) != "/" {
			t.Errorf("%s is not listed", e)
		}
	}
	for _, k := range kinds {
		if k.depends == "" {
			continue
		}
		t.Run(k.op.String()+" "+k.name, func(t *testing.T) {
			_, err := cuts(func(under fs.FS) fs.FS {
				f := fs.NewFaulty(under)
				f.Inject(fs.Rule{Op: k.op, Name: k.name, Swallow: true})
				return f
			}, 6, false)
			if err == nil {
				t.Errorf("without it nothing is lost, though %s should depend on it", k.depends)
			}
			t.Logf("without it: %v", err)
		})
	}
}
