package partition

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
)

// View is how far a reader may see.
type View int8

// The views.
const (
	Committed  View = iota // up to the high watermark
	Stable                 // up to the last stable offset (isolation level read_committed)
	Everything             // up to the log's end: followers
)

// Fetch is one read of one partition.
type Fetch struct {
	Offset      int64
	LeaderEpoch int32 // that the client believes in; -1: it does not say
	LastEpoch   int32 // of the last record that it has; -1: it does not say
	Replica     int32 // the follower that asks; -1: a consumer
	LogStart    int64 // the follower's
	View        View
	MaxBytes    int
	MinOne      bool // the first batch comes whole even when it is larger than MaxBytes
}

// Fetched is what there is to read. Offsets are -1 with an error.
type Fetched struct {
	HW, Stable, LogStart int64
	Slice                commitlog.Slice // to be released, also when empty
	// DivergingEpoch and DivergingEnd, if the epoch is not -1: the client's log has something else below its offset, and must be
	// cut back to there. The slice is empty.
	DivergingEpoch int32
	DivergingEnd   int64
}

// Read serves q as the leader. The result must be released also after an error.
func (p *Partition) Read(q *Fetch, r *Fetched) error {
	*r = Fetched{HW: -1, Stable: -1, LogStart: -1, DivergingEpoch: -1, DivergingEnd: -1}
	role := p.current.Load()
	if err := role.checkEpoch(q.LeaderEpoch); err != nil {
		return err
	}
	if !role.Leads {
		return kerr.NotLeaderForPartition
	}
	if q.Replica >= 0 && (q.Replica == p.self || !slices.Contains(role.Replicas, q.Replica)) {
		if q.LeaderEpoch >= 0 {
			return kerr.UnknownLeaderEpoch
		}
		return kerr.NotLeaderForPartition
	}
	// The reverse of the order of publication: what is below this high watermark is complete in all that is loaded after it.
	hw := p.hw.Load()
	stable := p.log.LastStable(hw)
	if q.LastEpoch >= 0 {
		epoch, end := p.log.EndOffsetForEpoch(q.LastEpoch)
		if epoch < 0 || end < 0 {
			return kerr.OffsetOutOfRange
		}
		if epoch < q.LastEpoch || end < q.Offset {
			*r = Fetched{HW: hw, Stable: stable, LogStart: p.log.LogStart(), DivergingEpoch: epoch, DivergingEnd: end}
			return nil
		}
	}
	s, err := p.log.Read(q.Offset, p.limit(q.View, hw, stable), q.MaxBytes, q.MinOne)
	if err != nil {
		return err
	}
	r.Slice = s
	if q.Replica >= 0 {
		if err := p.fetched(q, role); err != nil {
			return err
		}
		hw = p.hw.Load()
		stable = p.log.LastStable(hw)
	}
	r.HW, r.Stable, r.LogStart = hw, stable, p.log.LogStart()
	return nil
}

// fetched takes a follower's fetch for what it is, an acknowledgement of everything before its offset: to the leadership that it
// was checked against. What a follower had in an earlier one may have been cut off since.
func (p *Partition) fetched(q *Fetch, role *Role) error {
	p.mu.Lock()
	if now := p.current.Load(); !now.Leads || now.LeaderEpoch != role.LeaderEpoch {
		p.mu.Unlock()
		return kerr.NotLeaderForPartition
	}
	before := p.acks.LowWatermark(p.log.LogStart())
	moved, _ := p.acks.Fetched(q.Replica, q.Offset, q.LogStart, p.now())
	low := p.acks.LowWatermark(p.log.LogStart())
	p.publishLocked(moved)
	p.mu.Unlock()
	if moved {
		p.wake(true)
	}
	if low > before {
		p.Starts.Wake(low)
	}
	return nil
}

func (p *Partition) limit(v View, hw, stable int64) int64 {
	switch v {
	case Stable:
		return stable
	case Everything:
		return p.log.LogEnd()
	default:
		return hw
	}
}

// Limit is the offset up to which the view shows the partition now. Over memory only.
func (p *Partition) Limit(v View) int64 {
	hw := p.hw.Load()
	return p.limit(v, hw, p.log.LastStable(hw))
}

// Written counts the bytes that were appended here. Its growth bounds from above how much more there is to read; a fetch that
// waits for a number of bytes looks at it before it reads again.
func (p *Partition) Written() int64 { return p.written.Load() }
