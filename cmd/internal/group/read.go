package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
func describe(ctx context.Context, adm *kadm.Client, names ...string) ([]described, error) {
	groups, err := adm.DescribeGroups(ctx, names...)
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
			if d.places, err = places(ctx, adm, g); err != nil {
				return nil, fmt.Errorf("group %s: %w", name, err)
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// places puts members, offsets and ends of partitions together: first what members own, those with most partitions first, then
// offsets of partitions that nobody owns.
func places(ctx context.Context, adm *kadm.Client, g kadm.DescribedGroup) ([]place, error) {
	committed, err := adm.FetchOffsets(ctx, g.Group)
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
	return out, measure(ctx, adm, out, committed)
}

// measure fills offsets, ends and lags.
func measure(ctx context.Context, adm *kadm.Client, rows []place, committed kadm.OffsetResponses) error {
	var topics []string
	for _, r := range rows {
		if r.Topic != "" && !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
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

// list reads the groups of consumers, by name.
func list(ctx context.Context, adm *kadm.Client) ([]kadm.ListedGroup, error) {
	all, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Sorted(), func(g kadm.ListedGroup) bool { return g.ProtocolType != "consumer" && g.ProtocolType != "" }), nil
}
