package grouptest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// client is one of the random clients: what it believes, which need not be so.
type client struct {
	name     string
	instance *string
	id       string
	last     string // its id before
	gen      int32
	leads    bool
	type_    string
	protocol string
	members  []string
	next     string        // what the protocol asks of it: join, sync, live
	session  time.Duration // of one with an instance id, which may not change under the coordinator's timer
}

// learn reads an answer.
func (c *client) learn(req kmsg.Request, resp kmsg.Response) {
	know := func(id string) {
		if id != c.id {
			c.last, c.id = c.id, id
		}
	}
	switch a := resp.(type) {
	case *kmsg.JoinGroupResponse:
		c.next = "join"
		switch a.ErrorCode {
		case 0:
			know(a.MemberID)
			c.gen, c.leads, c.next, c.members = a.Generation, a.LeaderID == a.MemberID && !a.SkipAssignment, "sync", nil
			if a.ProtocolType != nil {
				c.type_ = *a.ProtocolType
			}
			if a.Protocol != nil {
				c.protocol = *a.Protocol
			}
			for _, m := range a.Members {
				c.members = append(c.members, m.MemberID)
			}
		case kerr.MemberIDRequired.Code:
			know(a.MemberID)
		case kerr.UnknownMemberID.Code, kerr.FencedInstanceID.Code, kerr.GroupMaxSizeReached.Code:
			know("")
		}
	case *kmsg.SyncGroupResponse:
		if c.next = "live"; a.ErrorCode != 0 {
			c.next = "join"
		}
	case *kmsg.HeartbeatResponse:
		switch a.ErrorCode {
		case kerr.RebalanceInProgress.Code, kerr.IllegalGeneration.Code:
			c.next = "join"
		case kerr.UnknownMemberID.Code, kerr.FencedInstanceID.Code:
			know("")
			c.next = "join"
		}
	case *kmsg.LeaveGroupResponse:
		if req.(*kmsg.LeaveGroupRequest).MemberID == c.id {
			know("")
			c.next = "join"
		}
	}
}

// cast makes the clients.
func (p *player) cast() {
	statics := p.rand.IntN(3) > 0
	p.long = p.rand.IntN(3) > 0
	p.orders = !statics
	for i := range 2 + p.rand.IntN(5) {
		c := &client{name: fmt.Sprint("c", i), next: "join", type_: "consumer"}
		if statics && p.rand.IntN(2) == 0 {
			instance := fmt.Sprint("i", i)
			c.instance = &instance
			if c.session = p.script.Session; p.chance(50) {
				c.session = p.script.Limits.MaxSession
			}
		}
		p.clients = append(p.clients, c)
	}
}

func (p *player) chance(percent int) bool { return p.rand.IntN(100) < percent }

// step lets one client do something: mostly what the protocol asks of it.
func (p *player) step() error {
	c := p.clients[p.rand.IntN(len(p.clients))]
	for range 4 { // who waits for an answer seldom asks again
		if !p.parked(c) {
			break
		}
		c = p.clients[p.rand.IntN(len(p.clients))]
	}
	if p.parked(c) && p.chance(60) {
		if next, ok := p.group.Next(); ok && next < p.clock+p.script.Session+p.script.Rebalance {
			return p.pass(next)
		}
	}
	what := c.next
	if p.chance(45) {
		what = []string{"join", "sync", "live", "commit", "leave", "restart", "admin", "describe", "fetch", "delete", "offsets", "pass"}[p.rand.IntN(12)]
	}
	switch what {
	case "join":
		return p.join(c)
	case "sync":
		return p.sync(c)
	case "live":
		return p.heartbeat(c)
	case "commit":
		return p.commit(c)
	case "leave":
		return p.leave(c)
	case "restart":
		c.last, c.id, c.next = c.id, "", "join"
		return p.join(c)
	case "admin":
		return p.expel(c)
	case "describe":
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Version, r.Groups = int16(p.rand.IntN(6)), []string{p.script.Group}
		return p.ask(c, "describes", r)
	case "fetch":
		return p.fetch(c)
	case "delete":
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Version, r.Groups = int16(p.rand.IntN(3)), []string{p.script.Group}
		return p.ask(c, "deletes the group", r)
	case "offsets":
		if p.group.Expects() {
			return p.commit(c) // Apache's forgets the group with the last offset, ours keeps the id that it expects back
		}
		return p.deleteOffsets(c)
	default:
		next, ok := p.group.Next()
		if !ok || next > p.clock+p.script.Session+p.script.Rebalance {
			return p.join(c)
		}
		return p.pass(next)
	}
}

// parked says that a request of the client waits.
func (p *player) parked(c *client) bool {
	for t, w := range p.waits {
		if w.client == c && !p.voids[t] {
			return true
		}
	}
	return false
}

// who is the member id that a request names, and the instance id: now and then not the client's own.
func (p *player) who(c *client, version, instances int16) (id string, instance *string) {
	if id = c.id; p.chance(6) {
		id = c.last
	}
	if version < instances {
		return id, nil
	}
	if instance = c.instance; p.chance(4) {
		instance = p.clients[p.rand.IntN(len(p.clients))].instance
	}
	return id, instance
}

func (p *player) generation(c *client) int32 {
	if p.chance(8) {
		return c.gen + 1 - 2*int32(p.rand.IntN(2))
	}
	return c.gen
}

func (p *player) join(c *client) error {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version = int16(p.rand.IntN(10))
	if c.instance != nil {
		r.Version = int16(5 + p.rand.IntN(5))
	}
	r.Group, r.ProtocolType = p.script.Group, "consumer"
	r.MemberID, r.InstanceID = p.who(c, r.Version, 5)
	if r.MemberID == "" && r.InstanceID != nil && p.group.Owes(*r.InstanceID) {
		return p.heartbeat(c) // Apache's goes on waiting for the sync of the id that is replaced, and rebalances once more
	}
	if (r.InstanceID == nil) != (c.instance == nil) {
		r.InstanceID = c.instance // an id that was handed out, together with an instance id, makes Apache's fail
	}
	session, rebalance := p.script.Session, p.script.Rebalance
	if p.chance(50) {
		session = p.script.Limits.MaxSession
	}
	if c.instance != nil {
		session = c.session
	}
	if p.long {
		rebalance = p.script.Limits.MaxSession
	}
	if p.chance(2) {
		session = p.script.Limits.MaxSession + time.Millisecond
	}
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(session.Milliseconds()), int32(rebalance.Milliseconds())
	if p.chance(2) {
		r.ProtocolType = "connect"
	}
	names := []string{"a", "b", "c"}
	if p.orders {
		p.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Topics = p.script.Topics[:1+p.rand.IntN(2)]
	for _, n := range names {
		if n == "b" || p.chance(60) {
			r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: n, Metadata: subscription.AppendTo(nil)})
		}
	}
	lasts := "a short session" // not how long: a seed reads the same at every scale
	switch {
	case session == p.script.Limits.MaxSession:
		lasts = "a long session"
	case session > p.script.Limits.MaxSession:
		lasts = "too long a session"
	}
	return p.ask(c, fmt.Sprintf("joins as %s %s, version %d, %s", p.name(r.MemberID), text(r.InstanceID), r.Version, lasts), r)
}

func (p *player) sync(c *client) error {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version = int16(p.rand.IntN(6))
	if c.instance != nil && !p.chance(10) {
		r.Version = int16(3 + p.rand.IntN(3))
	}
	r.Group, r.Generation = p.script.Group, p.generation(c)
	r.MemberID, r.InstanceID = p.who(c, r.Version, 3)
	type_, protocol := c.type_, c.protocol
	if p.chance(3) {
		protocol = "other"
	}
	r.ProtocolType, r.Protocol = &type_, &protocol
	slices.SortFunc(c.members, func(a, b string) int { return strings.Compare(p.name(a), p.name(b)) })
	if c.leads || p.chance(5) {
		for i, id := range c.members {
			if !p.chance(5) {
				r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: fmt.Append(nil, "part ", i)})
			}
		}
	}
	return p.ask(c, fmt.Sprintf("syncs as %s %s, generation %d, version %d", p.name(r.MemberID), text(r.InstanceID), r.Generation, r.Version), r)
}

func (p *player) heartbeat(c *client) error {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version = int16(p.rand.IntN(5))
	r.Group, r.Generation = p.script.Group, p.generation(c)
	r.MemberID, r.InstanceID = p.who(c, r.Version, 3)
	return p.ask(c, fmt.Sprintf("lives as %s %s, generation %d", p.name(r.MemberID), text(r.InstanceID), r.Generation), r)
}

func (p *player) commit(c *client) error {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version = int16(1 + p.rand.IntN(9))
	r.Group, r.Generation = p.script.Group, p.generation(c)
	r.MemberID, r.InstanceID = p.who(c, r.Version, 7)
	if p.chance(20) {
		r.Generation, r.MemberID, r.InstanceID = -1, "", nil
	}
	for _, name := range p.script.Topics {
		t := kmsg.OffsetCommitRequestTopic{Topic: name}
		for i := range int32(2) {
			if p.chance(40) {
				metadata := strings.Repeat("m", p.rand.IntN(p.script.Limits.MetadataMax+2))
				t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{
					Partition: i, Offset: p.rand.Int64N(1000), Metadata: &metadata, LeaderEpoch: -1, Timestamp: -1,
				})
			}
		}
		r.Topics = append(r.Topics, t)
	}
	r.RetentionTimeMillis = -1
	return p.ask(c, fmt.Sprintf("commits as %s %s, generation %d, version %d", p.name(r.MemberID), text(r.InstanceID), r.Generation, r.Version), r)
}

func (p *player) leave(c *client) error {
	r := kmsg.NewPtrLeaveGroupRequest()
	r.Version = int16(p.rand.IntN(6))
	r.Group = p.script.Group
	var instance *string
	r.MemberID, instance = p.who(c, r.Version, 3)
	r.Members = []kmsg.LeaveGroupRequestMember{{MemberID: r.MemberID, InstanceID: instance}}
	return p.ask(c, fmt.Sprintf("leaves as %s %s, version %d", p.name(r.MemberID), text(instance), r.Version), r)
}

// expel is an administrator who removes static members, and somebody else along with them.
func (p *player) expel(c *client) error {
	r := kmsg.NewPtrLeaveGroupRequest()
	r.Version, r.Group = int16(3+p.rand.IntN(3)), p.script.Group
	what := "expels"
	for _, o := range p.clients {
		if o.instance != nil && p.chance(30) {
			r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{InstanceID: o.instance})
			what += " " + *o.instance
		} else if p.chance(10) {
			r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{MemberID: o.id})
			what += " " + p.name(o.id)
		}
	}
	return p.ask(c, what, r)
}

func (p *player) fetch(c *client) error {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Version, r.Group = int16(2+p.rand.IntN(6)), p.script.Group
	r.RequireStable = p.chance(50)
	if p.chance(50) {
		r.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: p.script.Topics[0], Partitions: []int32{0, 1, 5}}}
	}
	return p.ask(c, "fetches offsets", r)
}

func (p *player) deleteOffsets(c *client) error {
	r := kmsg.NewPtrOffsetDeleteRequest()
	r.Group = p.script.Group
	for _, name := range p.script.Topics {
		if p.chance(60) {
			r.Topics = append(r.Topics, kmsg.OffsetDeleteRequestTopic{Topic: name, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: p.rand.Int32N(2)}}})
		}
	}
	return p.ask(c, fmt.Sprint("deletes offsets of ", len(r.Topics), " topics"), r)
}
