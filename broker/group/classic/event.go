package classic

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// Time is a moment: At for deadlines, by the monotonic clock, and Wall for what is written into records, in ms since 1970. They are
// two so that a wall clock that jumps expires no member.
type Time struct {
	At   time.Time
	Wall int64
}

// Ticket names whoever waits for an answer. Tickets are never 0 and never used twice.
type Ticket uint64

// Event is something that happens to a group: one of the types in this file.
type Event interface{ event() }

// Protocol is one protocol (assignor) that a member supports, with the metadata (subscription) that goes with it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Join is a JoinGroup request. Answered with a JoinReply.
type Join struct {
	Ticket           Ticket
	MemberID         string // "" of a member that has none yet
	NewID            string // the member id to give to it then
	InstanceID       *string
	ClientID         string
	ClientHost       string
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	ProtocolType     string
	Protocols        []Protocol // in the order of preference; kept
	// RequireKnownID makes a member without an id come again with the one it is given (from version 4 on).
	RequireKnownID bool
	// CanSkipAssignment says that the client understands SkipAssignment (from version 9 on).
	CanSkipAssignment bool
	Reason            string
}

// Sync is a SyncGroup request. Answered with a SyncReply.
type Sync struct {
	Ticket       Ticket
	MemberID     string
	InstanceID   *string
	Generation   int32
	ProtocolType *string
	Protocol     *string
	Assignments  map[string][]byte // by member id; the leader's alone counts; kept
}

// Heartbeat is a Heartbeat request. Answered with an ErrorReply.
type Heartbeat struct {
	Ticket     Ticket
	MemberID   string
	InstanceID *string
	Generation int32
}

// Leaver is one member to remove: by its id, or by its instance id alone.
type Leaver struct {
	MemberID   string
	InstanceID *string
	Reason     string
}

// Leave is a LeaveGroup request. Answered with a LeaveReply.
type Leave struct {
	Ticket  Ticket
	Leavers []Leaver
}

// PartitionOffset is an offset to be committed.
type PartitionOffset struct {
	Partition topic.Partition
	Offset    offsetlog.Offset
}

// Commit is an OffsetCommit request. Answered with a CommitReply.
type Commit struct {
	Ticket     Ticket
	MemberID   string
	InstanceID *string
	Generation int32 // below 0 from clients that manage their partitions themselves
	Offsets    []PartitionOffset
}

// Stored is the outcome of a Write: Err is nil when its records are committed.
type Stored struct {
	Write uint64
	Err   error
}

// Tick says that time has passed.
type Tick struct{}

// Abandoned says that nobody waits for the ticket's answer any more: its connection is gone.
type Abandoned struct{ Ticket Ticket }

// Opened starts a group that was loaded from the log: its members have their whole session timeout to come forward.
type Opened struct{}

// Unloaded says that this broker no longer coordinates the group.
type Unloaded struct{ Err *kerr.Error }

// Expire drops the offsets whose time is over.
type Expire struct{ Retention time.Duration }

// TopicsDeleted drops the offsets of topics that are gone.
type TopicsDeleted struct{ Topics map[string]bool }

// Delete is a group's part of a DeleteGroups request. Answered with an ErrorReply.
type Delete struct{ Ticket Ticket }

// DeleteOffsets is an OffsetDelete request. Answered with a DeleteOffsetsReply.
type DeleteOffsets struct {
	Ticket     Ticket
	Partitions []topic.Partition
}

func (Join) event()          {}
func (Sync) event()          {}
func (Heartbeat) event()     {}
func (Leave) event()         {}
func (Commit) event()        {}
func (Stored) event()        {}
func (Tick) event()          {}
func (Abandoned) event()     {}
func (Opened) event()        {}
func (Unloaded) event()      {}
func (Expire) event()        {}
func (TopicsDeleted) event() {}
func (Delete) event()        {}
func (DeleteOffsets) event() {}

// Output is what a Step asks for, in this order: the writes are to be appended to the log in the order of the steps, whatever
// group of the partition they come from.
type Output struct {
	Replies []Reply
	Writes  []Write
	// Notes are what an operator wants to read of.
	Notes []Note
}

// Reply is an answer to a ticket: a JoinReply, SyncReply, ErrorReply, LeaveReply, CommitReply or DeleteOffsetsReply.
type Reply struct {
	To   Ticket
	Body any
}

// Write is records to be appended to the group's partition, as one batch. Its outcome is to come back as Stored, in the order of
// the writes.
type Write struct {
	ID      uint64
	Records []offsetlog.Record
	Time    int64 // ms, of the records
	// Offsets says that it is a commit of offsets.
	Offsets bool
}

// Note is a line for the log.
type Note struct {
	Text string
	Warn bool
}

// JoinMember is a member as the leader's JoinReply lists it.
type JoinMember struct {
	ID         string
	InstanceID *string
	Metadata   []byte
}

// JoinReply is the answer to a Join. With an error Generation is -1, except where an existing generation could not be stored.
type JoinReply struct {
	Err            *kerr.Error
	Generation     int32
	ProtocolType   *string
	Protocol       *string
	Leader         string
	MemberID       string
	SkipAssignment bool
	Members        []JoinMember
}

// SyncReply is the answer to a Sync.
type SyncReply struct {
	Err          *kerr.Error
	ProtocolType *string
	Protocol     *string
	Assignment   []byte
}

// ErrorReply is an answer that is an error, or none.
type ErrorReply struct{ Err *kerr.Error }

// LeaveReply is the answer to a Leave. Errs has one for each leaver, nil for success, unless Err is set.
type LeaveReply struct {
	Err  *kerr.Error
	Errs []*kerr.Error
}

// CommitReply is the answer to a Commit: an error for each offset, in its order; nil for success.
type CommitReply struct{ Errs []*kerr.Error }

// DeleteOffsetsReply is the answer to a DeleteOffsets. Errs has one for each partition, nil for success, unless Err is set.
type DeleteOffsetsReply struct {
	Err  *kerr.Error
	Errs []*kerr.Error
}
