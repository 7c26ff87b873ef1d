package ensemble

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"ottla/coord/store"
)

// applier gives the committed entries to the machine and decides when a checkpoint is due. It belongs to the apply goroutine, and to the
// loop while that has no message.
type applier struct {
	e    *Ensemble
	conf *pb.ConfState

	index, term uint64 // of the last applied entry
	opensTerm   uint64 // no entry of an earlier life has this term

	bytes, txns int64         // applied since the last checkpoint began
	saved       uint64        // the index that it has
	running     chan struct{} // closed when it is done; nil before the first
	checkpoints sync.WaitGroup
}

// run is the apply goroutine. It ends when the loop closes messages.
func (a *applier) run(messages <-chan *pb.Message) {
	defer close(a.e.applyDone)
	defer a.checkpoints.Wait()
	for m := range messages {
		if a.e.Err() != nil {
			continue // only to let the loop end
		}
		if err := a.handle(m); err != nil {
			a.e.fail(err)
			continue
		}
		a.e.post(func() {
			a.e.applying--
			a.e.applied(m)
		})
	}
	a.checkpoints.Wait()
	if a.e.Err() == nil && a.index > a.saved {
		if err := a.begin(); err != nil {
			a.e.fail(err)
		}
	}
}

// handle applies the entries of one message of raft, then begins a checkpoint if one is due.
func (a *applier) handle(m *pb.Message) error {
	if err := a.message(m); err != nil {
		return err
	}
	if a.due() {
		return a.begin()
	}
	return nil
}

// message applies the entries of one message of raft.
func (a *applier) message(m *pb.Message) (err error) {
	// A machine that panics would do so again at every replay: say which entry it was, and keep the disk as it is.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("entry %d could not be applied: %v\n%s", a.index+1, p, debug.Stack())
		}
	}()
	for _, ent := range m.GetEntries() {
		if err := a.entry(ent); err != nil {
			return fmt.Errorf("entry %d: %w", ent.GetIndex(), err)
		}
	}
	a.e.count(func(s *Stats) { s.Applied, s.Entries = a.index, a.txns })
	return nil
}

func (a *applier) entry(ent *pb.Entry) error {
	if ent.GetType() != pb.EntryNormal {
		return errors.New("it changes the members of the group, which this version does not do")
	}
	index, term, data := ent.GetIndex(), ent.GetTerm(), ent.GetData()
	apply := func(batch []byte) error {
		txns, err := a.e.cfg.Machine.Apply(index, term, batch)
		a.txns += int64(txns)
		return err
	}
	var err error
	if len(data) == 0 {
		err = apply(nil)
	} else {
		err = unpack(data, apply)
	}
	if err != nil {
		return err
	}
	a.index, a.term = index, term
	a.bytes += int64(len(data))
	if term >= a.opensTerm && a.opensTerm != 0 {
		a.opensTerm = 0
		close(a.e.ready)
		a.mergeLast()
	}
	return nil
}

// mergeLast brings into the checkpoint what an earlier life left beside it. The next checkpoint waits for it.
func (a *applier) mergeLast() {
	running := make(chan struct{})
	a.running = running
	a.checkpoints.Go(func() {
		defer close(running)
		if err := a.e.cfg.Store.Merge(a.e.closing); err != nil {
			a.e.fail(fmt.Errorf("merge of the last checkpoint: %w", err))
		}
	})
}

// due reports whether a checkpoint should begin.
func (a *applier) due() bool {
	if a.bytes < a.e.cfg.CheckpointBytes && a.txns < a.e.cfg.CheckpointTxns {
		return false
	}
	if a.running == nil {
		return true
	}
	select {
	case <-a.running:
		return true
	default:
		return false // the next one begins after it
	}
}

// begin starts a checkpoint of the state as it is now.
func (a *applier) begin() error {
	snap, err := a.e.cfg.Machine.Snapshot()
	if err != nil {
		return fmt.Errorf("checkpoint at entry %d: %w", a.index, err)
	}
	conf, err := proto.Marshal(a.conf)
	if err != nil {
		return err
	}
	h := store.Header{Index: a.index, Term: a.term, Conf: conf, Meta: snap.Meta}
	a.bytes, a.txns, a.saved = 0, 0, a.index
	running := make(chan struct{})
	a.running = running
	a.checkpoints.Go(func() {
		defer close(running)
		if err := a.commit(h, snap); err != nil {
			a.e.fail(fmt.Errorf("checkpoint at entry %d: %w", h.Index, err))
		}
	})
	return nil
}

// commit is the checkpoint goroutine: it makes the checkpoint durable, then removes the log that it replaces.
func (a *applier) commit(h store.Header, snap Snapshot) error {
	start := time.Now()
	if err := a.e.cfg.Store.Commit(h, snap.Changes); err != nil {
		return err
	}
	remove := make(chan func() error, 1)
	a.e.post(func() { remove <- a.e.storage.log.Compact(h.Index) })
	select {
	case fn := <-remove:
		if err := fn(); err != nil {
			return err
		}
	case <-a.e.failed:
		return nil
	}
	took := time.Since(start)
	a.e.count(func(s *Stats) {
		s.Checkpoints++
		s.Checkpoint = took
		s.CheckpointAt = time.Now()
		s.CheckpointTotal += took
		s.CheckpointMax = max(s.CheckpointMax, took)
		if s.CheckpointMin == 0 || took < s.CheckpointMin {
			s.CheckpointMin = took
		}
	})
	if err := a.e.cfg.Store.Merge(a.e.closing); err != nil {
		return err
	}
	a.e.cfg.Logger.Debug().Uint64("index", h.Index).Dur("took", took).Msg("checkpoint")
	return nil
}
