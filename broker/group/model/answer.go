package model

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Outcome is what must happen now: a generation begins, or a ticket is answered in a way that Check likes. One that may be answered is not
// waited for: Apache Kafka leaves requests without an answer that others have made void.
type Outcome struct {
	Begins *Beginning

	Ticket int
	What   string
	May    bool
	Check  func(kmsg.Response) error
}

// Take is what has come of the last Ask or Advance. The answers are to be checked in this order, before anything else is asked.
func (g *Group) Take() []Outcome {
	all := g.outcomes
	g.outcomes = nil
	return all
}

func (g *Group) answers(ticket int, what string, check func(kmsg.Response) error) {
	g.outcomes = append(g.outcomes, Outcome{Ticket: ticket, What: what, Check: check})
}

func (g *Group) mayBeAnswered(ticket int) {
	g.outcomes = append(g.outcomes, Outcome{Ticket: ticket, May: true})
}

// Began takes the answers to the tickets of a beginning, in their order, and says what is wrong with them.
func (g *Group) Began(b *Beginning, answers []*kmsg.JoinGroupResponse) error {
	var leader *member
	for i, a := range answers {
		if a.ErrorCode != 0 {
			return fmt.Errorf("%s", name(a.ErrorCode))
		}
		if m := b.of[i]; m.id == "" {
			m.id = a.MemberID
		} else if m.id != a.MemberID {
			return fmt.Errorf("member %s is called %s", m.id, a.MemberID)
		}
		if a.LeaderID == a.MemberID {
			leader = b.of[i]
		}
	}
	if !slices.Contains(b.leaders, leader) {
		return fmt.Errorf("%s leads", answers[0].LeaderID)
	}
	protocol := ""
	if answers[0].Protocol != nil {
		protocol = *answers[0].Protocol
	}
	if !slices.Contains(b.protocols, protocol) {
		return fmt.Errorf("protocol %q of %q", protocol, b.protocols)
	}
	g.leader, g.protocol = leader, protocol
	for i, a := range answers {
		if err := join(g.current(b.of[i]))(a); err != nil {
			return err
		}
	}
	g.begun()
	return nil
}

func name(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return "NONE"
}

func is(code int16, errs ...*kerr.Error) bool {
	return slices.ContainsFunc(errs, func(e *kerr.Error) bool { return e == nil && code == 0 || e != nil && e.Code == code })
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// joinWant is a join's answer. members are those that a leader is told of.
type joinWant struct {
	err                    *kerr.Error
	generation             int32
	protocolType, protocol string
	id                     string
	anyID                  bool
	learn                  *member // whose id the answer tells
	leader                 string
	leads                  bool
	skip                   bool
	members                []*member
}

func join(w joinWant) func(kmsg.Response) error {
	return func(resp kmsg.Response) error {
		a := resp.(*kmsg.JoinGroupResponse)
		if w.err != nil {
			if !is(a.ErrorCode, w.err) || a.MemberID != w.id && !w.anyID || a.Generation != -1 || a.LeaderID != "" || len(a.Members) > 0 {
				return fmt.Errorf("%s for %q in generation %d, want %s for %q", name(a.ErrorCode), a.MemberID, a.Generation, w.err.Message, w.id)
			}
			return nil
		}
		if w.learn != nil {
			w.learn.id = a.MemberID
		}
		leader := w.leader
		if w.leads {
			leader = a.MemberID
		}
		switch {
		case a.ErrorCode != 0:
			return fmt.Errorf("%s", name(a.ErrorCode))
		case a.Generation != w.generation || text(a.Protocol) != w.protocol || a.Version >= 7 && text(a.ProtocolType) != w.protocolType:
			return fmt.Errorf("generation %d, %s, %s; want %d, %s, %s", a.Generation, text(a.ProtocolType), text(a.Protocol), w.generation, w.protocolType, w.protocol)
		case a.LeaderID != leader, a.MemberID == "", a.MemberID != w.id && !w.anyID, a.SkipAssignment != w.skip:
			return fmt.Errorf("leader %q, member %q, skips %v; want %q, %q, %v", a.LeaderID, a.MemberID, a.SkipAssignment, leader, w.id, w.skip)
		case len(a.Members) != len(w.members):
			return fmt.Errorf("%d members are told, want %d", len(a.Members), len(w.members))
		}
		for _, m := range w.members {
			metadata, _ := m.metadata(w.protocol)
			if !slices.ContainsFunc(a.Members, func(t kmsg.JoinGroupResponseMember) bool {
				return t.MemberID == m.id && string(t.ProtocolMetadata) == string(metadata) && (a.Version < 5 || text(t.InstanceID) == text(m.instance))
			}) {
				return fmt.Errorf("member %s is not told as it should be", m.id)
			}
		}
		return nil
	}
}

type syncWant struct {
	err                    *kerr.Error
	protocolType, protocol string
	assignment             string
}

func sync(w syncWant) func(kmsg.Response) error {
	return func(resp kmsg.Response) error {
		a := resp.(*kmsg.SyncGroupResponse)
		if !is(a.ErrorCode, w.err) || string(a.MemberAssignment) != w.assignment || a.Version >= 5 && (text(a.ProtocolType) != w.protocolType || text(a.Protocol) != w.protocol) {
			return fmt.Errorf("%s, %q, %s, %s; want %+v", name(a.ErrorCode), a.MemberAssignment, text(a.ProtocolType), text(a.Protocol), w)
		}
		return nil
	}
}

// code wants an answer that is one of the errors, or none; no errs at all is none too.
func code(errs ...*kerr.Error) func(kmsg.Response) error {
	if errs == nil {
		errs = []*kerr.Error{nil}
	}
	return func(resp kmsg.Response) error {
		var c int16
		switch a := resp.(type) {
		case *kmsg.HeartbeatResponse:
			c = a.ErrorCode
		case *kmsg.DeleteGroupsResponse:
			c = a.Groups[0].ErrorCode
		case *kmsg.OffsetDeleteResponse:
			c = a.ErrorCode
		}
		if !is(c, errs...) {
			return fmt.Errorf("%s, want %v", name(c), errs)
		}
		return nil
	}
}

func leave(leavers []kmsg.LeaveGroupRequestMember, wants []*kerr.Error) func(kmsg.Response) error {
	return func(resp kmsg.Response) error {
		a := resp.(*kmsg.LeaveGroupResponse)
		if a.Version < 3 {
			if !is(a.ErrorCode, wants[0]) {
				return fmt.Errorf("%s, want %v", name(a.ErrorCode), wants[0])
			}
			return nil
		}
		if a.ErrorCode != 0 || len(a.Members) != len(leavers) {
			return fmt.Errorf("%s with %d members", name(a.ErrorCode), len(a.Members))
		}
		for i, l := range leavers {
			if m := a.Members[i]; m.MemberID != l.MemberID || text(m.InstanceID) != text(l.InstanceID) || !is(m.ErrorCode, wants[i]) {
				return fmt.Errorf("%q %q: %s, want %v", m.MemberID, text(m.InstanceID), name(m.ErrorCode), wants[i])
			}
		}
		return nil
	}
}

// commitWant is what each partition may be answered.
type commitWant map[place][]*kerr.Error

func (w commitWant) check(resp kmsg.Response) error {
	got := map[place]int16{}
	switch a := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				got[place{t.Topic, p.Partition}] = p.ErrorCode
			}
		}
	case *kmsg.OffsetDeleteResponse:
		if a.ErrorCode != 0 {
			return fmt.Errorf("%s", name(a.ErrorCode))
		}
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				got[place{t.Topic, p.Partition}] = p.ErrorCode
			}
		}
	}
	if len(got) != len(w) {
		return fmt.Errorf("%d partitions, want %d", len(got), len(w))
	}
	for at, errs := range w {
		if c, ok := got[at]; !ok || !is(c, errs...) {
			return fmt.Errorf("%v: %s, want %v", at, name(c), errs)
		}
	}
	return nil
}

// fetch wants the offsets of the partitions that are asked for, or of all.
func (g *Group) fetch(r *kmsg.OffsetFetchRequest) func(kmsg.Response) error {
	wants := map[place]committed{}
	if r.Topics == nil {
		for at, c := range g.offsets {
			wants[at] = c
		}
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			c, ok := g.offsets[place{t.Topic, p}]
			if !ok {
				c.offset = -1
			}
			wants[place{t.Topic, p}] = c
		}
	}
	return func(resp kmsg.Response) error {
		a := resp.(*kmsg.OffsetFetchResponse)
		got := map[place]committed{}
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return fmt.Errorf("%s", name(p.ErrorCode))
				}
				got[place{t.Topic, p.Partition}] = committed{p.Offset, text(p.Metadata)}
			}
		}
		if a.ErrorCode != 0 || len(got) != len(wants) {
			return fmt.Errorf("%s with %v, want %v", name(a.ErrorCode), got, wants)
		}
		for at, c := range wants {
			if got[at] != c {
				return fmt.Errorf("%v: %v, want %v", at, got[at], c)
			}
		}
		return nil
	}
}

// describe wants the state and the members; their ids as far as they are known.
func (g *Group) describe(r *kmsg.DescribeGroupsRequest) func(kmsg.Response) error {
	states := []string{string(g.state)}
	types := []string{g.protocolType}
	if g.faint() {
		states, types = []string{string(none), string(empty)}, []string{"", g.protocolType}
	}
	protocol := ""
	type shown struct{ id, instance, metadata, assignment string }
	var wants []shown
	unknown := 0
	for _, m := range g.members {
		s := shown{id: m.id, instance: text(m.instance)}
		if r.Version < 4 {
			s.instance = ""
		}
		if g.state == stable {
			protocol = g.protocol
			metadata, _ := m.metadata(protocol)
			s.metadata, s.assignment = string(metadata), string(m.assigned)
		}
		if m.id == "" {
			unknown++
			continue
		}
		wants = append(wants, s)
	}
	return func(resp kmsg.Response) error {
		d := resp.(*kmsg.DescribeGroupsResponse).Groups[0]
		if d.ErrorCode != 0 || !slices.Contains(states, d.State) || !slices.Contains(types, d.ProtocolType) || d.Protocol != protocol {
			return fmt.Errorf("%s: %s, type %q, protocol %q; want %q, %q, %q", name(d.ErrorCode), d.State, d.ProtocolType, d.Protocol, states, types, protocol)
		}
		if len(d.Members) != len(wants)+unknown {
			return fmt.Errorf("%d members, want %d", len(d.Members), len(wants)+unknown)
		}
		for _, w := range wants {
			if !slices.ContainsFunc(d.Members, func(m kmsg.DescribeGroupsResponseGroupMember) bool {
				return w == shown{m.MemberID, text(m.InstanceID), string(m.ProtocolMetadata), string(m.MemberAssignment)}
			}) {
				return fmt.Errorf("no member %+v in %+v", w, d.Members)
			}
		}
		return nil
	}
}
