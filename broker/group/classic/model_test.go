package classic

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// client is one consumer of the model. A diligent one does at once what the protocol asks of it, and sends heartbeats; the others
// do anything, or nothing.
type client struct {
	name     string
	instance *string
	diligent bool
	known    bool // comes twice for its id (version 4 and later)
	skip     bool // version 9

	id         string
	generation int32
	leads      bool
	roster     []JoinMember
	ticket     Ticket // what it waits for
	next       string // what it does next: join, sync, live
	dead       bool

	replaced bool      // while its first join was parked, which has not been answered since
	since    time.Time // when
}

// sessionTimeout is that of all clients.
const sessionTimeout = 10 * time.Second

// model drives one group with random clients.
type model struct {
	t        *rapid.T
	settings Settings
	g        *Group
	now      time.Time
	clients  []*client
	waits    map[Ticket]*client
	answered map[Ticket]bool
	ticket   Ticket
	writes   []Write
	names    int
	failures bool // stores fail now and then

	protocols map[int32]string            // of each generation
	owners    map[int32]map[string]string // generation -> partition -> who
}

const partitions = 4

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			t: t, now: time.Unix(1000, 0), waits: map[Ticket]*client{}, answered: map[Ticket]bool{},
			protocols: map[int32]string{}, owners: map[int32]map[string]string{},
			settings: Settings{
				MaxSize:      100,
				InitialDelay: rapid.SampledFrom([]time.Duration{0, 3 * time.Second}).Draw(t, "delay"), MetadataMax: 100,
			},
			failures: rapid.Bool().Draw(t, "failures"),
		}
		m.g = New("g", &m.settings)
		t.Repeat(map[string]func(*rapid.T){
			"":       func(t *rapid.T) { m.t = t; m.audit() },
			"spawn":  m.spawn,
			"sloppy": m.sloppy,
			"crash":  m.crash,
			"bounce": m.bounce,
			"leave":  m.leave,
			"commit": m.commit,
			"pass":   func(t *rapid.T) { m.pass(rapid.IntRange(1, 8).Draw(t, "seconds")) },
			"store":  func(*rapid.T) { m.store() },
		})
		m.t = t
		m.finish()
	})
}

func (m *model) time() Time { return Time{At: m.now, Wall: m.now.UnixMilli()} }

func (m *model) audit() {
	if err := m.g.audit(); err != nil {
		m.t.Fatal(err)
	}
	for id, c := range m.waits {
		if c.ticket == id && m.answered[id] {
			m.t.Fatalf("%s waits for an answer that was given", c.name)
		}
	}
}

func (m *model) step(e Event) {
	out := m.g.Step(m.time(), e)
	m.writes = append(m.writes, out.Writes...)
	for _, r := range out.Replies {
		if m.answered[r.To] {
			m.t.Fatalf("ticket %d is answered twice", r.To)
		}
		m.answered[r.To] = true
		c := m.waits[r.To]
		delete(m.waits, r.To)
		if c != nil && c.ticket == r.To && !c.dead {
			c.ticket = 0
			m.reply(c, r.Body)
		}
	}
	if err := m.g.audit(); err != nil {
		m.t.Fatalf("after %T %+v: %v", e, e, err)
	}
}

// reply lets a client read an answer, and compares it with what the others were told.
func (m *model) reply(c *client, body any) {
	switch r := body.(type) {
	case JoinReply:
		m.joined(c, r)
	case SyncReply:
		m.synced(c, r)
	case ErrorReply:
		m.failed(c, r.Err)
	case CommitReply:
		m.failed(c, r.Errs[0])
	}
}

func (m *model) joined(c *client, r JoinReply) {
	if r.Err == kerr.MemberIDRequired {
		c.id, c.next = r.MemberID, "join"
		return
	}
	if r.Err != nil {
		m.failed(c, r.Err)
		return
	}
	c.replaced = false
	c.id, c.generation, c.leads, c.roster, c.next = r.MemberID, r.Generation, r.Leader == r.MemberID && !r.SkipAssignment, r.Members, "sync"
	if was, ok := m.protocols[r.Generation]; ok && was != deref(r.Protocol) {
		m.t.Fatalf("generation %d has protocol %s for one member and %s for %s", r.Generation, was, deref(r.Protocol), c.id)
	}
	m.protocols[r.Generation] = deref(r.Protocol)
	if c.leads && !slices.ContainsFunc(r.Members, func(j JoinMember) bool { return j.ID == c.id }) {
		m.t.Fatalf("leader %s is not among its members", c.id)
	}
	if !c.leads && !r.SkipAssignment && len(r.Members) > 0 {
		m.t.Fatalf("follower %s is told of the members", c.id)
	}
}

func (m *model) synced(c *client, r SyncReply) {
	if r.Err != nil {
		m.failed(c, r.Err)
		return
	}
	c.next = "live"
	if was := m.protocols[c.generation]; was != deref(r.Protocol) {
		m.t.Fatalf("%s joined with protocol %s and syncs with %s", c.id, was, deref(r.Protocol))
	}
	who := c.id
	if c.instance != nil {
		who = "@" + *c.instance
	}
	if m.owners[c.generation] == nil {
		m.owners[c.generation] = map[string]string{}
	}
	for _, p := range strings.Fields(string(r.Assignment)) {
		if was, ok := m.owners[c.generation][p]; ok && was != who {
			m.t.Fatalf("partition %s of generation %d belongs to %s and %s", p, c.generation, was, who)
		}
		m.owners[c.generation][p] = who
	}
}

// failed is an error that a client was answered. One that has done everything right may be told to join again, but not that it is
// unknown.
func (m *model) failed(c *client, err *kerr.Error) {
	switch err {
	case nil:
	case kerr.RebalanceInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.IllegalGeneration:
		c.next = "join"
	default:
		// As in Apache Kafka, one that was replaced while its first join was parked has its session timeout to be answered, though it cannot
		// send heartbeats meanwhile.
		expired := err == kerr.UnknownMemberID && c.replaced && m.now.Sub(c.since) >= sessionTimeout
		c.replaced = false
		if c.diligent && !expired {
			m.t.Fatalf("%s (%s) was answered %s", c.name, c.id, err.Message)
		}
		c.id, c.next = "", "join"
	}
}

// act is what a client does next, unless it waits.
func (m *model) act(c *client) {
	m.ticket++
	t := m.ticket
	m.waits[t], c.ticket = c, t
	switch c.next {
	case "join":
		e := Join{
			Ticket: t, MemberID: c.id, NewID: fmt.Sprintf("%s-%d", c.name, t), InstanceID: c.instance, ClientID: c.name, ClientHost: "/::1",
			SessionTimeout: sessionTimeout, RebalanceTimeout: 30 * time.Second, ProtocolType: ConsumerProtocol,
			Protocols: []Protocol{{"range", nil}, {"sticky", nil}}, RequireKnownID: c.known && c.instance == nil, CanSkipAssignment: c.skip,
		}
		if len(c.name)%2 == 0 {
			slices.Reverse(e.Protocols)
		}
		m.step(e)
	case "sync":
		e := Sync{Ticket: t, MemberID: c.id, InstanceID: c.instance, Generation: c.generation}
		if c.leads {
			e.Assignments = map[string][]byte{}
			for p := range partitions {
				id := c.roster[p%len(c.roster)].ID
				e.Assignments[id] = fmt.Appendf(e.Assignments[id], "%d ", p)
			}
		}
		m.step(e)
	default:
		m.step(Heartbeat{Ticket: t, MemberID: c.id, InstanceID: c.instance, Generation: c.generation})
	}
}

// settle lets the diligent act until they all wait or live.
func (m *model) settle() {
	for busy := true; busy; {
		busy = false
		for _, c := range m.clients {
			if c.diligent && !c.dead && c.ticket == 0 && c.next != "live" {
				m.act(c)
				busy = true
			}
		}
		if len(m.writes) > 0 {
			m.store()
			busy = true
		}
	}
}

// pass lets seconds go by. Every second the diligent send a heartbeat.
func (m *model) pass(seconds int) {
	for range seconds {
		m.settle()
		for _, c := range m.clients {
			if c.diligent && !c.dead && c.ticket == 0 {
				m.act(c)
			}
		}
		m.settle()
		until := m.now.Add(time.Second)
		for i := 0; !m.g.Next().IsZero() && !m.g.Next().After(until); i++ {
			if m.g.Next().After(m.now) {
				m.now = m.g.Next()
			}
			m.step(Tick{})
			if i == 1000 {
				m.t.Fatal("ticks without end")
			}
		}
		m.now = until
	}
	m.settle()
}

// store ends the oldest write.
func (m *model) store() {
	if len(m.writes) == 0 {
		return
	}
	w := m.writes[0]
	m.writes = m.writes[1:]
	e := Stored{Write: w.ID}
	if m.failures && rapid.IntRange(0, 9).Draw(m.t, "store fails") == 0 {
		e.Err = rapid.SampledFrom([]error{kerr.RequestTimedOut, kerr.NotEnoughReplicas}).Draw(m.t, "how")
	}
	m.step(e)
}

func (m *model) pick(t *rapid.T, what string, of func(*client) bool) *client {
	var some []*client
	for _, c := range m.clients {
		if !c.dead && of(c) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		t.Skip("no such client")
	}
	return rapid.SampledFrom(some).Draw(t, what)
}

func (m *model) spawn(t *rapid.T) {
	if len(m.clients) > 8 {
		t.Skip("enough")
	}
	m.names++
	c := &client{
		name: strings.Repeat("c", 1+m.names%3) + fmt.Sprint(m.names), next: "join",
		diligent: rapid.Bool().Draw(t, "diligent"), known: rapid.Bool().Draw(t, "v4"), skip: rapid.Bool().Draw(t, "v9"),
	}
	if rapid.Bool().Draw(t, "static") {
		instance := "i" + c.name
		c.instance = &instance
	}
	m.clients = append(m.clients, c)
	m.act(c)
}

// sloppy lets one do something, right or wrong, also while it waits.
func (m *model) sloppy(t *rapid.T) {
	c := m.pick(t, "who", func(c *client) bool { return !c.diligent })
	c.next = rapid.SampledFrom([]string{c.next, "join", "sync", "live"}).Draw(t, "does")
	if rapid.Bool().Draw(t, "wrong generation") {
		c.generation++
	}
	if c.next == "sync" {
		c.leads = c.leads && len(c.roster) > 0
	}
	m.act(c)
}

func (m *model) crash(t *rapid.T) {
	c := m.pick(t, "who", func(*client) bool { return true })
	c.dead = true
	if c.ticket != 0 && rapid.Bool().Draw(t, "noticed") {
		m.step(Abandoned{c.ticket})
	}
}

// bounce restarts a static member, which has forgotten its id.
func (m *model) bounce(t *rapid.T) {
	c := m.pick(t, "who", func(c *client) bool { return c.instance != nil })
	if old := m.g.byID[m.g.static[*c.instance]]; old != nil && old.isNew {
		c.replaced, c.since = true, m.now
	}
	c.id, c.next, c.ticket = "", "join", 0
	m.act(c)
}

func (m *model) leave(t *rapid.T) {
	c := m.pick(t, "who", func(c *client) bool { return c.id != "" })
	c.dead = true
	m.ticket++
	m.step(Leave{Ticket: m.ticket, Leavers: []Leaver{{MemberID: c.id, InstanceID: c.instance}}})
	if m.g.byID[c.id] != nil {
		t.Fatalf("%s has left and is still there", c.id)
	}
}

func (m *model) commit(t *rapid.T) {
	c := m.pick(t, "who", func(c *client) bool { return c.next == "live" && c.ticket == 0 })
	m.ticket++
	m.waits[m.ticket], c.ticket = c, m.ticket
	m.step(Commit{
		Ticket: m.ticket, MemberID: c.id, InstanceID: c.instance, Generation: c.generation,
		Offsets: []PartitionOffset{{topic.Partition{Topic: "t"}, offsetlog.Offset{Offset: int64(m.ticket), ExpireTime: offsetlog.None}}},
	})
}

// finish: with only the diligent left and stores that succeed, all of them are soon in one generation that owns everything.
func (m *model) finish() {
	m.failures = false
	alive := 0
	for _, c := range m.clients {
		c.dead = c.dead || !c.diligent
		if !c.dead {
			alive++
		}
	}
	m.pass(150)
	if len(m.g.members) != alive {
		m.t.Fatalf("%d members, %d clients are alive", len(m.g.members), alive)
	}
	for t, c := range m.waits {
		if !c.dead && c.ticket == t {
			m.t.Fatalf("%s still waits in state %s", c.name, m.g.State())
		}
	}
	if alive == 0 {
		if m.g.State() != Empty {
			m.t.Fatalf("state %s without members", m.g.State())
		}
		return
	}
	if m.g.State() != Stable {
		m.t.Fatalf("state %s in the end", m.g.State())
	}
	for _, c := range m.clients {
		if !c.dead && (c.generation != m.g.generation || c.next != "live") {
			m.t.Fatalf("%s is in generation %d and about to %s, the group in %d", c.name, c.generation, c.next, m.g.generation)
		}
	}
	if n := len(m.owners[m.g.generation]); n != partitions {
		m.t.Fatalf("%d of %d partitions have an owner in generation %d", n, partitions, m.g.generation)
	}
}
