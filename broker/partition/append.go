package partition

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
	"ottla/broker/purgatory"
	"ottla/broker/record"
)

// AcksAll is the acks value of a produce that waits for the whole ISR.
const AcksAll = -1

// Append appends the sets as the leader, each of which succeeds or fails alone (set.Err). acks has the acks value of each.
// With a log start offset in the answer's place where Kafka gives one, an error of the log's leaves set.LogStartOffset valid.
// It returns the leader epoch that the sets were appended in, which Acked wants; an error means that all sets failed.
func (p *Partition) Append(sets []*commitlog.AppendSet, acks []int16) (int32, error) {
	return p.append(anyEpoch, sets, acks)
}

const anyEpoch = -1

// append is Append, as the leader in one epoch only.
func (p *Partition) append(in int32, sets []*commitlog.AppendSet, acks []int16) (int32, error) {
	p.role.RLock()
	defer p.role.RUnlock()
	role := p.current.Load()
	if !role.Leads || in != anyEpoch && in != role.LeaderEpoch {
		for _, s := range sets {
			s.Err = kerr.NotLeaderForPartition
		}
		return role.LeaderEpoch, kerr.NotLeaderForPartition
	}
	admitted := p.admit(sets, acks)
	if len(admitted) == 0 {
		return role.LeaderEpoch, kerr.NotEnoughReplicas
	}
	if err := p.log.Append(role.LeaderEpoch, admitted); err != nil {
		return role.LeaderEpoch, err
	}
	var bytes, messages, sync int64
	for _, s := range admitted {
		if s.Err == nil && !s.Duplicate {
			bytes += int64(len(s.Records))
			messages += s.LastOffset - s.FirstOffset + 1
			sync = max(sync, s.SyncTo)
		}
	}
	if bytes == 0 {
		return role.LeaderEpoch, nil
	}
	end := p.log.LogEnd()
	p.written.Add(bytes)
	p.traffic.BytesIn.Add(bytes)
	p.traffic.MessagesIn.Add(messages)
	syncing := p.log.SyncBeforeAck()
	p.mu.Lock()
	p.acks.SetSyncing(syncing)
	moved := p.acks.Appended(end, p.now())
	p.publishLocked(moved)
	p.mu.Unlock()
	if syncing {
		p.log.RequestSync(end)
	} else if sync > 0 {
		p.log.RequestSync(sync)
	}
	p.wake(moved)
	return role.LeaderEpoch, nil
}

// admit fails the sets with acks=all if too few replicas are in sync, and returns the others.
func (p *Partition) admit(sets []*commitlog.AppendSet, acks []int16) []*commitlog.AppendSet {
	p.mu.Lock()
	err := p.acks.Admit()
	p.mu.Unlock()
	if err == nil {
		return sets
	}
	admitted := make([]*commitlog.AppendSet, 0, len(sets))
	for i, s := range sets {
		if acks[i] != AcksAll {
			admitted = append(admitted, s)
			continue
		}
		s.Err, s.LogStartOffset = err, p.log.LogStart()
	}
	return admitted
}

// Acked says whether a set that was appended in the leader epoch may be acknowledged, or never will be. It is a waiter's
// condition at Produces: over memory only.
func (p *Partition) Acked(epoch int32, acks int16, set *commitlog.AppendSet) (bool, error) {
	role := p.current.Load()
	if acks == AcksAll && (!role.Leads || role.Since > epoch) {
		return true, kerr.NotLeaderForPartition
	}
	if set.SyncTo > p.log.SyncedEnd() {
		err := p.log.Err()
		if err == nil && role.Closed { // it may never be synced, and nobody would tell
			err = kerr.NotLeaderForPartition
		}
		return err != nil, err
	}
	if acks != AcksAll {
		return true, nil
	}
	p.mu.Lock()
	done, err := p.acks.Reached(set.LastOffset + 1)
	p.mu.Unlock()
	if !done {
		if lerr := p.log.Err(); lerr != nil {
			return true, lerr
		}
	}
	return done, err
}

// AckPlace is where to wait for Acked.
func (p *Partition) AckPlace(acks int16, set *commitlog.AppendSet) purgatory.Place {
	need := set.SyncTo
	if acks == AcksAll {
		need = max(need, set.LastOffset+1)
	}
	return purgatory.Place{Key: &p.Produces, Need: need}
}

// Commit appends records (v2 batches of a coordinator's, base offset 0) with acks=all and waits until they are committed, at most
// for the timeout (REQUEST_TIMED_OUT) or until ctx ends (its error). In another leader epoch than the given one it fails: what the
// coordinator knows is of that epoch, and whoever loads the partition in a later one must find all of it. records are stamped in
// place and not kept.
func (p *Partition) Commit(ctx context.Context, leaderEpoch int32, records []byte, timeout time.Duration) (first, last int64, err error) {
	set := commitlog.AppendSet{Records: records, LogAppendTime: -1}
	for rest := records; len(rest) > 0; {
		h, err := record.ParseHeader(rest)
		if err != nil {
			return 0, 0, err
		}
		if h.Size() > len(rest) {
			return 0, 0, kerr.CorruptMessage
		}
		set.Batches, rest = append(set.Batches, h), rest[h.Size():]
	}
	p.traffic.Produces.Add(1)
	epoch, err := p.append(leaderEpoch, []*commitlog.AppendSet{&set}, []int16{AcksAll})
	if err == nil {
		err = set.Err
	}
	if err != nil {
		return 0, 0, err
	}
	if done, err := p.Acked(epoch, AcksAll, &set); done {
		return set.FirstOffset, set.LastOffset, err
	}
	w := purgatory.Watch([]purgatory.Place{p.AckPlace(AcksAll, &set)}, timeout, nil, func() bool {
		done, _ := p.Acked(epoch, AcksAll, &set)
		return done
	})
	defer w.Forget()
	select {
	case <-w.Ready():
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	done, err := p.Acked(epoch, AcksAll, &set)
	if !done {
		err = kerr.RequestTimedOut
	}
	return set.FirstOffset, set.LastOffset, err
}
