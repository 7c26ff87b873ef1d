package partition

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// DeleteToHighWatermark is the offset of a DeleteRecords that means everything committed.
const DeleteToHighWatermark = -1

// DeleteRecords lets the log begin at offset, as the leader. It returns the offset meant; the records are gone from the partition once
// LowWatermark has reached it. POLICY_VIOLATION where cleanup.policy has no delete, OFFSET_OUT_OF_RANGE beyond the high watermark.
func (p *Partition) DeleteRecords(offset int64) (int64, error) {
	p.role.RLock()
	defer p.role.RUnlock()
	if !p.current.Load().Leads {
		return 0, kerr.NotLeaderForPartition
	}
	if err := p.log.Err(); err != nil {
		return 0, err
	}
	if st := p.log.Settings(); !st.Delete {
		return 0, fmt.Errorf("%w: records of %s may not be deleted: its cleanup.policy has no delete", kerr.PolicyViolation, p.tp)
	}
	if offset == DeleteToHighWatermark {
		offset = p.hw.Load()
	}
	if offset < 0 {
		return 0, fmt.Errorf("%w: offset %d of %s", kerr.OffsetOutOfRange, offset, p.tp)
	}
	if err := p.log.AdvanceLogStart(offset); err != nil {
		return 0, err
	}
	p.Starts.Wake(p.lowWatermark())
	return offset, nil
}

// LowWatermark is the least log start of the replicas that are alive, on the leader. Over memory only.
func (p *Partition) LowWatermark() (int64, error) {
	if !p.current.Load().Leads {
		return -1, kerr.NotLeaderForPartition
	}
	if err := p.log.Err(); err != nil {
		return -1, err
	}
	return p.lowWatermark(), nil
}

func (p *Partition) lowWatermark() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks.LowWatermark(p.log.LogStart())
}
