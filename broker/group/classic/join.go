package classic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// onJoin serves a JoinGroup.
func (g *Group) onJoin(now Time, e Join, out *Output) {
	refuse := func(memberID string, err *kerr.Error) {
		out.Replies = append(out.Replies, Reply{e.Ticket, JoinReply{Err: err, Generation: noGeneration, MemberID: memberID}})
	}
	switch {
	case g.state == Dead:
		refuse(e.MemberID, kerr.CoordinatorNotAvailable)
		return
	case !g.accepts(e.MemberID):
		delete(g.pending, e.MemberID)
		if m := g.byID[e.MemberID]; m != nil {
			g.remove(m, kerr.GroupMaxSizeReached, out)
		}
		refuse("", kerr.GroupMaxSizeReached)
	case !g.supports(e.ProtocolType, e.Protocols):
		refuse(e.MemberID, kerr.InconsistentGroupProtocol)
	case e.MemberID == "":
		g.joinNew(now, e, refuse, out)
	default:
		g.joinKnown(now, e, refuse, out)
	}
	g.tryCompleteJoin(now, out)
}

// accepts says whether the group has room. In the join phase those count that have joined, so that a group over its size sheds
// the last to come.
func (g *Group) accepts(memberID string) bool {
	m := g.byID[memberID]
	switch g.state {
	case Empty, Dead:
		return true
	case PreparingRebalance:
		return m != nil && m.join != 0 || g.joined < g.settings.MaxSize
	default:
		return m != nil || len(g.members) < g.settings.MaxSize
	}
}

// joinNew serves a member without an id.
func (g *Group) joinNew(now Time, e Join, refuse func(string, *kerr.Error), out *Output) {
	if e.InstanceID != nil {
		if old, ok := g.static[*e.InstanceID]; ok {
			g.joinReturning(now, g.byID[old], e, out)
			return
		}
		g.addMember(now, e, e.NewID, out)
		return
	}
	if !e.RequireKnownID {
		g.addMember(now, e, e.NewID, out)
		return
	}
	if len(g.pending) >= pendingMax {
		refuse("", kerr.GroupMaxSizeReached)
		return
	}
	expires := now.At.Add(e.SessionTimeout)
	g.pending[e.NewID] = expires
	g.due(expires)
	refuse(e.NewID, kerr.MemberIDRequired)
}

// joinKnown serves a member with an id.
func (g *Group) joinKnown(now Time, e Join, refuse func(string, *kerr.Error), out *Output) {
	if _, ok := g.pending[e.MemberID]; ok && e.InstanceID == nil {
		g.addMember(now, e, e.MemberID, out)
		return
	}
	m, err := g.check(e.MemberID, e.InstanceID)
	if err != nil {
		refuse(e.MemberID, err)
		return
	}
	unchanged := m.matches(e.Protocols)
	switch {
	case g.state == CompletingRebalance && unchanged, g.state == Stable && unchanged && g.leader != m.id:
		// It may have missed the answer: here is the current generation again.
		r := g.joinReply(m)
		out.Replies = append(out.Replies, Reply{e.Ticket, r})
	case g.state == PreparingRebalance, g.state == CompletingRebalance, g.state == Stable:
		// A leader that joins again wants another assignment: it may know of new partitions.
		g.update(m, e, out)
		g.maybePrepareRebalance(now, fmt.Sprintf("member %s joins again (%s)", m.id, given(e.Reason)), out)
	default:
		refuse(e.MemberID, kerr.UnknownMemberID)
	}
}

// given is a client's reason.
func given(reason string) string {
	if reason == "" {
		return "no reason given"
	}
	return reason
}

// joinReply is the answer that tells a member of the current generation.
func (g *Group) joinReply(m *member) JoinReply {
	r := JoinReply{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, MemberID: m.id}
	if g.leader == m.id {
		r.Members = g.roll()
	}
	return r
}

// roll lists the members with their metadata for the current protocol.
func (g *Group) roll() []JoinMember {
	all := make([]JoinMember, len(g.members))
	for i, m := range g.members {
		metadata, _ := m.metadata(deref(g.protocol))
		all[i] = JoinMember{ID: m.id, InstanceID: m.instanceID, Metadata: metadata}
	}
	return all
}

// addMember takes a new member in.
func (g *Group) addMember(now Time, e Join, id string, out *Output) {
	if g.state == PreparingRebalance && g.generation == 0 {
		g.joining.newMember = true
	}
	if len(g.members) == 0 {
		g.protocolType = &e.ProtocolType
	}
	m := &member{
		id: id, instanceID: e.InstanceID, clientID: e.ClientID, clientHost: e.ClientHost,
		session: e.SessionTimeout, rebalance: e.RebalanceTimeout, protocols: e.Protocols,
		join: e.Ticket, joinSkip: e.CanSkipAssignment, isNew: true, unknown: e.MemberID == "",
	}
	g.insert(m)
	// It cannot send heartbeats before this join is answered, so its session timeout does not count yet, but neither may it wait
	// for ever: clients that gave up and try again would pile up.
	g.expire(m, now, newMemberTimeout)
	g.maybePrepareRebalance(now, fmt.Sprintf("member %s joins (%s)", id, given(e.Reason)), out)
}

// update gives a member the protocols and timeouts of its new join, and parks that.
func (g *Group) update(m *member, e Join, out *Output) {
	g.vote(m, -1)
	m.protocols, m.session, m.rebalance = e.Protocols, e.SessionTimeout, e.RebalanceTimeout
	g.vote(m, 1)
	g.parkJoin(m, e.Ticket, e.CanSkipAssignment, out)
}

// rename gives a static member another id.
func (g *Group) rename(m *member, id string) {
	delete(g.byID, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
	g.byID[id] = m
	g.static[*m.instanceID] = id
}

// joinReturning serves a static member that has lost its id: it gets a new one, and whoever still uses the old one is fenced. In
// a stable group that costs no rebalance, only a record.
func (g *Group) joinReturning(now Time, m *member, e Join, out *Output) {
	g.answerJoin(m, JoinReply{Err: kerr.FencedInstanceID, Generation: noGeneration, MemberID: m.id}, out)
	g.answerSync(m, SyncReply{Err: kerr.FencedInstanceID}, out)
	back := takeover{
		memberID: e.NewID, formerID: m.id, formerLeader: g.leader, generation: g.generation,
		protocols: m.protocols, session: m.session, rebalance: m.rebalance,
	}
	g.rename(m, e.NewID)
	g.alive(m, now) // with its former timeout, as Kafka does
	g.update(m, e, out)
	out.note("static member %s is back: %s replaces %s", *e.InstanceID, e.NewID, back.formerID)
	switch g.state {
	case Stable:
		if g.elect() == deref(g.protocol) {
			g.write(write{takeover: &back}, g.records(nil), now, out)
			return
		}
		g.maybePrepareRebalance(now, fmt.Sprintf("static member %s changes the choice of protocol (%s)", *e.InstanceID, given(e.Reason)), out)
	case CompletingRebalance:
		// The leader may already have been told of the old id, which is no more.
		g.prepareRebalance(now, fmt.Sprintf("static member %s is back with another id (%s)", *e.InstanceID, given(e.Reason)), out)
	}
}

// maybePrepareRebalance starts a rebalance unless one runs.
func (g *Group) maybePrepareRebalance(now Time, why string, out *Output) {
	if g.state == Stable || g.state == CompletingRebalance || g.state == Empty {
		g.prepareRebalance(now, why, out)
	}
}

// prepareRebalance starts the join phase.
func (g *Group) prepareRebalance(now Time, why string, out *Output) {
	if g.state == CompletingRebalance {
		g.propagate(now, nil, kerr.RebalanceInProgress, out)
	}
	g.endSync()
	timeout := g.rebalanceTimeout()
	if delay := g.settings.InitialDelay; g.state == Empty {
		g.joining = joinPhase{deadline: now.At.Add(delay), initial: true, delay: delay, remaining: max(timeout-delay, 0)}
	} else {
		g.joining = joinPhase{deadline: now.At.Add(timeout)}
	}
	g.due(g.joining.deadline)
	g.transition(PreparingRebalance, now)
	out.note("rebalances after generation %d: %s", g.generation, why)
	g.tryCompleteJoin(now, out)
}

// tryCompleteJoin ends the join phase if all have joined.
func (g *Group) tryCompleteJoin(now Time, out *Output) {
	if g.state == PreparingRebalance && !g.joining.initial && g.joined == len(g.members) && len(g.pending) == 0 {
		g.completeJoin(now, out)
	}
}

// onJoinDeadline ends the join phase, or prolongs the initial delay.
func (g *Group) onJoinDeadline(now Time, out *Output) {
	if g.state != PreparingRebalance {
		g.joining = joinPhase{}
		return
	}
	if j := &g.joining; j.initial && j.newMember && j.remaining != 0 {
		j.newMember = false
		delay := min(g.settings.InitialDelay, j.remaining)
		j.remaining = max(j.remaining-j.delay, 0)
		j.delay = delay
		j.deadline = now.At.Add(delay)
		g.due(j.deadline)
		return
	}
	g.completeJoin(now, out)
}

// completeJoin begins the next generation with those that have joined.
func (g *Group) completeJoin(now Time, out *Output) {
	var late []string
	for i := len(g.members) - 1; i >= 0; i-- {
		if m := g.members[i]; m.join == 0 && m.instanceID == nil {
			late = append(late, m.id)
			g.remove(m, kerr.UnknownMemberID, out)
		}
	}
	if late != nil {
		slices.Reverse(late)
		out.note("went on without %s, which did not join again in time", strings.Join(late, ", "))
	}
	if len(g.members) > 0 && !g.electLeader() {
		// Only static members are left, and none of them is here: their session timeouts decide.
		g.joining = joinPhase{deadline: now.At.Add(max(g.rebalanceTimeout(), postponement))}
		g.due(g.joining.deadline)
		out.warn("no member has joined again")
		return
	}
	g.joining = joinPhase{}
	g.generation++
	g.endSync()
	if len(g.members) == 0 {
		g.protocol = nil
		g.leader = ""
		g.subscribed = g.subscriptions()
		g.transition(Empty, now)
		out.note("is empty, generation %d", g.generation)
		g.write(write{}, g.records(nil), now, out)
		return
	}
	protocol := g.elect()
	g.protocol = &protocol
	g.subscribed = g.subscriptions()
	g.transition(CompletingRebalance, now)
	out.note("begins generation %d with %d members", g.generation, len(g.members))
	for _, m := range g.members {
		g.answerJoin(m, g.joinReply(m), out)
		m.isNew, m.unknown = false, false
		g.alive(m, now)
		g.setSyncDue(m, true)
	}
	g.syncDeadline = now.At.Add(g.rebalanceTimeout())
	g.due(g.syncDeadline)
}

// electLeader makes sure that the leader is one who has joined.
func (g *Group) electLeader() bool {
	if leader := g.byID[g.leader]; leader != nil && leader.join != 0 {
		return true
	}
	for _, m := range g.members {
		if m.join != 0 {
			g.leader = m.id
			return true
		}
	}
	return false
}
