package classic

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// write is what waits for the outcome of a Write: one of the four, or nothing.
type write struct {
	assignments map[string][]byte // of the leader, for generation
	generation  int32
	takeover    *takeover
	commit      *commit
	removal     *removal
}

// takeover is a static member that came back with a new id into a stable group, and what to go back to if that cannot be stored.
type takeover struct {
	memberID     string
	formerID     string
	formerLeader string
	generation   int32
	protocols    []Protocol
	session      time.Duration
	rebalance    time.Duration
}

// commit is an OffsetCommit. errs has what is decided already; removed, the partitions whose offsets were deleted after it.
type commit struct {
	ticket  Ticket
	offsets []PartitionOffset
	errs    []*kerr.Error
	removed map[topic.Partition]bool
}

// write asks for records to be stored.
func (g *Group) write(w write, records []offsetlog.Record, now Time, out *Output) {
	g.lastWrite++
	g.writes[g.lastWrite] = w
	out.Writes = append(out.Writes, Write{ID: g.lastWrite, Records: records, Time: now.Wall, Offsets: w.commit != nil})
}

// records is the group's record, with the assignments that the leader has just made, or those in force if nil.
func (g *Group) records(assignments map[string][]byte) []offsetlog.Record {
	v := offsetlog.Group{
		ProtocolType: deref(g.protocolType), Generation: g.generation, Protocol: g.protocol, StateTime: g.stateTime,
		Members: make([]offsetlog.Member, len(g.members)),
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for i, m := range g.members {
		subscription, _ := m.metadata(deref(g.protocol))
		assignment := m.assignment
		if assignments != nil {
			assignment = assignments[m.id]
		}
		v.Members[i] = offsetlog.Member{
			ID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeout: int32(m.rebalance.Milliseconds()), SessionTimeout: int32(m.session.Milliseconds()),
			Subscription: subscription, Assignment: assignment,
		}
	}
	return []offsetlog.Record{{Key: offsetlog.GroupKey(g.id), Value: v.Append(nil)}}
}

// onStored takes the outcome of a write.
func (g *Group) onStored(now Time, e Stored, out *Output) {
	w, ok := g.writes[e.Write]
	if !ok {
		return
	}
	delete(g.writes, e.Write)
	switch {
	case w.commit != nil:
		g.onCommitted(w.commit, commitError(e.Err), out)
	case w.removal != nil:
		w.removal.done(commitError(e.Err), out)
	case w.takeover != nil:
		g.onTakenOver(now, w.takeover, groupError(e.Err), out)
	case w.assignments != nil:
		g.onAssigned(now, w, groupError(e.Err), out)
	case e.Err != nil:
		// A generation without members, or tombstones. If this broker dies now, its successor finds the last generation, whose
		// members will not show, or expires the offsets once more.
		out.warn("could not store that it is empty, or that offsets are gone: %s", e.Err)
	}
}

// onCommitted makes the offsets of a stored commit visible.
func (g *Group) onCommitted(c *commit, err *kerr.Error, out *Output) {
	for i, o := range c.offsets {
		if c.errs[i] != nil {
			continue
		}
		c.errs[i] = err
		if c.removed[o.Partition] {
			continue
		}
		if g.storing[o.Partition]--; g.storing[o.Partition] == 0 {
			delete(g.storing, o.Partition)
		}
		if err == nil && g.state != Dead {
			g.offsets[o.Partition] = o.Offset
		}
	}
	out.Replies = append(out.Replies, Reply{c.ticket, CommitReply{c.errs}})
}

// onTakenOver answers a static member that is back, or makes its former id valid again.
func (g *Group) onTakenOver(now Time, t *takeover, err *kerr.Error, out *Output) {
	m := g.byID[t.memberID]
	if m == nil || g.state != Stable || g.generation != t.generation {
		return // it was replaced again, or a rebalance has begun that will answer it
	}
	r := JoinReply{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: t.formerLeader, MemberID: m.id}
	switch {
	case err != nil:
		out.warn("could not store that %s replaces %s: %s", t.memberID, t.formerID, err.Message)
		r.Err, r.MemberID = err, ""
		g.rename(m, t.formerID)
		g.vote(m, -1)
		m.protocols, m.session, m.rebalance = t.protocols, t.session, t.rebalance
		g.vote(m, 1)
	case m.joinSkip:
		// It may know that it leads, as long as it makes no assignment: that of a stable group stands.
		r.Leader = g.leader
		if g.leader == m.id {
			r.SkipAssignment = true
			r.Members = g.roll()
		}
	default:
		// Older clients make an assignment whenever they find themselves leader. The former id, which is nobody's, keeps them
		// from it.
	}
	g.answerJoin(m, r, out)
	g.alive(m, now)
}

// groupError is the answer of JoinGroup and SyncGroup when a group's record could not be stored.
func groupError(err error) *kerr.Error {
	switch e := protocolError(err); e {
	case kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend:
		return kerr.CoordinatorNotAvailable
	case kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.KafkaStorageError:
		return kerr.NotCoordinator
	case kerr.RequestTimedOut:
		return kerr.RebalanceInProgress
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidFetchSize:
		return kerr.UnknownServerError
	default:
		return e
	}
}

// commitError is the answer of OffsetCommit when offsets could not be stored.
func commitError(err error) *kerr.Error {
	switch e := protocolError(err); e {
	case kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut:
		return kerr.CoordinatorNotAvailable
	case kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.KafkaStorageError:
		return kerr.NotCoordinator
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidFetchSize:
		return kerr.InvalidCommitOffsetSize
	default:
		return e
	}
}

// protocolError is the protocol's error in err's chain, nil for nil.
func protocolError(err error) *kerr.Error {
	if err == nil {
		return nil
	}
	var e *kerr.Error
	if !errors.As(err, &e) {
		return kerr.UnknownServerError
	}
	return e
}
