package partition

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
)

// Special timestamps of ListOffsets.
const (
	LatestOffset        = -1
	EarliestOffset      = -2
	MaxTimestamp        = -3
	EarliestLocalOffset = -4
	LatestTieredOffset  = -5
)

var nothing = commitlog.TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1}

// check is what every lookup begins with.
func (p *Partition) check(leaderEpoch int32) (*Role, error) {
	role := p.current.Load()
	if err := role.checkEpoch(leaderEpoch); err != nil {
		return role, err
	}
	if !role.Leads {
		return role, kerr.NotLeaderForPartition
	}
	return role, p.log.Err()
}

// OffsetFor looks an offset up by time (ms), or one of the special ones. Where there is none, all fields are -1. A new leader
// whose high watermark has not reached the start of its epoch answers OFFSET_NOT_AVAILABLE: a client could otherwise see
// offsets go back.
func (p *Partition) OffsetFor(timestamp int64, v View, leaderEpoch int32) (commitlog.TimestampOffset, error) {
	role, err := p.check(leaderEpoch)
	if err != nil {
		return nothing, err
	}
	unsure := v != Everything && p.hw.Load() < role.EpochStart
	limit := p.Limit(v)
	var found commitlog.TimestampOffset
	var ok bool
	switch timestamp {
	case LatestOffset:
		if unsure {
			return nothing, kerr.OffsetNotAvailable
		}
		return commitlog.TimestampOffset{Timestamp: -1, Offset: limit, LeaderEpoch: role.LeaderEpoch}, nil
	case EarliestOffset, EarliestLocalOffset:
		start := p.log.LogStart()
		return commitlog.TimestampOffset{Timestamp: -1, Offset: start, LeaderEpoch: p.log.EpochAt(start)}, nil
	case LatestTieredOffset:
		return nothing, nil // no tiered storage
	case MaxTimestamp:
		found, ok, err = p.log.MaxTimestamp()
	default:
		found, ok, err = p.log.OffsetForTimestamp(timestamp, limit)
	}
	if err != nil {
		return nothing, err
	}
	if ok && found.Offset < limit {
		return found, nil
	}
	if unsure {
		return nothing, kerr.OffsetNotAvailable
	}
	return nothing, nil
}

// OffsetsBefore is ListOffsets v0: starts of segments that are older than the time, newest first, at most n. What a consumer
// may not read yet is replaced by the high watermark.
func (p *Partition) OffsetsBefore(timestamp int64, n int, v View) ([]int64, error) {
	if _, err := p.check(-1); err != nil {
		return nil, err
	}
	offsets := p.log.OffsetsBefore(timestamp, n)
	if v == Everything {
		return offsets, nil
	}
	hw, above := p.hw.Load(), 0
	for above < len(offsets) && offsets[above] > hw {
		above++
	}
	if above > 0 {
		offsets = append([]int64{hw}, offsets[above:]...)
	}
	return offsets, nil
}

// EndOffsetForEpoch is as commitlog.Log's, on a leader whose epoch a client knows rightly (leaderEpoch; -1: it does not say).
func (p *Partition) EndOffsetForEpoch(epoch, leaderEpoch int32) (found int32, end int64, err error) {
	if _, err := p.check(leaderEpoch); err != nil {
		return -1, -1, err
	}
	found, end = p.log.EndOffsetForEpoch(epoch)
	return found, end, nil
}
