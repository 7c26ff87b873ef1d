package classic

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// onSync serves a SyncGroup.
func (g *Group) onSync(now Time, e Sync, out *Output) {
	answer := func(r SyncReply) { out.Replies = append(out.Replies, Reply{e.Ticket, r}) }
	if g.state == Dead {
		answer(SyncReply{Err: kerr.CoordinatorNotAvailable})
		return
	}
	m, err := g.check(e.MemberID, e.InstanceID)
	switch {
	case err != nil:
	case e.Generation != g.generation:
		err = kerr.IllegalGeneration
	case e.ProtocolType != nil && (g.protocolType == nil || *g.protocolType != *e.ProtocolType):
		err = kerr.InconsistentGroupProtocol
	case e.Protocol != nil && (g.protocol == nil || *g.protocol != *e.Protocol):
		err = kerr.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		answer(SyncReply{Err: err})
		return
	}
	g.setSyncDue(m, false)
	if g.syncing == 0 {
		g.syncDeadline = time.Time{}
	}
	if g.state == Stable {
		answer(SyncReply{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment})
		g.alive(m, now)
		return
	}
	g.answerSync(m, SyncReply{Err: kerr.RebalanceInProgress}, out)
	m.sync = e.Ticket
	if g.leader == m.id && !g.assigning() {
		assignments := e.Assignments
		if assignments == nil {
			assignments = map[string][]byte{}
		}
		g.write(write{assignments: assignments, generation: g.generation}, g.records(assignments), now, out)
	}
}

// assigning says whether this generation's assignments are on their way into the log.
func (g *Group) assigning() bool {
	for _, w := range g.writes {
		if w.assignments != nil && w.generation == g.generation {
			return true
		}
	}
	return false
}

// onAssigned ends the sync phase: the leader's assignments are in the log, or could not be put there.
func (g *Group) onAssigned(now Time, w write, err *kerr.Error, out *Output) {
	if g.state != CompletingRebalance || g.generation != w.generation {
		return // another rebalance has begun meanwhile
	}
	if err != nil {
		out.warn("could not store the assignments of generation %d: %s", g.generation, err.Message)
		g.propagate(now, nil, err, out)
		g.maybePrepareRebalance(now, "its assignments could not be stored", out)
		return
	}
	g.propagate(now, w.assignments, nil, out)
	g.transition(Stable, now)
}

// propagate answers the parked syncs, with the members' assignments or with an error.
func (g *Group) propagate(now Time, assignments map[string][]byte, err *kerr.Error, out *Output) {
	for _, m := range g.members {
		m.assignment = assignments[m.id]
		r := SyncReply{Err: err}
		if err == nil {
			r.ProtocolType, r.Protocol, r.Assignment = g.protocolType, g.protocol, m.assignment
		}
		if g.answerSync(m, r, out) {
			g.alive(m, now)
		}
	}
}

// endSync ends the sync phase's wait.
func (g *Group) endSync() {
	for _, m := range g.members {
		m.syncDue = false
	}
	g.syncing, g.syncDeadline = 0, time.Time{}
}

// onSyncDeadline removes the members that have not synced, and begins anew.
func (g *Group) onSyncDeadline(now Time, out *Output) {
	g.syncDeadline = time.Time{}
	if g.state != CompletingRebalance && g.state != Stable {
		return
	}
	var late []string
	for i := len(g.members) - 1; i >= 0; i-- {
		if m := g.members[i]; m.syncDue {
			late = append(late, m.id)
			g.remove(m, kerr.UnknownMemberID, out)
		}
	}
	if late != nil {
		slices.Reverse(late)
		g.prepareRebalance(now, fmt.Sprintf("%s did not sync in time", strings.Join(late, ", ")), out)
	}
}

// onHeartbeat serves a Heartbeat.
func (g *Group) onHeartbeat(now Time, e Heartbeat) *kerr.Error {
	if g.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	m, err := g.check(e.MemberID, e.InstanceID)
	if err != nil {
		return err
	}
	if e.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	g.alive(m, now)
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// onLeave serves a LeaveGroup.
func (g *Group) onLeave(now Time, e Leave, out *Output) {
	if g.state == Dead {
		out.Replies = append(out.Replies, Reply{e.Ticket, LeaveReply{Err: kerr.CoordinatorNotAvailable}})
		return
	}
	errs := make([]*kerr.Error, len(e.Leavers))
	for i, l := range e.Leavers {
		errs[i] = g.leave(now, l, out)
	}
	out.Replies = append(out.Replies, Reply{e.Ticket, LeaveReply{Errs: errs}})
}

// leave removes one member. Administrators name it by its instance id alone.
func (g *Group) leave(now Time, l Leaver, out *Output) *kerr.Error {
	id := l.MemberID
	if id == "" && l.InstanceID != nil {
		id = g.static[*l.InstanceID]
	}
	if _, ok := g.pending[id]; ok {
		delete(g.pending, id)
		g.tryCompleteJoin(now, out)
		return nil
	}
	if id == "" {
		return kerr.UnknownMemberID
	}
	m, err := g.check(id, l.InstanceID)
	if err != nil {
		return err
	}
	g.expel(m, now, fmt.Sprintf("member %s leaves (%s)", m.id, given(l.Reason)), out)
	return nil
}

// expel removes a member for good and lets the others go on.
func (g *Group) expel(m *member, now Time, why string, out *Output) {
	g.remove(m, kerr.UnknownMemberID, out)
	if g.state == PreparingRebalance {
		out.note("%s", why)
	}
	g.maybePrepareRebalance(now, why, out)
	g.tryCompleteJoin(now, out)
}
