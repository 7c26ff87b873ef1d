package partition

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// unknown is an offset that a follower has not told yet.
const unknown = -1

// Acks decides how far a partition is committed, on its leader. It knows no sockets, no files and no clock: callers report
// where each replica's log ends and ask for the high watermark.
//
// Invariants, within one leader epoch: hw never goes back; hw <= the counted end of the leader and of every member of the
// maximal ISR that has reported one; hw does not move while the ISR is smaller than the effective min ISR.
//
// Not safe for concurrent use.
type Acks struct {
	self    int32
	lagMax  time.Duration    // replica.lag.time.max.ms
	live    func(int32) bool // may the broker join the ISR? nil: nobody may
	minISR  int              // min.insync.replicas as configured
	syncing bool             // the leader counts itself with its synced end

	leaderEpoch    int32
	partitionEpoch int32
	epochStart     int64 // log end when this broker became leader in leaderEpoch
	end, synced    int64 // the leader's log
	hw             int64

	assigned  []int32
	committed []int32 // ISR as the controller knows it
	pending   []int32 // ISR asked for and not answered; nil when none
	followers map[int32]*follower
}

// follower is what the leader knows of another replica.
type follower struct {
	end       int64 // its log end: the offset of its last fetch
	logStart  int64
	caughtUp  time.Time // when it last had everything that the leader had; zero: never
	fetched   time.Time // when it last fetched
	leaderEnd int64     // the leader's end at that time
}

// NewAcks returns the state of a replica on broker self that leads nothing. live says which brokers are alive and not
// shutting down.
func NewAcks(self int32, lagMax time.Duration, live func(int32) bool) *Acks {
	return &Acks{self: self, lagMax: lagMax, live: live, minISR: 1, leaderEpoch: -1, partitionEpoch: -1}
}

// Lead makes the broker the leader as state says, at the end of its log. A higher leader epoch resets what is known of the
// followers; reelected says that this broker was the leader until now, so that their ends are kept. At an unchanged leader
// epoch only assignment and ISR are replaced. A pending ISR change is given up: its answer will not match.
func (a *Acks) Lead(s State, end, synced, hw int64, reelected bool, now time.Time) {
	fresh := s.LeaderEpoch != a.leaderEpoch || a.followers == nil
	old := a.followers
	a.leaderEpoch, a.partitionEpoch = s.LeaderEpoch, s.PartitionEpoch
	a.assigned, a.committed, a.pending = slices.Clone(s.Replicas), slices.Clone(s.ISR), nil
	a.end, a.synced = max(end, a.end), max(synced, a.synced)
	if fresh {
		a.end, a.synced, a.epochStart, a.hw = end, synced, end, min(hw, end)
	}
	a.followers = make(map[int32]*follower, len(s.Replicas))
	for _, id := range s.Replicas {
		if id == a.self {
			continue
		}
		f := old[id]
		if f == nil || fresh && !reelected {
			f = &follower{end: unknown, logStart: unknown}
		}
		if fresh {
			f.caughtUp, f.leaderEnd = time.Time{}, 0
			in := slices.Contains(s.ISR, id)
			if in {
				f.caughtUp = now
			}
			if reelected {
				if f.fetched = (time.Time{}); in {
					f.fetched = now
				}
			}
		}
		a.followers[id] = f
	}
	a.advance(now)
}

// Resign forgets the followers: the broker leads no more.
func (a *Acks) Resign(s State) {
	a.leaderEpoch, a.partitionEpoch = s.LeaderEpoch, s.PartitionEpoch
	a.assigned, a.committed, a.pending = slices.Clone(s.Replicas), slices.Clone(s.ISR), nil
	a.followers = nil
}

// SetMinISR sets min.insync.replicas; SetSyncing whether the leader counts itself with its synced end.
func (a *Acks) SetMinISR(n int, now time.Time) bool {
	a.minISR = n
	return a.advance(now)
}

// SetSyncing says whether the leader counts itself with its synced end (flush.messages=1).
func (a *Acks) SetSyncing(on bool) { a.syncing = on }

// Appended reports the leader's log end. Reports may come out of order. It returns whether the high watermark moved.
func (a *Acks) Appended(end int64, now time.Time) bool {
	if end <= a.end {
		return false
	}
	a.end = end
	return a.advance(now)
}

// Synced reports up to where the leader's log survives a power cut. It returns whether the high watermark moved.
func (a *Acks) Synced(end int64, now time.Time) bool {
	if end <= a.synced {
		return false
	}
	a.synced = end
	return a.syncing && a.advance(now)
}

// Fetched reports that follower id asks for offset, and so has everything before it. advanced says whether the high watermark
// moved, expand whether the follower should be taken into the ISR (see Propose). A replica that is not assigned changes nothing.
func (a *Acks) Fetched(id int32, offset, logStart int64, now time.Time) (advanced, expand bool) {
	f := a.followers[id]
	if f == nil {
		return false, false
	}
	if offset >= a.end {
		f.caughtUp = later(f.caughtUp, now)
	} else if offset >= f.leaderEnd {
		f.caughtUp = later(f.caughtUp, f.fetched)
	}
	f.end, f.logStart, f.fetched, f.leaderEnd = offset, logStart, now, max(f.leaderEnd, a.end)
	return a.advance(now), a.mayJoin(id, f)
}

// LowWatermark is the least log start of this replica, which begins at logStart, and of the followers that are alive; -1 while one of
// those has not told its own.
func (a *Acks) LowWatermark(logStart int64) int64 {
	for id, f := range a.followers {
		if a.eligible(id) {
			logStart = min(logStart, f.logStart)
		}
	}
	return logStart
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mayJoin says whether a follower outside the ISR has what its members have: everything committed, and everything before this
// leader's epoch, since that may not be committed yet by this leader's count.
func (a *Acks) mayJoin(id int32, f *follower) bool {
	return a.pending == nil && !slices.Contains(a.committed, id) && a.eligible(id) && f.end >= a.hw && f.end >= a.epochStart
}

func (a *Acks) eligible(id int32) bool { return a.live != nil && a.live(id) }

// Lagging lists the members of the ISR that have fallen behind, oldest assignment first: not at the leader's end, and not
// caught up within the lag limit. None while a change is pending.
func (a *Acks) Lagging(now time.Time) []int32 {
	if a.pending != nil {
		return nil
	}
	var ids []int32
	for _, id := range a.committed {
		if f := a.followers[id]; f != nil && !a.caughtUp(f, now) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (a *Acks) caughtUp(f *follower, now time.Time) bool {
	return f.end == a.end || !f.caughtUp.IsZero() && now.Sub(f.caughtUp) <= a.lagMax
}

// Propose makes an ISR with id added, or with the ids removed, pending and returns it, to be sent to the controller with the
// leader and partition epoch. One change is pending at a time: nil when there already is one.
func (a *Acks) Propose(add []int32, remove []int32) []int32 {
	if a.pending != nil {
		return nil
	}
	var isr []int32
	for _, id := range a.committed {
		if !slices.Contains(remove, id) {
			isr = append(isr, id)
		}
	}
	for _, id := range add {
		if !slices.Contains(isr, id) {
			isr = append(isr, id)
		}
	}
	a.pending = isr
	return isr
}

// Accepted adopts the controller's answer to a proposal. An answer of another leader epoch, or older than what is known, is
// dropped: a LeaderAndIsr has replaced the state meanwhile. It returns whether the high watermark moved.
func (a *Acks) Accepted(isr []int32, leaderEpoch, partitionEpoch int32, now time.Time) bool {
	if leaderEpoch != a.leaderEpoch || partitionEpoch < a.partitionEpoch {
		return false
	}
	a.committed, a.pending, a.partitionEpoch = slices.Clone(isr), nil, partitionEpoch
	return a.advance(now)
}

// Refused gives the pending change up: the controller will not make it, and the committed ISR holds.
func (a *Acks) Refused(leaderEpoch int32) {
	if leaderEpoch == a.leaderEpoch {
		a.pending = nil
	}
}

// EffectiveMinISR is min.insync.replicas, at most the number of assigned replicas.
func (a *Acks) EffectiveMinISR() int { return min(a.minISR, len(a.assigned)) }

// Admit says whether an append with acks=all may begin.
func (a *Acks) Admit() error {
	if len(a.committed) < a.EffectiveMinISR() {
		return kerr.NotEnoughReplicas
	}
	return nil
}

// Reached says whether everything below offset is committed. The error is for a producer that waited for it with acks=all.
func (a *Acks) Reached(offset int64) (bool, error) {
	if a.hw < offset {
		return false, nil
	}
	if a.maximalSize() < a.EffectiveMinISR() {
		return true, kerr.NotEnoughReplicasAfterAppend
	}
	return true, nil
}

// inMaximal says whether the replica is in the committed ISR or in the one asked for. A replica that is being taken in already
// counts (the controller may have done it), one that is being dropped still does (the controller may not have).
func (a *Acks) inMaximal(id int32) bool {
	return slices.Contains(a.committed, id) || slices.Contains(a.pending, id)
}

func (a *Acks) maximalSize() int {
	n := len(a.committed)
	for _, id := range a.pending {
		if !slices.Contains(a.committed, id) {
			n++
		}
	}
	return n
}

// counted is the leader's own end in the high watermark.
func (a *Acks) counted() int64 {
	if a.syncing {
		return min(a.end, a.synced)
	}
	return a.end
}

// advance moves the high watermark to the smallest end that counts. A replica outside the ISR that keeps up counts too: it
// is about to join, and could not if the mark ran ahead of it.
func (a *Acks) advance(now time.Time) bool {
	if a.followers == nil || len(a.committed) < a.EffectiveMinISR() {
		return false
	}
	hw := a.counted()
	for id, f := range a.followers {
		if f.end < hw && (a.inMaximal(id) || a.caughtUp(f, now) && a.eligible(id)) {
			hw = f.end
		}
	}
	if hw <= a.hw {
		return false
	}
	a.hw = hw
	return true
}

// HW is the high watermark: everything below it is committed.
func (a *Acks) HW() int64 { return a.hw }

// ISR is the committed ISR. The caller must not change it.
func (a *Acks) ISR() []int32 { return a.committed }

// Epochs are the leader epoch and the partition epoch (the version of the state znode).
func (a *Acks) Epochs() (leader, partition int32) { return a.leaderEpoch, a.partitionEpoch }
