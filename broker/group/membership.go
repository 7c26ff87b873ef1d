package group

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/group/classic"
	"ottla/broker/group/offsetlog"
)

// code is an error's code on the wire, 0 for nil. (A nil *kerr.Error must not become an error that is not nil.)
func code(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

// parked looks at how a wait ended: an answer, a protocol error (NOT_COORDINATOR), or the end of the connection.
func parked(answer any, err error) (any, *kerr.Error, error) {
	var kerror *kerr.Error
	if errors.As(err, &kerror) {
		return nil, kerror, nil
	}
	return answer, nil, err
}

// storable says whether all strings fit the records that a group's state is kept in.
func storable(strings ...string) bool {
	for _, s := range strings {
		if len(s) > offsetlog.StringMax {
			return false
		}
	}
	return true
}

// member finds the shard of a group that must have an id.
func (c *Coordinator) member(ctx context.Context, group string) (*shard, *kerr.Error) {
	if group == "" || !storable(group) {
		return nil, kerr.InvalidGroupID
	}
	return c.shard(ctx, group)
}

// joinGroup serves versions 0 to 9: from 1 on with a rebalance timeout (before, the session timeout stands for it), from 4 on members
// come twice (MEMBER_ID_REQUIRED), from 5 on with an instance id, from 8 on with a reason, from 9 on with SkipAssignment.
func (c *Coordinator) joinGroup(ctx context.Context, r *api.Request, req *kmsg.JoinGroupRequest) (kmsg.Response, error) {
	refuse := func(err *kerr.Error) (kmsg.Response, error) {
		return joinResponse(req.Version, classic.JoinReply{Err: err, Generation: -1, MemberID: req.MemberID}), nil
	}
	s, kerror := c.member(ctx, req.Group)
	if kerror != nil {
		return refuse(kerror)
	}
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	if session < c.cfg.MinSessionTimeout || session > c.cfg.MaxSessionTimeout {
		return refuse(kerr.InvalidSessionTimeout)
	}
	join, err := c.join(r, req, session)
	if err != nil {
		return nil, err
	}
	if join == nil {
		return refuse(kerr.InvalidRequest)
	}
	answer, kerror, err := parked(s.do(ctx, req.Group, req.MemberID == "", func(t classic.Ticket) classic.Event {
		join.Ticket = t
		return *join
	}))
	switch {
	case err != nil:
		return nil, err
	case kerror != nil:
		return refuse(kerror)
	case answer == nil:
		return refuse(kerr.UnknownMemberID) // there is no such group
	}
	return joinResponse(req.Version, answer.(classic.JoinReply)), nil
}

// join is the request as the group's event; nil when it holds a string that cannot be stored.
func (c *Coordinator) join(r *api.Request, req *kmsg.JoinGroupRequest, session time.Duration) (*classic.Join, error) {
	j := &classic.Join{
		MemberID: req.MemberID, InstanceID: req.InstanceID, ClientID: r.ClientID, ClientHost: "/" + r.Conn.ClientHost,
		SessionTimeout: session, RebalanceTimeout: session, ProtocolType: req.ProtocolType,
		RequireKnownID: req.Version >= 4, CanSkipAssignment: req.Version >= 9,
	}
	if req.Version >= 1 {
		j.RebalanceTimeout = time.Duration(max(req.RebalanceTimeoutMillis, 0)) * time.Millisecond
	}
	if req.Reason != nil {
		j.Reason = *req.Reason
	}
	prefix := r.ClientID
	if req.InstanceID != nil {
		prefix = *req.InstanceID
	}
	if req.MemberID == "" {
		id, err := c.uuid()
		if err != nil {
			return nil, err
		}
		j.NewID = prefix + "-" + id
	}
	if !storable(j.MemberID, j.NewID, j.ClientID, j.ClientHost, j.ProtocolType, prefix) {
		return nil, nil
	}
	for _, p := range req.Protocols {
		if !storable(p.Name) {
			return nil, nil
		}
		j.Protocols = append(j.Protocols, classic.Protocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)})
	}
	return j, nil
}

// uuid is the random part of a member id.
func (c *Coordinator) uuid() (string, error) {
	var b uuid.UUID
	if _, err := c.cfg.Random(b[:]); err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return b.String(), nil
}

func joinResponse(version int16, r classic.JoinReply) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation, resp.LeaderID, resp.MemberID = code(r.Err), r.Generation, r.Leader, r.MemberID
	resp.ProtocolType, resp.Protocol, resp.SkipAssignment = r.ProtocolType, r.Protocol, r.SkipAssignment
	for _, m := range r.Members {
		resp.Members = append(resp.Members, kmsg.JoinGroupResponseMember{MemberID: m.ID, InstanceID: m.InstanceID, ProtocolMetadata: m.Metadata})
	}
	return resp
}

// syncGroup serves versions 0 to 5: from 3 on with an instance id, from 5 on with the protocol that the client believes in.
func (c *Coordinator) syncGroup(ctx context.Context, _ *api.Request, req *kmsg.SyncGroupRequest) (kmsg.Response, error) {
	reply := func(r classic.SyncReply) (kmsg.Response, error) {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode, resp.ProtocolType, resp.Protocol, resp.MemberAssignment = code(r.Err), r.ProtocolType, r.Protocol, r.Assignment
		return resp, nil
	}
	if req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) {
		return reply(classic.SyncReply{Err: kerr.InconsistentGroupProtocol})
	}
	s, kerror := c.member(ctx, req.Group)
	if kerror == kerr.CoordinatorLoadInProgress {
		// The rebalance that the client is in is lost. Old clients do not expect the true error here, all know this one.
		kerror = kerr.RebalanceInProgress
	}
	if kerror != nil {
		return reply(classic.SyncReply{Err: kerror})
	}
	assignments := make(map[string][]byte, len(req.GroupAssignment))
	for _, a := range req.GroupAssignment {
		assignments[a.MemberID] = bytes.Clone(a.MemberAssignment)
	}
	answer, kerror, err := parked(s.do(ctx, req.Group, false, func(t classic.Ticket) classic.Event {
		return classic.Sync{
			Ticket: t, MemberID: req.MemberID, InstanceID: req.InstanceID, Generation: req.Generation,
			ProtocolType: req.ProtocolType, Protocol: req.Protocol, Assignments: assignments,
		}
	}))
	switch {
	case err != nil:
		return nil, err
	case kerror != nil:
		return reply(classic.SyncReply{Err: kerror})
	case answer == nil:
		return reply(classic.SyncReply{Err: kerr.UnknownMemberID})
	}
	return reply(answer.(classic.SyncReply))
}

// heartbeat serves versions 0 to 4, from 3 on with an instance id.
func (c *Coordinator) heartbeat(ctx context.Context, _ *api.Request, req *kmsg.HeartbeatRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrHeartbeatResponse()
	if req.Group != "" && c.loading(req.Group) {
		return resp, nil // who is alive while its group is being loaded stays so
	}
	s, kerror := c.member(ctx, req.Group)
	if kerror != nil {
		resp.ErrorCode = code(kerror)
		return resp, nil
	}
	answer, kerror, err := parked(s.do(ctx, req.Group, false, func(t classic.Ticket) classic.Event {
		return classic.Heartbeat{Ticket: t, MemberID: req.MemberID, InstanceID: req.InstanceID, Generation: req.Generation}
	}))
	switch {
	case err != nil:
		return nil, err
	case kerror != nil:
		resp.ErrorCode = code(kerror)
	case answer == nil:
		resp.ErrorCode = code(kerr.UnknownMemberID)
	default:
		resp.ErrorCode = code(answer.(classic.ErrorReply).Err)
	}
	return resp, nil
}

// leaveGroup serves versions 0 to 5: one member, from 3 on several, by their ids or their instance ids; from 5 on with a reason.
func (c *Coordinator) leaveGroup(ctx context.Context, _ *api.Request, req *kmsg.LeaveGroupRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrLeaveGroupResponse()
	leavers := []classic.Leaver{{MemberID: req.MemberID}}
	if req.Version >= 3 {
		leavers = leavers[:0]
		for _, m := range req.Members {
			l := classic.Leaver{MemberID: m.MemberID, InstanceID: m.InstanceID}
			if m.Reason != nil {
				l.Reason = *m.Reason
			}
			leavers = append(leavers, l)
		}
	}
	s, kerror := c.member(ctx, req.Group)
	if kerror != nil {
		resp.ErrorCode = code(kerror)
		return resp, nil
	}
	answer, kerror, err := parked(s.do(ctx, req.Group, false, func(t classic.Ticket) classic.Event {
		return classic.Leave{Ticket: t, Leavers: leavers}
	}))
	if err != nil {
		return nil, err
	}
	reply, known := answer.(classic.LeaveReply)
	if !known && kerror == nil { // no such group
		for range leavers {
			reply.Errs = append(reply.Errs, kerr.UnknownMemberID)
		}
	}
	if kerror == nil {
		kerror = reply.Err
	}
	resp.ErrorCode = code(kerror)
	if kerror != nil {
		return resp, nil
	}
	if req.Version < 3 {
		resp.ErrorCode = code(reply.Errs[0])
		return resp, nil
	}
	for i, l := range leavers {
		resp.Members = append(resp.Members, kmsg.LeaveGroupResponseMember{MemberID: l.MemberID, InstanceID: l.InstanceID, ErrorCode: code(reply.Errs[i])})
	}
	return resp, nil
}
