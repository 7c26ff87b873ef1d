package ensemble

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"ottla/coord/store"
)

// ErrStopped is returned by Propose once the ensemble is stopping or has failed. Whether batches proposed before are in the log is
// then unknown: their outcome is found by the next start.
var ErrStopped = errors.New("the coordinator is stopping")

// Config is what an Ensemble needs.
type Config struct {
	// Store is the log and checkpoint, opened and with its checkpoint already loaded into Machine. The caller closes it after
	// Close.
	Store   *store.Store
	Machine Machine
	Logger  zerolog.Logger

	// Tick is raft's unit of time; 0 is 50 ms. An election takes 20 of them, in a group of one none.
	Tick time.Duration
	// CheckpointBytes and CheckpointTxns are how much log may lie behind the last checkpoint before the next one starts;
	// 0 is 256 MiB and 512 Ki transactions.
	CheckpointBytes int64
	CheckpointTxns  int64
	// PendingBytes is how much may wait in Propose before it blocks; 0 is 16 MiB.
	PendingBytes int
	// UnappliedBytes is how much may be in the log and memory without being applied before Propose's queue is no longer taken;
	// 0 is 64 MiB.
	UnappliedBytes int
	// SlowSync is how long an fsync may take before it is worth a line in the log; 0 is 1 s.
	SlowSync time.Duration
}

const (
	electionTicks  = 20
	heartbeatTicks = 2
	applyingBytes  = 16 << 20 // handed to apply at once
	inlineBytes    = 4 << 10  // an entry that is applied on the loop itself if nothing else waits
	restartBytes   = 1 << 20  // of log behind the last checkpoint at a stop, from which on it is cheaper to begin a new segment
)

// Ensemble is a member of the group. Safe for concurrent use.
type Ensemble struct {
	cfg   Config
	queue *queue
	wake  chan struct{} // something waits for the loop: a batch, a task, a stop

	mu       sync.Mutex
	tasks    []func() // to be run on the loop
	stopping bool
	err      error
	failed   chan struct{} // closed with err set
	closing  chan struct{} // closed when Close has begun, or with failed
	stats    Stats

	ready     chan struct{} // closed when everything from earlier lives is applied
	applyDone chan struct{} // closed when the apply goroutine and its checkpoints have ended
	done      chan struct{} // closed when everything has
	loops     sync.WaitGroup

	// The loop's own.
	node      *raft.RawNode
	storage   *storage
	hs        store.HardState // as raft wants it; the commit index may be ahead of the log's
	batches   [][]byte        // reused
	appliedTo uint64
	applying  int                // messages that the apply goroutine has
	applyc    chan<- *pb.Message // nil once closed

	apply applier
}

// New starts the member: it replays the log behind the checkpoint into the machine, opens a new term, and returns once every entry
// that was acknowledged in an earlier life is applied.
func New(cfg Config) (*Ensemble, error) {
	setDefaults(&cfg)
	log, h := cfg.Store.Log(), cfg.Store.Header()
	conf := &pb.ConfState{Voters: []uint64{cfg.Store.Member()}}
	if h.Conf != nil {
		conf = &pb.ConfState{}
		if err := proto.Unmarshal(h.Conf, conf); err != nil {
			return nil, fmt.Errorf("the checkpoint's list of members: %w", err)
		}
	}
	e := &Ensemble{
		cfg: cfg, queue: newQueue(cfg.PendingBytes), wake: make(chan struct{}, 1),
		failed: make(chan struct{}), closing: make(chan struct{}), ready: make(chan struct{}), applyDone: make(chan struct{}), done: make(chan struct{}),
		storage: &storage{log: log, conf: conf}, hs: log.HardState(), appliedTo: h.Index,
	}
	applyc := make(chan *pb.Message, 16)
	e.applyc = applyc
	e.apply = applier{e: e, index: h.Index, term: h.Term, saved: h.Index, conf: conf, opensTerm: e.hs.Term + 1}
	var err error
	e.node, err = raft.NewRawNode(&raft.Config{
		ID: cfg.Store.Member(), ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks,
		Storage: e.storage, Applied: h.Index, AsyncStorageWrites: true,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: applyingBytes,
		// No limit of raft's own on what is not committed: it would drop proposals, where the loop's limit makes them wait.
		MaxInflightMsgs: 64, MaxInflightBytes: 16 << 20,
		CheckQuorum: true, PreVote: true, StepDownOnRemoval: true, DisableProposalForwarding: true,
		Logger: raftLogger{cfg.Logger},
	})
	if err != nil {
		return nil, err
	}
	e.loops.Go(e.run)
	e.loops.Go(func() { e.apply.run(applyc) })
	go func() {
		e.loops.Wait()
		close(e.done)
	}()
	select {
	case <-e.ready:
		return e, nil
	case <-e.failed:
		<-e.done
		return nil, e.Err()
	}
}

func setDefaults(cfg *Config) {
	if cfg.Tick == 0 {
		cfg.Tick = 50 * time.Millisecond
	}
	if cfg.CheckpointBytes == 0 {
		cfg.CheckpointBytes = 256 << 20
	}
	if cfg.CheckpointTxns == 0 {
		cfg.CheckpointTxns = 512 << 10
	}
	if cfg.PendingBytes == 0 {
		cfg.PendingBytes = 16 << 20
	}
	if cfg.UnappliedBytes == 0 {
		cfg.UnappliedBytes = 64 << 20
	}
	if cfg.SlowSync == 0 {
		cfg.SlowSync = time.Second
	}
}

// Propose queues a batch for the log and returns at once, unless PendingBytes wait already: then it blocks. The batch reaches
// Machine.Apply after it is durable, or never, if the ensemble stops before. Batches of one goroutine keep their order. The slice
// belongs to the ensemble from then on; it must not be empty. Safe for concurrent use; calls that wait together share one fsync.
func (e *Ensemble) Propose(batch []byte) error {
	if len(batch) == 0 {
		return errors.New("an empty batch cannot be proposed")
	}
	if !e.queue.put(batch) {
		return ErrStopped
	}
	e.nudge()
	return nil
}

// nudge makes the loop look around. It never blocks.
func (e *Ensemble) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// post runs fn on the loop, soon, or never if the ensemble stops.
func (e *Ensemble) post(fn func()) {
	e.mu.Lock()
	e.tasks = append(e.tasks, fn)
	e.mu.Unlock()
	e.nudge()
}

// Done is closed when all of the ensemble has stopped, by Close or because something failed.
func (e *Ensemble) Done() <-chan struct{} { return e.done }

// Failed is closed as soon as something failed; no batch is applied after that which was not durable before.
func (e *Ensemble) Failed() <-chan struct{} { return e.failed }

// Err says why the ensemble stopped by itself; nil otherwise.
func (e *Ensemble) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// fail stops the ensemble. The first error wins.
func (e *Ensemble) fail(err error) {
	e.mu.Lock()
	if e.err == nil {
		e.err = err
		close(e.failed)
		if !e.stopping {
			close(e.closing)
		}
	}
	e.mu.Unlock()
	e.queue.close()
	e.nudge()
}

// Close applies what is in the log, makes a last checkpoint, so that the next start has nothing to replay, and stops. It returns the
// error that stopped the ensemble, if one did. It may be called more than once.
func (e *Ensemble) Close() error {
	e.queue.close()
	e.mu.Lock()
	if !e.stopping && e.err == nil {
		close(e.closing)
	}
	e.stopping = true
	e.mu.Unlock()
	e.nudge()
	<-e.done
	return e.Err()
}

// count changes the statistics.
func (e *Ensemble) count(fn func(s *Stats)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fn(&e.stats)
}

// Stats are counters since the start.
type Stats struct {
	Term        uint64        // raft's
	Applied     uint64        // index of the last applied entry
	Groups      uint64        // writes to the log, each with one fsync
	Batches     uint64        // in them
	Bytes       uint64        // of entries
	SyncTotal   time.Duration // of write and fsync together
	SyncMin     time.Duration
	SyncMax     time.Duration
	Checkpoints uint64
	Checkpoint  time.Duration // the last one took
	// CheckpointTotal, -Min and -Max are over all of them. Entries is how many transactions were applied since the last one began.
	CheckpointTotal, CheckpointMin, CheckpointMax time.Duration
	CheckpointAt                                  time.Time // when the last one ended
	Entries                                       int64
}

// Stats returns a copy.
func (e *Ensemble) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}
