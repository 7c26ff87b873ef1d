package grouptest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func text(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// name is a member id's place in the order in which they were seen.
func (p *player) name(id string) string {
	if id == "" {
		return "nobody"
	}
	if p.names[id] == "" {
		p.names[id] = fmt.Sprint("m", len(p.names))
	}
	return p.names[id]
}

func failure(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return "ok"
}

// text is an answer for a line, without what the protocol leaves open: order, and ids that are drawn.
func (p *player) text(resp kmsg.Response) string {
	switch a := resp.(type) {
	case *kmsg.JoinGroupResponse:
		var members []string
		for _, m := range a.Members {
			members = append(members, p.name(m.MemberID)+"="+text(m.InstanceID))
		}
		slices.Sort(members)
		return fmt.Sprintf("%s %s generation %d, %s of %s, led by %s, skips %v, %v", failure(a.ErrorCode), p.name(a.MemberID), a.Generation,
			text(a.Protocol), text(a.ProtocolType), p.name(a.LeaderID), a.SkipAssignment, members)
	case *kmsg.SyncGroupResponse:
		return fmt.Sprintf("%s %s of %s, %q", failure(a.ErrorCode), text(a.Protocol), text(a.ProtocolType), a.MemberAssignment)
	case *kmsg.HeartbeatResponse:
		return failure(a.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		all := failure(a.ErrorCode)
		for _, m := range a.Members {
			all += fmt.Sprintf(" %s=%s %s", p.name(m.MemberID), text(m.InstanceID), failure(m.ErrorCode))
		}
		return all
	case *kmsg.OffsetCommitResponse:
		var all []string
		for _, t := range a.Topics {
			for _, r := range t.Partitions {
				all = append(all, fmt.Sprint(p.topic(t.Topic), r.Partition, " ", failure(r.ErrorCode)))
			}
		}
		return sorted(all)
	case *kmsg.OffsetFetchResponse:
		all := []string{failure(a.ErrorCode)}
		for _, t := range a.Topics {
			for _, r := range t.Partitions {
				all = append(all, fmt.Sprint(p.topic(t.Topic), r.Partition, " ", r.Offset, " ", text(r.Metadata), " ", failure(r.ErrorCode)))
			}
		}
		return sorted(all)
	case *kmsg.DescribeGroupsResponse:
		g := a.Groups[0]
		all := []string{fmt.Sprintf("%s %d", failure(g.ErrorCode), len(g.Members))}
		for _, m := range g.Members {
			all = append(all, fmt.Sprintf("%q", m.MemberAssignment))
		}
		return sorted(all)
	case *kmsg.DeleteGroupsResponse:
		return "answered" // a group that nothing is known of may be there or not
	case *kmsg.OffsetDeleteResponse:
		all := []string{"answered"}
		for _, t := range a.Topics {
			for _, r := range t.Partitions {
				if r.ErrorCode != 0 {
					all = append(all, fmt.Sprint(p.topic(t.Topic), r.Partition, " ", failure(r.ErrorCode)))
				}
			}
		}
		return sorted(all)
	}
	return fmt.Sprintf("%T", resp)
}

func sorted(all []string) string {
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// topic is a topic's name in lines.
func (p *player) topic(name string) string {
	return []string{"t-", "u-"}[max(slices.Index(p.script.Topics[:], name), 0)]
}
