package model

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Ask is a request to the coordinator. Tickets are above 0 and differ.
func (g *Group) Ask(ticket int, r kmsg.Request) {
	switch r := r.(type) {
	case *kmsg.JoinGroupRequest:
		g.join(ticket, r)
		g.tryJoin()
	case *kmsg.SyncGroupRequest:
		g.sync(ticket, r)
	case *kmsg.HeartbeatRequest:
		g.answers(ticket, "heartbeat", code(g.heartbeat(r)...))
	case *kmsg.LeaveGroupRequest:
		g.leave(ticket, r)
	case *kmsg.OffsetCommitRequest:
		g.commit(ticket, r)
	case *kmsg.OffsetFetchRequest:
		g.answers(ticket, "fetch", g.fetch(r))
	case *kmsg.DescribeGroupsRequest:
		g.answers(ticket, "describe", g.describe(r))
	case *kmsg.DeleteGroupsRequest:
		g.delete(ticket)
	case *kmsg.OffsetDeleteRequest:
		g.deleteOffsets(ticket, r)
	default:
		panic(fmt.Sprintf("model: %T", r))
	}
}

// check says what is wrong with a member's id and instance id.
func (g *Group) check(id string, instance *string) (*member, *kerr.Error) {
	if instance != nil {
		switch m := g.byInstance(*instance); {
		case m == nil:
			return nil, kerr.UnknownMemberID
		case id == "" || m.id != id:
			return nil, kerr.FencedInstanceID
		}
	}
	if m := g.byID(id); m != nil {
		return m, nil
	}
	return nil, kerr.UnknownMemberID
}

func (g *Group) join(ticket int, r *kmsg.JoinGroupRequest) {
	refuse := func(err *kerr.Error, id string) {
		g.answers(ticket, "join", join(joinWant{err: err, id: id}))
	}
	session := time.Duration(r.SessionTimeoutMillis) * time.Millisecond
	if session < g.limits.MinSession || session > g.limits.MaxSession {
		refuse(kerr.InvalidSessionTimeout, r.MemberID)
		return
	}
	if r.MemberID == "" {
		g.create()
	}
	if g.state == none {
		refuse(kerr.UnknownMemberID, r.MemberID)
		return
	}
	known := g.byID(r.MemberID)
	room := known != nil || len(g.members) < g.limits.MaxSize
	if g.state == preparing {
		room = known != nil && known.join != 0 || g.joined() < g.limits.MaxSize
	}
	common := g.common()
	supported := g.protocolType == r.ProtocolType && slices.ContainsFunc(r.Protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return common[p.Name] || len(g.members) == 0 })
	if g.state == empty {
		room, supported = true, r.ProtocolType != "" && len(r.Protocols) > 0
	}
	_, pending := g.pending[r.MemberID]
	switch {
	case !room:
		delete(g.pending, r.MemberID)
		if known != nil {
			g.remove(known)
		}
		refuse(kerr.GroupMaxSizeReached, "")
	case !supported:
		refuse(kerr.InconsistentGroupProtocol, r.MemberID)
	case r.MemberID == "" && r.InstanceID != nil:
		if m := g.byInstance(*r.InstanceID); m != nil {
			g.comeBack(ticket, r, m)
			return
		}
		g.add(ticket, r, "")
	case r.MemberID == "" && r.Version >= 4:
		g.answers(ticket, "first join", func(resp kmsg.Response) error {
			a := resp.(*kmsg.JoinGroupResponse)
			if a.ErrorCode != kerr.MemberIDRequired.Code || a.MemberID == "" || a.Generation != -1 {
				return fmt.Errorf("%s, generation %d, member %q", name(a.ErrorCode), a.Generation, a.MemberID)
			}
			g.pending[a.MemberID] = g.now + session
			return nil
		})
	case r.MemberID == "":
		g.add(ticket, r, "")
	case pending:
		delete(g.pending, r.MemberID)
		g.add(ticket, r, r.MemberID)
	default:
		g.joinAgain(ticket, r)
	}
}

func rebalanceOf(r *kmsg.JoinGroupRequest) time.Duration {
	if r.Version == 0 {
		return time.Duration(r.SessionTimeoutMillis) * time.Millisecond
	}
	return time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond
}

// update takes over what a join says, and lets it wait.
func (g *Group) update(m *member, ticket int, r *kmsg.JoinGroupRequest) {
	m.session, m.rebalance, m.protocols = time.Duration(r.SessionTimeoutMillis)*time.Millisecond, rebalanceOf(r), r.Protocols
	if m.join != 0 {
		g.mayBeAnswered(m.join) // it has asked again on another connection
	}
	m.join, m.skips = ticket, r.Version >= 9
}

func (g *Group) add(ticket int, r *kmsg.JoinGroupRequest, id string) {
	if g.state == preparing && g.generation == 0 {
		g.newcomer = true
	}
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	m := &member{id: id, instance: r.InstanceID, isNew: true}
	g.update(m, ticket, r)
	g.members = append(g.members, m)
	if len(g.members) == 1 {
		g.leader = m
	}
	m.expires = g.now + newMemberTimeout // it cannot send heartbeats yet
	if g.state != preparing {
		g.prepare()
	}
}

// joinAgain is a join of somebody who has an id.
func (g *Group) joinAgain(ticket int, r *kmsg.JoinGroupRequest) {
	m, err := g.check(r.MemberID, r.InstanceID)
	if err != nil {
		g.answers(ticket, "join", join(joinWant{err: err, id: r.MemberID}))
		return
	}
	same := slices.EqualFunc(m.protocols, r.Protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
	if same && (g.state == completing || g.state == stable && g.leader != m) {
		g.answers(ticket, "join of the generation that runs", join(g.current(m)))
		return
	}
	g.update(m, ticket, r)
	if g.state != preparing {
		g.prepare()
	}
}

// comeBack is a static member that has lost its id.
func (g *Group) comeBack(ticket int, r *kmsg.JoinGroupRequest, m *member) {
	former := ""
	if g.leader != nil {
		former = g.leader.id
	}
	if m.join != 0 {
		g.answers(m.join, "join of a member that is replaced", join(joinWant{err: kerr.FencedInstanceID, id: m.id, anyID: m.id == ""}))
		m.join = 0
	}
	if m.sync != 0 {
		g.answers(m.sync, "sync of a member that is replaced", sync(syncWant{err: kerr.FencedInstanceID}))
		m.sync = 0
	}
	m.id = ""
	g.alive(m)
	g.update(m, ticket, r)
	switch {
	case g.state == completing, g.state == stable && g.elected()[0] != g.protocol:
		g.prepare()
	case g.state == stable:
		m.join = 0
		w := g.current(m)
		w.leader, w.anyID, w.learn = former, true, m
		if g.leader == m && m.skips {
			w.leader, w.leads, w.skip = "", true, true
		} else {
			w.members = nil
		}
		g.alive(m)
		g.answers(ticket, "join of a static member that is back", join(w))
	}
}

// current is the answer that tells a member of the generation.
func (g *Group) current(m *member) joinWant {
	w := joinWant{generation: g.generation, protocolType: g.protocolType, protocol: g.protocol, id: m.id, leader: g.leader.id}
	if g.leader == m {
		w.members = g.members
	}
	return w
}

func (g *Group) sync(ticket int, r *kmsg.SyncGroupRequest) {
	m, err := g.check(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
	case r.Generation != g.generation:
		err = kerr.IllegalGeneration
	case r.Version >= 5 && (g.protocol == "" || *r.ProtocolType != g.protocolType || *r.Protocol != g.protocol):
		err = kerr.InconsistentGroupProtocol
	case g.state == preparing:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		g.answers(ticket, "sync", sync(syncWant{err: err}))
		return
	}
	if m.syncDue = false; !slices.ContainsFunc(g.members, func(m *member) bool { return m.syncDue }) {
		g.syncBy = never
	}
	if g.state == stable {
		g.alive(m)
		g.answers(ticket, "sync", sync(g.assignment(m)))
		return
	}
	if m.sync != 0 {
		g.mayBeAnswered(m.sync)
	}
	if m.sync = ticket; g.leader != m {
		return
	}
	for _, m := range g.members {
		m.assigned = nil
		for _, a := range r.GroupAssignment {
			if a.MemberID == m.id {
				m.assigned = a.MemberAssignment
			}
		}
	}
	g.state = stable
	for _, m := range g.members {
		if m.sync != 0 {
			g.answers(m.sync, "sync", sync(g.assignment(m)))
			m.sync = 0
			g.alive(m)
		}
	}
}

func (g *Group) assignment(m *member) syncWant {
	return syncWant{protocolType: g.protocolType, protocol: g.protocol, assignment: string(m.assigned)}
}

func (g *Group) heartbeat(r *kmsg.HeartbeatRequest) []*kerr.Error {
	m, err := g.check(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return []*kerr.Error{err}
	case r.Generation != g.generation:
		return []*kerr.Error{kerr.IllegalGeneration}
	}
	if g.alive(m); g.state == preparing {
		return []*kerr.Error{kerr.RebalanceInProgress}
	}
	return nil
}

func (g *Group) leave(ticket int, r *kmsg.LeaveGroupRequest) {
	leavers := r.Members
	if r.Version < 3 {
		leavers = []kmsg.LeaveGroupRequestMember{{MemberID: r.MemberID}}
	}
	wants := make([]*kerr.Error, len(leavers))
	for i, l := range leavers {
		g.then(func() { wants[i] = g.goes(l) })
	}
	g.then(func() { g.answers(ticket, "leave", leave(leavers, wants)) })
}

// goes takes one member out.
func (g *Group) goes(l kmsg.LeaveGroupRequestMember) *kerr.Error {
	if _, ok := g.pending[l.MemberID]; ok {
		delete(g.pending, l.MemberID)
		g.tryJoin()
		return nil
	}
	m, err := g.check(l.MemberID, l.InstanceID)
	if l.MemberID == "" && l.InstanceID != nil {
		err = nil
		if m = g.byInstance(*l.InstanceID); m == nil {
			err = kerr.UnknownMemberID
		}
	}
	if err == nil {
		g.expel(m)
	}
	return err
}

func (g *Group) commit(ticket int, r *kmsg.OffsetCommitRequest) {
	if !slices.ContainsFunc(r.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return len(t.Partitions) > 0 }) {
		g.answers(ticket, "commit of nothing", commitWant{}.check) // which the group does not hear of
		return
	}
	errs := []*kerr.Error{nil}
	switch m, err := g.check(r.MemberID, r.InstanceID); {
	case g.state == none && r.Generation >= 0:
		errs[0] = kerr.IllegalGeneration
	case g.state == none || g.state == empty && r.Generation < 0:
		g.create()
	case r.Generation < 0 && r.MemberID == "" && r.InstanceID == nil:
		errs[0] = kerr.UnknownMemberID
	case err != nil:
		if errs[0] = err; g.faint() {
			errs = append(errs, kerr.IllegalGeneration)
		}
	case r.Generation != g.generation:
		errs[0] = kerr.IllegalGeneration
	case g.state == completing:
		errs[0] = kerr.RebalanceInProgress
	default:
		g.alive(m)
	}
	all := commitWant{}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			wants := errs
			if wants[0] == nil {
				if units := utf16.Encode([]rune(*p.Metadata)); len(units) > g.limits.MetadataMax {
					wants = []*kerr.Error{kerr.OffsetMetadataTooLarge}
				} else {
					g.offsets[place{t.Topic, p.Partition}] = committed{p.Offset, *p.Metadata}
				}
			}
			all[place{t.Topic, p.Partition}] = wants
		}
	}
	g.answers(ticket, "commit", all.check)
}

func (g *Group) delete(ticket int) {
	switch {
	case g.state == empty && g.faint():
		g.answers(ticket, "delete", code(nil, kerr.GroupIDNotFound))
	case g.state == none:
		g.answers(ticket, "delete", code(kerr.GroupIDNotFound))
	case g.state != empty:
		g.answers(ticket, "delete", code(kerr.NonEmptyGroup))
		return
	default:
		g.answers(ticket, "delete", code(nil))
	}
	g.reset()
}

func (g *Group) deleteOffsets(ticket int, r *kmsg.OffsetDeleteRequest) {
	var errs []*kerr.Error
	switch {
	case g.state == none:
		errs = []*kerr.Error{kerr.GroupIDNotFound}
	case g.state != empty && g.protocolType != "consumer":
		errs = []*kerr.Error{kerr.NonEmptyGroup}
	case g.faint():
		errs = []*kerr.Error{nil, kerr.GroupIDNotFound}
	}
	if errs != nil {
		if g.answers(ticket, "delete offsets", code(errs...)); errs[0] == nil {
			g.reset()
		}
		return
	}
	wants := commitWant{}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			at := place{t.Topic, p.Partition}
			if g.state != empty && (g.subscribed == nil || g.subscribed[t.Topic]) {
				wants[at] = []*kerr.Error{kerr.GroupSubscribedToTopic}
				continue
			}
			wants[at] = []*kerr.Error{nil}
			delete(g.offsets, at)
		}
	}
	if g.state == empty && len(g.offsets) == 0 && len(wants) > 0 {
		g.reset()
	}
	g.answers(ticket, "delete offsets", wants.check)
}
