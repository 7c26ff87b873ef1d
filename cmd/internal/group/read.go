package group

import (
	"cmp"
	"errors"
	"fmt"
	"ottla/cmd/internal/client"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// place is a row of a description: a partition that a member owns, or that has an offset, or a member without partitions.
type place struct {
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"` // -1: a member without partitions
	Offset    int64  `json:"offset"`    // committed; -1: none
	End       int64  `json:"end"`       // -1: unknown
	Lag       int64  `json:"lag"`       // -1: unknown
	Member    string `json:"member,omitempty"`
	Instance  string `json:"instance,omitempty"`
	Host      string `json:"host,omitempty"`
	Client    string `json:"client,omitempty"`
}

// described is a group.
type described struct {
	kadm.DescribedGroup
	places []place
}

// exists says whether the coordinator knows the group.
func (d described) exists() bool { return d.State != "Dead" && d.Err == nil }

// describe reads groups, by name.
func describe(s client.Session, names ...string) ([]described, error) {
	groups, err := s.DescribeGroups(s, names...)
	var shards *kadm.ShardErrors
	if err != nil && !errors.As(err, &shards) {
		return nil, err
	}
	var out []described
	for _, name := range slices.Sorted(slices.Values(names)) {
		g, ok := groups[name]
		if !ok {
			return nil, fmt.Errorf("group %s: %w", name, err)
		}
		d := described{DescribedGroup: g}
		switch {
		case errors.Is(g.Err, kerr.GroupIDNotFound):
			d.State = "Dead"
		case g.Err != nil:
			return nil, fmt.Errorf("group %s: %w", name, g.Err)
		}
		if d.exists() {
			if d.places, err = places(s, g); err != nil {
				return nil, fmt.Errorf("group %s: %w", name, err)
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// places puts members, offsets and ends of partitions together: first what members own, those with most partitions first, then
// offsets of partitions that nobody owns.
func places(s client.Session, g kadm.DescribedGroup) ([]place, error) {
	committed, err := s.FetchOffsets(s, g.Group)
	if err != nil {
		return nil, err
	}
	var out []place
	owned := map[kadm.Partition]bool{}
	members := slices.Clone(g.Members)
	slices.SortStableFunc(members, func(a, b kadm.DescribedGroupMember) int {
		return cmp.Compare(len(assignment(b)), len(assignment(a)))
	})
	for _, m := range members {
		p := place{Partition: -1, Offset: -1, End: -1, Lag: -1, Member: m.MemberID, Host: m.ClientHost, Client: m.ClientID}
		if m.InstanceID != nil {
			p.Instance = *m.InstanceID
		}
		tps := assignment(m)
		if len(tps) == 0 {
			out = append(out, p)
		}
		for _, tp := range tps {
			owned[tp] = true
			p.Topic, p.Partition = tp.Topic, tp.Partition
			out = append(out, p)
		}
	}
	var rest []place
	committed.Each(func(o kadm.OffsetResponse) {
		if !owned[kadm.Partition{Topic: o.Topic, Partition: o.Partition}] && o.At >= 0 {
			rest = append(rest, place{Topic: o.Topic, Partition: o.Partition, Offset: -1, End: -1, Lag: -1})
		}
	})
	slices.SortFunc(rest, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	out = append(out, rest...)
	return out, measure(s, out, committed)
}

// measure fills offsets, ends and lags.
func measure(s client.Session, rows []place, committed kadm.OffsetResponses) error {
	var topics []string
	for _, r := range rows {
		if r.Topic != "" && !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	ends, err := s.ListEndOffsets(s, topics...)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		if o, ok := committed.Lookup(r.Topic, r.Partition); ok && o.Err == nil {
			r.Offset = o.At
		}
		if e, ok := ends.Lookup(r.Topic, r.Partition); ok && e.Err == nil {
			r.End = e.Offset
		}
		if r.Offset >= 0 && r.End >= 0 {
			r.Lag = r.End - r.Offset
		}
	}
	return nil
}

// assignment lists what a member owns, sorted. Groups of other kinds than consumers have none that we could read.
func assignment(m kadm.DescribedGroupMember) []kadm.Partition {
	var out []kadm.Partition
	if c, ok := m.Assigned.AsConsumer(); ok {
		for _, t := range c.Topics {
			for _, p := range t.Partitions {
				out = append(out, kadm.Partition{Topic: t.Topic, Partition: p})
			}
		}
	}
	slices.SortFunc(out, func(a, b kadm.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// The states and types that a list can be narrowed to.
var (
	states = []string{"PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"}
	types  = []string{"Consumer", "Classic"}
)

// chosen reads a comma separated list of known names, in any case.
func chosen(what, text string, known []string) ([]string, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	var out []string
	for _, x := range strings.Split(text, ",") {
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, strings.TrimSpace(x)) })
		if i < 0 {
			return nil, fmt.Errorf("Invalid %s list '%s'. Valid %ss are: %s", what, text, strings.TrimSuffix(what, "s"), strings.Join(known, ", "))
		}
		out = append(out, known[i])
	}
	return out, nil
}

// listing is a group in a list.
type listing struct {
	Group, Type, State string
	Coordinator        int32
}

// list reads the groups of consumers, by name; of some types and in some states only, if there are any.
func list(s client.Session, types, states []string) ([]listing, error) {
	var out []listing
	for _, shard := range s.Kafka.RequestSharded(s, kmsg.NewPtrListGroupsRequest()) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, err
		}
		for _, g := range resp.Groups {
			kind := "Classic" // brokers that do not tell have no others
			if strings.EqualFold(g.GroupType, "consumer") {
				kind = "Consumer"
			}
			if (g.ProtocolType == "consumer" || g.ProtocolType == "") && (len(types) == 0 || slices.Contains(types, kind)) && (len(states) == 0 || slices.Contains(states, g.GroupState)) {
				out = append(out, listing{g.Group, kind, g.GroupState, shard.Meta.NodeID})
			}
		}
	}
	slices.SortFunc(out, func(a, b listing) int { return cmp.Compare(a.Group, b.Group) })
	return out, nil
}
