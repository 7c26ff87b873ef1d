package model

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Limits are the settings of a coordinator.
type Limits struct {
	MinSession, MaxSession time.Duration // group.min.session.timeout.ms, group.max.session.timeout.ms
	MaxSize                int           // group.max.size
	InitialDelay           time.Duration // group.initial.rebalance.delay.ms
	MetadataMax            int           // offset.metadata.max.bytes
}

// newMemberTimeout is how long a member may wait for its first join.
const newMemberTimeout = 5 * time.Minute

type state string

const (
	none       state = "Dead" // a group that does not exist
	empty      state = "Empty"
	preparing  state = "PreparingRebalance"
	completing state = "CompletingRebalance"
	stable     state = "Stable"
)

// never is the time of a timer that does not run.
const never = time.Duration(-1)

// member is one member. Its id is "" from the time it is made up to the answer that tells it.
type member struct {
	id        string
	instance  *string
	session   time.Duration
	rebalance time.Duration
	protocols []kmsg.JoinGroupRequestProtocol
	assigned  []byte

	join    int // tickets of requests that wait, 0 if there are none
	skips   bool
	sync    int
	syncDue bool
	expires time.Duration
	isNew   bool
}

func (m *member) metadata(protocol string) ([]byte, bool) {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata, true
		}
	}
	return nil, false
}

func (m *member) supports(protocol string) bool { _, ok := m.metadata(protocol); return ok }

// place is a partition.
type place struct {
	topic     string
	partition int32
}

// committed is an offset with its metadata.
type committed struct {
	offset   int64
	metadata string
}

// Group is the model of one group. Make it with New.
type Group struct {
	limits Limits
	now    time.Duration

	state        state
	generation   int32
	protocolType string // "" until somebody has joined
	protocol     string // "" if there is none
	leader       *member
	members      []*member
	pending      map[string]time.Duration
	joinBy       time.Duration
	syncBy       time.Duration
	initial      bool // the join phase is the first of a group that was empty
	prolong      time.Duration
	delay        time.Duration
	newcomer     bool
	subscribed   map[string]bool // nil when not known
	offsets      map[place]committed

	outcomes []Outcome
	begins   bool     // a generation is to begin: waits for Began
	held     []func() // what comes after that
}

// New is a group that does not exist.
func New(limits Limits) *Group {
	g := &Group{limits: limits}
	g.reset()
	return g
}

func (g *Group) reset() {
	*g = Group{
		limits: g.limits, now: g.now, outcomes: g.outcomes, state: none, joinBy: never, syncBy: never,
		pending: map[string]time.Duration{}, offsets: map[place]committed{},
	}
}

// create makes the group exist.
func (g *Group) create() {
	if g.state == none {
		g.state = empty
	}
}

// faint says that a coordinator may as well have forgotten the group: nobody has ever joined, and there is no offset.
func (g *Group) faint() bool {
	return g.state == none || g.state == empty && g.generation == 0 && len(g.offsets) == 0
}

// Expects says that a member id is handed out that has not come back.
func (g *Group) Expects() bool { return len(g.pending) > 0 }

// Owes says that a static member of a stable group has not asked for its assignment yet.
func (g *Group) Owes(instance string) bool {
	m := g.byInstance(instance)
	return g.state == stable && m != nil && m.syncDue
}

func (g *Group) byID(id string) *member {
	for _, m := range g.members {
		if m.id == id && id != "" {
			return m
		}
	}
	return nil
}

func (g *Group) byInstance(instance string) *member {
	for _, m := range g.members {
		if m.instance != nil && *m.instance == instance {
			return m
		}
	}
	return nil
}

func (g *Group) remove(m *member) {
	g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o == m })
	if g.leader == m {
		g.leader = nil // somebody else, whom the next generation tells
	}
	if m.sync != 0 {
		g.mayBeAnswered(m.sync)
		m.sync = 0
	}
}

func (g *Group) joined() (n int) {
	for _, m := range g.members {
		if m.join != 0 {
			n++
		}
	}
	return n
}

func (g *Group) rebalanceTimeout() (longest time.Duration) {
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// common are the protocols that all members support.
func (g *Group) common() map[string]bool {
	all := map[string]bool{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			all[p.Name] = !slices.ContainsFunc(g.members, func(o *member) bool { return !o.supports(p.Name) })
		}
	}
	return all
}

// elected are the protocols that may be chosen: those with the most votes.
func (g *Group) elected() []string {
	common, votes, most := g.common(), map[string]int{}, 0
	for _, m := range g.members {
		for _, p := range m.protocols {
			if common[p.Name] {
				votes[p.Name]++
				most = max(most, votes[p.Name])
				break
			}
		}
	}
	var best []string
	for name, n := range votes {
		if n == most {
			best = append(best, name)
		}
	}
	slices.Sort(best)
	return best
}

// subscribe finds out what the members of a consumer group subscribe to.
func (g *Group) subscribe() {
	g.subscribed = nil
	if g.protocolType != "consumer" {
		return
	}
	all := map[string]bool{}
	for _, m := range g.members {
		metadata, _ := m.metadata(g.protocol)
		var c kmsg.ConsumerMemberMetadata
		if c.ReadFrom(metadata) != nil {
			return
		}
		for _, t := range c.Topics {
			all[t] = true
		}
	}
	g.subscribed = all
}
