package classic

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// noGeneration is the generation of an answer that has none.
const noGeneration = -1

// Step tells the group what happened and returns what is to be done about it. now must not go back.
func (g *Group) Step(now Time, e Event) Output {
	var out Output
	switch e := e.(type) {
	case Join:
		g.onJoin(now, e, &out)
	case Sync:
		g.onSync(now, e, &out)
	case Heartbeat:
		out.Replies = append(out.Replies, Reply{e.Ticket, ErrorReply{g.onHeartbeat(now, e)}})
	case Leave:
		g.onLeave(now, e, &out)
	case Commit:
		g.onCommit(now, e, &out)
	case Stored:
		g.onStored(now, e, &out)
	case Tick:
		g.onTick(now, &out)
	case Abandoned:
		g.onAbandoned(now, e, &out)
	case Opened:
		g.onOpened(now, &out)
	case Unloaded:
		g.onUnloaded(now, e, &out)
	case Expire:
		g.onExpire(now, e, &out)
	case TopicsDeleted:
		g.onTopicsDeleted(now, e, &out)
	case Delete:
		g.onDelete(now, e, &out)
	case DeleteOffsets:
		g.onDeleteOffsets(now, e, &out)
	default:
		panic(fmt.Sprintf("classic: unknown event %T", e))
	}
	return out
}

// check says what is wrong with a member's request: its instance id belongs to another member id, or it is no member.
func (g *Group) check(memberID string, instanceID *string) (*member, *kerr.Error) {
	if instanceID != nil {
		switch current, ok := g.static[*instanceID]; {
		case !ok:
			return nil, kerr.UnknownMemberID
		case current != memberID:
			return nil, kerr.FencedInstanceID
		}
	}
	m := g.byID[memberID]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// alive sets a member's timer anew.
func (g *Group) alive(m *member, now Time) { g.expire(m, now, m.session) }

// expire sets a member's timer.
func (g *Group) expire(m *member, now Time, timeout time.Duration) {
	m.expires = now.At.Add(timeout)
	g.due(m.expires)
}

// due brings the next tick forward.
func (g *Group) due(at time.Time) {
	if !at.IsZero() && (g.next.IsZero() || at.Before(g.next)) {
		g.next = at
	}
}

// over says whether a deadline is set and has come.
func over(deadline time.Time, now Time) bool { return !deadline.IsZero() && !deadline.After(now.At) }

// onTick acts on every deadline that has come, and finds the next.
func (g *Group) onTick(now Time, out *Output) {
	if g.state == Dead {
		g.next = time.Time{}
		return
	}
	for id, expires := range g.pending {
		if over(expires, now) {
			delete(g.pending, id)
			out.note("member id %s was handed out and never used", id)
			g.tryCompleteJoin(now, out)
		}
	}
	for i := 0; i < len(g.members); {
		m := g.members[i]
		switch {
		case !over(m.expires, now):
			i++
		case m.parked() && !m.isNew:
			m.expires = time.Time{} // set again when it is answered
			i++
		default:
			g.expel(m, now, fmt.Sprintf("member %s was not heard from in time", m.id), out)
			i = 0 // the members may have changed
		}
	}
	if over(g.syncDeadline, now) {
		g.onSyncDeadline(now, out)
	}
	if over(g.joining.deadline, now) {
		g.onJoinDeadline(now, out)
	}
	g.findNext()
}

// findNext makes next exact.
func (g *Group) findNext() {
	g.next = time.Time{}
	for _, expires := range g.pending {
		g.due(expires)
	}
	for _, m := range g.members {
		g.due(m.expires)
	}
	g.due(g.syncDeadline)
	g.due(g.joining.deadline)
}

// onAbandoned removes a dynamic member that joined without an id and whose answer nobody waits for: none can ever use the id.
// (Kafka does not notice that a connection with a parked join is gone, and keeps the member until its session expires.)
func (g *Group) onAbandoned(now Time, e Abandoned, out *Output) {
	for _, m := range g.members {
		if m.join == e.Ticket && m.isNew && m.unknown && m.instanceID == nil {
			g.expel(m, now, fmt.Sprintf("member %s left while joining", m.id), out)
			return
		}
	}
}

// onOpened gives the members of a loaded group their session timeouts, and a group that has grown over its size the occasion
// to shrink.
func (g *Group) onOpened(now Time, out *Output) {
	if len(g.members) > g.settings.MaxSize {
		g.prepareRebalance(now, fmt.Sprintf("it has %d members, group.max.size is %d", len(g.members), g.settings.MaxSize), out)
	}
	for _, m := range g.members {
		g.alive(m, now)
	}
}

// onUnloaded answers everything that is parked. Commits are not: their records may be in the log already, and the outcome of their
// write will tell.
func (g *Group) onUnloaded(now Time, e Unloaded, out *Output) {
	for _, m := range g.members {
		g.answerJoin(m, JoinReply{Err: e.Err, Generation: noGeneration, MemberID: m.id}, out)
		g.answerSync(m, SyncReply{Err: e.Err}, out)
	}
	g.transition(Dead, now)
	g.next = time.Time{}
}

func (o *Output) note(format string, args ...any) {
	o.Notes = append(o.Notes, Note{Text: fmt.Sprintf(format, args...)})
}

func (o *Output) warn(format string, args ...any) {
	o.Notes = append(o.Notes, Note{Text: fmt.Sprintf(format, args...), Warn: true})
}
