package partition

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
	"ottla/broker/purgatory"
	"ottla/broker/record"
	"ottla/broker/topic"
)

// Settings are the topic-level values that matter above the log.
type Settings struct {
	MinISR             int                  // min.insync.replicas
	MessageBytesMax    int                  // max.message.bytes
	Compression        record.Compression   // compression.type
	TimestampType      record.TimestampType // message.timestamp.type
	TimestampBeforeMax int64                // message.timestamp.before.max.ms
	TimestampAfterMax  int64                // message.timestamp.after.max.ms
	NoDownConversion   bool                 // message.downconversion.enable=false
}

// DefaultSettings are the defaults of Apache Kafka 3.9.
func DefaultSettings() Settings {
	return Settings{MinISR: 1, MessageBytesMax: 1048588, TimestampBeforeMax: record.NoTimestampLimit, TimestampAfterMax: record.NoTimestampLimit}
}

// Options are what New needs.
type Options struct {
	Partition topic.Partition
	Self      int32          // this broker
	Log       *commitlog.Log // open; the caller closes it after the partition
	// HighWatermark is what replication-offset-checkpoint says, else 0.
	HighWatermark int64
	Settings      Settings
	Traffic       *Traffic         // of the topic; nil: the partition's own
	LagMax        time.Duration    // replica.lag.time.max.ms
	Live          func(int32) bool // is the broker alive and not shutting down? nil: none is
	Now           func() time.Time
}

// Partition is one replica of one partition. Safe for concurrent use.
type Partition struct {
	tp   topic.Partition
	self int32
	log  *commitlog.Log
	now  func() time.Time

	traffic  *Traffic
	settings atomic.Pointer[Settings]
	current  atomic.Pointer[Role]
	hw       atomic.Int64
	written  atomic.Int64 // bytes appended in this process's life; see Written

	// Fetches is where fetches wait, its progress Written: woken when the end, the high watermark or the role changed. Produces is
	// where produces wait, its progress an offset: woken when the high watermark, the synced end or the role changed.
	Fetches, Produces purgatory.Key
	// Starts is where deletions wait, its progress the low watermark: woken when a replica's log start or the role changed.
	Starts purgatory.Key

	// role is held exclusively while the role changes, shared by appends, so that no record of an old leader's follows the
	// epoch of the new one.
	role sync.RWMutex

	mu   sync.Mutex
	acks *Acks
}

// Role is what this broker is for the partition at a moment. Immutable.
type Role struct {
	State
	Leads bool // this broker is the leader
	// Since is the leader epoch since which it has led without a break. A record appended in an earlier one may be gone.
	Since int32
	// EpochStart is the log's end when the broker became leader in this epoch.
	EpochStart int64
	Closed     bool // the partition is not hosted any more
}

// New returns a partition without a role: it serves nobody before MakeLeader.
func New(o Options) *Partition {
	p := &Partition{tp: o.Partition, self: o.Self, log: o.Log, now: o.Now, traffic: o.Traffic}
	if p.traffic == nil {
		p.traffic = new(Traffic)
	}
	p.acks = NewAcks(o.Self, o.LagMax, o.Live)
	p.current.Store(&Role{State: State{Leader: -1, LeaderEpoch: -1, PartitionEpoch: -1}})
	p.hw.Store(min(max(o.HighWatermark, o.Log.LogStart()), o.Log.LogEnd()))
	o.Log.SetHighWatermark(p.hw.Load())
	p.SetSettings(o.Settings)
	o.Log.OnSynced(p.synced)
	return p
}

// Name is the partition's topic and number.
func (p *Partition) Name() topic.Partition { return p.tp }

// Log is the partition's log, for reading whole partitions and for upkeep. Appends go through the partition.
func (p *Partition) Log() *commitlog.Log { return p.log }

// Traffic counts what goes in and out of the partition's topic here.
func (p *Partition) Traffic() *Traffic { return p.traffic }

// Role is the present role.
func (p *Partition) Role() *Role { return p.current.Load() }

// HighWatermark is the offset below which everything is committed.
func (p *Partition) HighWatermark() int64 { return p.hw.Load() }

// Settings are the settings in force.
func (p *Partition) Settings() Settings { return *p.settings.Load() }

// SetSettings replaces the settings. Those of the log are set there.
func (p *Partition) SetSettings(s Settings) {
	p.settings.Store(&s)
	p.mu.Lock()
	moved := p.acks.SetMinISR(s.MinISR, p.now())
	p.publishLocked(moved)
	p.mu.Unlock()
	if moved {
		p.wake(true)
	}
}

// ValidateOptions are what records of a Produce of the version are checked with.
func (p *Partition) ValidateOptions(version int16) record.ValidateOptions {
	s, l := p.settings.Load(), p.log.Settings()
	return record.ValidateOptions{
		Version: version, Partition: p.tp, MessageBytesMax: s.MessageBytesMax, SegmentBytes: int(l.SegmentBytes), Compacted: l.Compact,
		Compression: s.Compression, TimestampType: s.TimestampType, TimestampBeforeMax: s.TimestampBeforeMax, TimestampAfterMax: s.TimestampAfterMax,
		Now: p.now().UnixMilli(),
	}
}

// MakeLeader makes this broker the leader as the controller says. A state with a partition epoch below the known one is
// skipped; at an unchanged leader epoch only the assignment and the ISR change. It returns whether the leader epoch is new.
func (p *Partition) MakeLeader(s State) (bool, error) {
	p.role.Lock()
	defer p.role.Unlock()
	old := p.current.Load()
	if s.PartitionEpoch < old.PartitionEpoch {
		return false, nil
	}
	if err := p.log.Err(); err != nil {
		return false, err
	}
	fresh := s.LeaderEpoch > old.LeaderEpoch || !old.Leads
	r := &Role{State: s.clone(), Leads: true, Since: s.LeaderEpoch, EpochStart: old.EpochStart}
	if old.Leads {
		r.Since = old.Since
	}
	if fresh {
		if err := p.log.AssignEpoch(s.LeaderEpoch); err != nil {
			return false, err
		}
		r.EpochStart = p.log.LogEnd()
	}
	p.mu.Lock()
	p.acks.SetSyncing(p.log.SyncBeforeAck())
	p.acks.Lead(r.State, p.log.LogEnd(), p.log.SyncedEnd(), p.hw.Load(), old.Leads, p.now())
	p.current.Store(r)
	p.publishLocked(true)
	p.mu.Unlock()
	if p.log.SyncBeforeAck() {
		p.log.RequestSync(p.log.LogEnd()) // what was left unsynced counts once it is
	}
	p.wakeAll()
	return fresh, nil
}

// MakeFollower makes this broker a follower as the controller says; the leader may be -1. Produces and fetches that wait are
// let go. A state with a partition epoch below the known one is skipped. It returns whether the leader epoch is new.
func (p *Partition) MakeFollower(s State) (bool, error) {
	p.role.Lock()
	defer p.role.Unlock()
	old := p.current.Load()
	if s.PartitionEpoch < old.PartitionEpoch {
		return false, nil
	}
	if err := p.log.Err(); err != nil {
		return false, err
	}
	p.mu.Lock()
	p.acks.Resign(s)
	p.current.Store(&Role{State: s.clone()})
	p.mu.Unlock()
	p.wakeAll()
	return s.LeaderEpoch > old.LeaderEpoch || old.Leads, nil
}

// Close lets everybody go who waits here. The partition is not hosted any more; its log is the caller's to close.
func (p *Partition) Close() {
	p.role.Lock()
	defer p.role.Unlock()
	p.log.OnSynced(nil)
	s := p.current.Load().State
	s.Leader = -1
	p.current.Store(&Role{State: s, Closed: true})
	p.wakeAll()
}

// wake lets those go for whom there may be enough now: fetches, and if the high watermark moved, produces.
func (p *Partition) wake(moved bool) {
	if moved {
		p.Produces.Wake(max(p.hw.Load(), p.log.SyncedEnd()))
	}
	p.Fetches.Wake(p.written.Load())
}

// wakeAll lets everybody look again: the role has changed.
func (p *Partition) wakeAll() {
	p.Produces.Wake(purgatory.Always)
	p.Fetches.Wake(purgatory.Always)
	p.Starts.Wake(purgatory.Always)
}

// publishLocked shows the high watermark of acks to readers if it moved: the log first, so that the last stable offset that goes
// with it is there.
func (p *Partition) publishLocked(moved bool) {
	if hw := p.acks.HW(); moved && hw > p.hw.Load() {
		p.log.SetHighWatermark(hw)
		p.hw.Store(hw)
	}
}

// synced is the log's callback. With an error nothing will be acknowledged any more, and who waits sees that in the log.
func (p *Partition) synced(end int64, err error) {
	if err != nil {
		p.wakeAll()
		return
	}
	p.mu.Lock()
	moved := p.acks.Synced(end, p.now())
	p.publishLocked(moved)
	p.mu.Unlock()
	p.wake(true) // also acks=1 waits for the disk
}

// InISR says whether the broker is in the committed ISR.
func (p *Partition) InISR(id int32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.acks.ISR(), id)
}

// checkEpoch compares the leader epoch that a client believes in, -1 if it does not say, with the role's.
func (r *Role) checkEpoch(epoch int32) error {
	switch {
	case epoch < 0 || epoch == r.LeaderEpoch:
		return nil
	case epoch < r.LeaderEpoch:
		return kerr.FencedLeaderEpoch
	default:
		return kerr.UnknownLeaderEpoch
	}
}
