package classic

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// State is a group's state.
type State int8

// The states.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

// String is the name that DescribeGroups and ListGroups show.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

// ConsumerProtocol is the protocol type whose subscriptions a broker reads.
const ConsumerProtocol = "consumer"

const (
	// newMemberTimeout bounds how long a member may wait for the end of its first join.
	newMemberTimeout = 5 * time.Minute
	// postponement is the least time that the join phase is prolonged by when nobody has rejoined.
	postponement = time.Second
	// pendingMax bounds the member ids that are handed out and not back yet. Kafka has no such bound.
	pendingMax = 10_000
)

// Settings are those of all groups of a broker.
type Settings struct {
	MaxSize      int           // members
	InitialDelay time.Duration // of the first rebalance of an empty group
	MetadataMax  int           // of an offset's metadata: characters, although Kafka's key says bytes
}

// Group is a consumer group: its members and its offsets. Not safe for concurrent use.
type Group struct {
	id       string
	settings *Settings

	state        State
	stateTime    int64 // ms, wall; None when an old record did not say
	generation   int32
	protocolType *string // nil in a group that only stores offsets
	protocol     *string
	leader       string

	members []*member // in the order of joining
	byID    map[string]*member
	static  map[string]string // instance id -> member id
	support map[string]int    // protocol -> how many members support it
	joined  int               // members whose join is parked
	syncing int               // members whose sync is due
	pending map[string]time.Time

	joining      joinPhase
	syncDeadline time.Time

	// next is no later than the earliest deadline; zero when there is none.
	next time.Time

	offsets map[topic.Partition]offsetlog.Offset
	// storing counts the commits of a partition's offset that are on their way into the log.
	storing map[topic.Partition]int
	// open are offsets in transactions that have not ended, by producer id.
	open map[int64]map[topic.Partition]offsetlog.Offset
	// subscribed are the topics that the members subscribe to; nil when that is not known.
	subscribed map[string]bool

	writes    map[uint64]write
	lastWrite uint64
}

// joinPhase is the deadline of PreparingRebalance. A group that was empty waits for an initial delay, however soon all its members
// have joined, and for another as long as new ones come, up to the rebalance timeout.
type joinPhase struct {
	deadline  time.Time
	initial   bool
	delay     time.Duration // the delay that runs
	remaining time.Duration // by how much it may be prolonged yet
	newMember bool          // one joined during the delay
}

// New is an empty group that nothing is known of. settings is shared and must not change.
func New(id string, settings *Settings) *Group {
	return &Group{
		id: id, settings: settings, stateTime: offsetlog.None,
		byID: map[string]*member{}, static: map[string]string{}, support: map[string]int{}, pending: map[string]time.Time{},
		offsets: map[topic.Partition]offsetlog.Offset{}, storing: map[topic.Partition]int{}, writes: map[uint64]write{},
	}
}

// Load is the group that a partition's records hold. It must be given an Opened event before any other. l's maps are kept.
func Load(l offsetlog.Loaded, settings *Settings) *Group {
	g := New(l.ID, settings)
	if l.Offsets != nil {
		g.offsets = l.Offsets
	}
	g.open = l.Open
	if l.Group == nil {
		return g
	}
	g.generation, g.stateTime = l.Group.Generation, l.Group.StateTime
	if l.Group.ProtocolType != "" || len(l.Group.Members) > 0 {
		g.protocolType = &l.Group.ProtocolType
	}
	g.protocol = l.Group.Protocol
	for _, m := range l.Group.Members {
		if g.byID[m.ID] != nil {
			continue
		}
		var protocols []Protocol
		if l.Group.Protocol != nil {
			protocols = []Protocol{{Name: *l.Group.Protocol, Metadata: m.Subscription}}
		}
		g.insert(&member{
			id: m.ID, instanceID: m.InstanceID, clientID: m.ClientID, clientHost: m.ClientHost,
			session: millis(m.SessionTimeout), rebalance: millis(m.RebalanceTimeout),
			protocols: protocols, assignment: m.Assignment,
		})
	}
	if len(g.members) > 0 {
		g.state = Stable
	}
	if l.Group.Leader != nil && g.byID[*l.Group.Leader] != nil {
		g.leader = *l.Group.Leader
	}
	g.subscribed = g.subscriptions()
	return g
}

// millis is a timeout of a record or request; a negative one is over at once.
func millis(ms int32) time.Duration { return time.Duration(max(ms, 0)) * time.Millisecond }

// ID is the group's id.
func (g *Group) ID() string { return g.id }

// State is the group's state.
func (g *Group) State() State { return g.state }

// Generation is the current generation, 0 before the first.
func (g *Group) Generation() int32 { return g.generation }

// ProtocolType is the type that all members have, "" when there never was one.
func (g *Group) ProtocolType() string { return deref(g.protocolType) }

// OffsetCount is how many partitions the group has offsets of.
func (g *Group) OffsetCount() int { return len(g.offsets) }

// MemberCount is how many members the group has.
func (g *Group) MemberCount() int { return len(g.members) }

// Next is when a Tick is due at the latest, the zero time when none is.
func (g *Group) Next() time.Time { return g.next }

// Forgettable says that nothing would be lost with the group: nobody has ever joined it and it has no offset.
func (g *Group) Forgettable() bool {
	return g.state == Empty && g.generation == 0 && len(g.members) == 0 && len(g.pending) == 0 && !g.hasOffsets() && len(g.writes) == 0
}

// Summary is a group as DescribeGroups shows it.
type Summary struct {
	State        State
	ProtocolType string
	Protocol     string
	Members      []MemberSummary
}

// MemberSummary is a member as DescribeGroups shows it. Metadata and Assignment are only there while the group is Stable.
type MemberSummary struct {
	ID         string
	InstanceID *string
	ClientID   string
	ClientHost string
	Metadata   []byte
	Assignment []byte
}

// Summary describes the group. It shares the bytes of metadata and assignments, which never change.
func (g *Group) Summary() Summary {
	s := Summary{State: g.state, ProtocolType: deref(g.protocolType), Members: make([]MemberSummary, len(g.members))}
	if g.state == Stable {
		s.Protocol = deref(g.protocol)
	}
	for i, m := range g.members {
		s.Members[i] = MemberSummary{ID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost}
		if g.state == Stable {
			s.Members[i].Metadata, _ = m.metadata(s.Protocol)
			s.Members[i].Assignment = m.assignment
		}
	}
	return s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// insert adds a member behind the others.
func (g *Group) insert(m *member) {
	g.members = append(g.members, m)
	g.byID[m.id] = m
	if m.instanceID != nil {
		g.static[*m.instanceID] = m.id
	}
	g.vote(m, 1)
	if m.join != 0 {
		g.joined++
	}
	delete(g.pending, m.id)
	if g.leader == "" {
		g.leader = m.id
	}
}

// vote counts the protocols of a member in or out.
func (g *Group) vote(m *member, n int) {
	for i, p := range m.protocols {
		if slices.ContainsFunc(m.protocols[:i], func(q Protocol) bool { return q.Name == p.Name }) {
			continue // named twice, supported once
		}
		if g.support[p.Name] += n; g.support[p.Name] == 0 {
			delete(g.support, p.Name)
		}
	}
}

// remove takes a member out; what it has parked is answered with err.
func (g *Group) remove(m *member, err *kerr.Error, out *Output) {
	g.answerJoin(m, JoinReply{Err: err, Generation: noGeneration}, out)
	g.answerSync(m, SyncReply{Err: err}, out)
	g.setSyncDue(m, false)
	g.vote(m, -1)
	delete(g.byID, m.id)
	if m.instanceID != nil && g.static[*m.instanceID] == m.id {
		delete(g.static, *m.instanceID)
	}
	i := slices.Index(g.members, m)
	g.members = slices.Delete(g.members, i, i+1)
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// answerJoin answers the member's parked join, if there is one.
func (g *Group) answerJoin(m *member, r JoinReply, out *Output) bool {
	if m.join == 0 {
		return false
	}
	out.Replies = append(out.Replies, Reply{m.join, r})
	m.join = 0
	g.joined--
	return true
}

// answerSync answers the member's parked sync, if there is one.
func (g *Group) answerSync(m *member, r SyncReply, out *Output) bool {
	if m.sync == 0 {
		return false
	}
	out.Replies = append(out.Replies, Reply{m.sync, r})
	m.sync = 0
	return true
}

// parkJoin makes t the member's parked join. One that waited on another connection is sent away.
func (g *Group) parkJoin(m *member, t Ticket, canSkip bool, out *Output) {
	g.answerJoin(m, JoinReply{Err: kerr.RebalanceInProgress, Generation: noGeneration, MemberID: m.id}, out)
	m.join, m.joinSkip = t, canSkip
	g.joined++
}

func (g *Group) setSyncDue(m *member, due bool) {
	if m.syncDue == due {
		return
	}
	m.syncDue = due
	if due {
		g.syncing++
	} else {
		g.syncing--
	}
}

// transition changes the state.
func (g *Group) transition(to State, now Time) { g.state, g.stateTime = to, now.Wall }

// rebalanceTimeout is the longest of the members'.
func (g *Group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// supports says whether somebody with these protocols can be a member.
func (g *Group) supports(protocolType string, protocols []Protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType != nil && *g.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p Protocol) bool { return g.support[p.Name] == len(g.members) })
}

// elect is the protocol with the most votes: each member votes for the first of its protocols that all support. Between equals,
// the leader's preference decides.
func (g *Group) elect() string {
	votes := map[string]int{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.support[p.Name] == len(g.members) {
				votes[p.Name]++
				break
			}
		}
	}
	first := g.byID[g.leader]
	if first == nil {
		first = g.members[0]
	}
	var elected string
	most := 0
	for _, p := range first.protocols {
		if votes[p.Name] > most {
			elected, most = p.Name, votes[p.Name]
		}
	}
	return elected
}

// subscriptions are the topics that the members of a consumer group subscribe to; nil when the group is none, or one of its
// members says something that cannot be read.
func (g *Group) subscriptions() map[string]bool {
	if deref(g.protocolType) != ConsumerProtocol {
		return nil
	}
	all := map[string]bool{}
	for _, m := range g.members {
		metadata, _ := m.metadata(deref(g.protocol))
		topics, ok := offsetlog.Topics(metadata)
		if !ok {
			return nil
		}
		for _, t := range topics {
			all[t] = true
		}
	}
	return all
}
