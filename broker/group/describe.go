package group

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/group/classic"
)

// allOperations is what may be done to a group without an authorizer: bits for READ (3), DELETE (6) and DESCRIBE (8).
const allOperations = 1<<3 | 1<<6 | 1<<8

// groupType is what ListGroups calls groups of the classic protocol.
const groupType = "classic"

// describeGroups serves versions 0 to 5: from 3 on with authorized operations, from 4 on with instance ids. A group that does not
// exist is Dead.
func (c *Coordinator) describeGroups(ctx context.Context, _ *api.Request, req *kmsg.DescribeGroupsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	ctx, cancel := context.WithTimeout(ctx, loadWait) // for all groups together
	defer cancel()
	for _, id := range req.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group = id
		summary, kerror := c.summary(ctx, id)
		if kerror != nil {
			g.ErrorCode = code(kerror)
			resp.Groups = append(resp.Groups, g)
			continue
		}
		g.State, g.ProtocolType, g.Protocol = summary.State.String(), summary.ProtocolType, summary.Protocol
		for _, m := range summary.Members {
			g.Members = append(g.Members, kmsg.DescribeGroupsResponseGroupMember{
				MemberID: m.ID, InstanceID: m.InstanceID, ClientID: m.ClientID, ClientHost: m.ClientHost,
				ProtocolMetadata: m.Metadata, MemberAssignment: m.Assignment,
			})
		}
		if req.Version >= 3 && req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = allOperations
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp, nil
}

// summary describes one group.
func (c *Coordinator) summary(ctx context.Context, id string) (classic.Summary, *kerr.Error) {
	summary := classic.Summary{State: classic.Dead}
	s, kerror := c.shard(ctx, id)
	if kerror != nil {
		return summary, kerror
	}
	kerror = s.view(id, func(g *classic.Group) {
		if g != nil {
			summary = g.Summary()
		}
	})
	return summary, kerror
}

// listGroups serves versions 0 to 5: the groups of this broker, from 4 on filtered by state, from 5 on by type. While a partition is being
// loaded the list is what is there, with COORDINATOR_LOAD_IN_PROGRESS.
func (c *Coordinator) listGroups(_ context.Context, _ *api.Request, req *kmsg.ListGroupsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrListGroupsResponse()
	wants := func(filter []string, is string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, is) })
	}
	for _, s := range c.served() {
		if !s.isLoaded() {
			resp.ErrorCode = code(kerr.CoordinatorLoadInProgress)
			continue
		}
		s.each(func(g *classic.Group) {
			if wants(req.StatesFilter, g.State().String()) && wants(req.TypesFilter, groupType) {
				resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
					Group: g.ID(), ProtocolType: g.ProtocolType(), GroupState: g.State().String(), GroupType: groupType,
				})
			}
		})
	}
	slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	return resp, nil
}

// each looks at every group under the lock.
func (s *shard) each(look func(*classic.Group)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.groups {
		look(e.group)
	}
}
