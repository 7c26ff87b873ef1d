package ensemble

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"ottla/coord/store"
)

// run is the loop goroutine.
func (e *Ensemble) run() {
	defer e.endApply()
	// raft panics when its log is not what it remembers: then this member must not go on, but it can say so.
	defer func() {
		if p := recover(); p != nil {
			e.fail(fmt.Errorf("raft: %v", p))
		}
	}()
	tick := time.NewTicker(e.cfg.Tick)
	defer tick.Stop()
	if err := e.catchUp(tick); err != nil {
		e.fail(err)
		return
	}
	for {
		if err := e.work(); err != nil {
			e.fail(err)
			return
		}
		if e.finished() {
			if err := e.finish(); err != nil {
				e.fail(err)
			}
			return
		}
		select {
		case <-e.failed:
			return
		case <-e.wake:
		case <-tick.C:
			e.node.Tick()
		}
	}
}

// catchUp applies what earlier lives know as committed, then stands for election: alone in its group, a member wins at once and
// with that commits the rest of its log. Doing it in this order reads the log once.
func (e *Ensemble) catchUp(tick *time.Ticker) error {
	for {
		if err := e.work(); err != nil {
			return err
		}
		if e.appliedTo >= e.node.BasicStatus().GetCommit() {
			return e.node.Campaign()
		}
		select {
		case <-e.failed:
			return e.Err()
		case <-e.wake:
		}
	}
}

// work does everything that can be done without waiting.
func (e *Ensemble) work() error {
	for {
		e.runTasks()
		select {
		case <-e.failed:
			return e.Err()
		default:
		}
		if err := e.propose(); err != nil {
			return err
		}
		if !e.node.HasReady() {
			return nil
		}
		if err := e.handle(e.node.Ready()); err != nil {
			return err
		}
	}
}

func (e *Ensemble) runTasks() {
	e.mu.Lock()
	tasks := e.tasks
	e.tasks = nil
	e.mu.Unlock()
	for _, fn := range tasks {
		fn()
	}
}

// propose gives raft all batches that wait.
func (e *Ensemble) propose() error {
	if e.storage.bytes >= e.cfg.UnappliedBytes || e.node.BasicStatus().RaftState != raft.StateLeader {
		return nil
	}
	clear(e.batches)
	e.batches = e.queue.take(e.batches)
	e.count(func(s *Stats) { s.Batches += uint64(len(e.batches)) })
	for rest := e.batches; len(rest) > 0; {
		var entry []byte
		entry, rest = pack(rest)
		if err := e.node.Propose(entry); err != nil {
			return fmt.Errorf("raft refused an entry of %d bytes: %w", len(entry), err)
		}
	}
	return nil
}

// handle does what raft asks for, in its order.
func (e *Ensemble) handle(rd raft.Ready) error {
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			if err := e.append(m); err != nil {
				return err
			}
		case raft.LocalApplyThread:
			if err := e.handOut(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// handOut has entries applied. With nothing else to do the loop does it itself, which saves a lone writer the way through another
// goroutine; else apply does, while the loop writes the next group.
func (e *Ensemble) handOut(m *pb.Message) error {
	if e.applying == 0 && len(m.GetEntries()) == 1 && len(m.GetEntries()[0].GetData()) <= inlineBytes && e.queue.empty() {
		if err := e.apply.handle(m); err != nil {
			return err
		}
		e.applied(m)
		return nil
	}
	e.applying++
	// Never blocks for long: raft hands out no more than applyingBytes at a time, and apply needs nothing of the loop.
	select {
	case e.applyc <- m:
		return nil
	case <-e.failed:
		return e.Err()
	}
}

// append writes entries and hard state, and tells raft once they are durable.
func (e *Ensemble) append(m *pb.Message) error {
	if m.Term != nil {
		e.hs = store.HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
	}
	// A commit index alone is not worth a write; it goes with the next group.
	if now := e.storage.log.HardState(); len(m.GetEntries()) > 0 || e.hs.Term != now.Term || e.hs.Vote != now.Vote {
		start := time.Now()
		if err := e.storage.append(e.hs, m.GetEntries()); err != nil {
			return err
		}
		e.countGroup(time.Since(start), m.GetEntries())
	}
	for _, r := range m.GetResponses() {
		if r.GetTo() == e.cfg.Store.Member() {
			if err := e.node.Step(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Ensemble) countGroup(took time.Duration, entries []*pb.Entry) {
	e.count(func(s *Stats) {
		s.Groups++
		for _, ent := range entries {
			s.Bytes += uint64(len(ent.GetData()))
		}
		s.SyncTotal += took
		s.SyncMax = max(s.SyncMax, took)
		if s.SyncMin == 0 || took < s.SyncMin {
			s.SyncMin = took
		}
		s.Term = e.hs.Term
	})
	if took >= e.cfg.SlowSync {
		e.cfg.Logger.Warn().Dur("took", took).Msg("a write to the log was slow; clients wait for it")
	}
}

// applied hears that the entries of a message were applied.
func (e *Ensemble) applied(m *pb.Message) {
	ents := m.GetEntries()
	e.appliedTo = ents[len(ents)-1].GetIndex()
	e.storage.applied(e.appliedTo)
	for _, r := range m.GetResponses() {
		if err := e.node.Step(r); err != nil {
			e.fail(err)
		}
	}
}

// finished reports whether Close was called and nothing is left to write or to apply.
func (e *Ensemble) finished() bool {
	e.mu.Lock()
	stopping := e.stopping
	e.mu.Unlock()
	return stopping && e.queue.empty() && e.appliedTo == e.storage.log.LastIndex()
}

// finish lets apply make its last checkpoint and leaves a log that the next start reads quickly.
func (e *Ensemble) finish() error {
	e.endApply()
	for {
		e.runTasks() // the checkpoint needs the Log
		select {
		case <-e.failed:
			return e.Err()
		case <-e.wake:
			continue
		case <-e.applyDone:
		}
		break
	}
	log := e.storage.log
	if err := log.Append(e.hs, nil); err != nil {
		return err
	}
	if log.Bytes() < restartBytes {
		return nil
	}
	if err := log.Roll(); err != nil {
		return err
	}
	return log.Compact(e.appliedTo)()
}

func (e *Ensemble) endApply() {
	if e.applyc != nil {
		close(e.applyc)
		e.applyc = nil
	}
}
