package group

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/group/classic"
	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// offsetCommit serves versions 0 to 9: 0 keeps the offsets in ZooKeeper; from 1 on it comes from a member; 1 has a time for each
// offset, 2 to 4 a retention time; from 6 on with leader epochs, from 7 on with an instance id.
func (c *Coordinator) offsetCommit(ctx context.Context, _ *api.Request, req *kmsg.OffsetCommitRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	var commits []classic.PartitionOffset
	var results []slot // of each commit, in the response
	known := map[topic.Partition]int{}
	topics := map[string]int{} // a topic is answered once, however often it is named
	now := c.cfg.Now().UnixMilli()
	for i := range req.Topics {
		t := &req.Topics[i]
		if len(t.Partitions) == 0 && c.metadata.PartitionCount(t.Topic) > 0 {
			continue // nothing to tell of
		}
		n, named := topics[t.Topic]
		if !named {
			n = len(resp.Topics)
			topics[t.Topic] = n
			resp.Topics = append(resp.Topics, kmsg.OffsetCommitResponseTopic{Topic: t.Topic, Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, 0, len(t.Partitions))})
		}
		rt := &resp.Topics[n]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition}
			if tp := (topic.Partition{Topic: t.Topic, Partition: p.Partition}); !c.metadata.HasPartition(t.Topic, p.Partition) {
				rp.ErrorCode = code(kerr.UnknownTopicOrPartition)
			} else if at, again := known[tp]; again {
				commits[at].Offset = committed(req, p, now) // the last counts
				continue
			} else {
				known[tp] = len(commits)
				commits = append(commits, classic.PartitionOffset{Partition: tp, Offset: committed(req, p, now)})
				results = append(results, slot{n, len(rt.Partitions)})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
	}
	if len(commits) == 0 {
		return resp, nil
	}
	var errs []*kerr.Error
	var err error
	if req.Version == 0 {
		errs = c.commitLegacy(ctx, req.Group, commits)
	} else if errs, err = c.commit(ctx, req, commits); err != nil {
		return nil, err
	}
	for i, e := range errs {
		resp.Topics[results[i].topic].Partitions[results[i].partition].ErrorCode = code(e)
	}
	return resp, nil
}

// slot is the place of a partition in an answer.
type slot struct{ topic, partition int }

// committed is the offset that a request asks to store.
func committed(req *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition, now int64) offsetlog.Offset {
	o := offsetlog.Offset{Offset: p.Offset, LeaderEpoch: offsetlog.None, CommitTime: now, ExpireTime: offsetlog.None}
	if p.Metadata != nil {
		o.Metadata = *p.Metadata
	}
	if req.Version >= 6 && p.LeaderEpoch >= 0 {
		o.LeaderEpoch = p.LeaderEpoch
	}
	if req.Version == 1 && p.Timestamp != offsetlog.None {
		o.CommitTime = p.Timestamp
	}
	if req.Version >= 2 && req.Version <= 4 && req.RetentionTimeMillis != offsetlog.None {
		o.ExpireTime = now + req.RetentionTimeMillis
	}
	return o
}

// commit stores offsets in the group.
func (c *Coordinator) commit(ctx context.Context, req *kmsg.OffsetCommitRequest, commits []classic.PartitionOffset) ([]*kerr.Error, error) {
	all := func(err *kerr.Error) []*kerr.Error {
		errs := make([]*kerr.Error, len(commits))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if !storable(req.Group) {
		return all(kerr.InvalidGroupID), nil
	}
	s, kerror := c.shard(ctx, req.Group)
	if kerror != nil {
		return all(kerror), nil
	}
	answer, kerror, err := parked(s.do(ctx, req.Group, req.Generation < 0, func(t classic.Ticket) classic.Event {
		return classic.Commit{Ticket: t, MemberID: req.MemberID, InstanceID: req.InstanceID, Generation: req.Generation, Offsets: commits}
	}))
	switch {
	case err != nil:
		return nil, err
	case kerror != nil:
		return all(kerror), nil
	case answer == nil:
		return all(kerr.IllegalGeneration), nil // of a group that is no more
	}
	return answer.(classic.CommitReply).Errs, nil
}

// commitLegacy stores offsets in ZooKeeper.
func (c *Coordinator) commitLegacy(ctx context.Context, group string, commits []classic.PartitionOffset) []*kerr.Error {
	errs := make([]*kerr.Error, len(commits))
	for i, o := range commits {
		if classic.MetadataTooLarge(o.Offset.Metadata, c.cfg.OffsetMetadataMaxBytes) {
			errs[i] = kerr.OffsetMetadataTooLarge
			continue
		}
		if err := c.legacy.Set(ctx, group, o.Partition.Topic, o.Partition.Partition, o.Offset.Offset); err != nil {
			c.cfg.Logger.Warn().Err(err).Str("group", group).Stringer("partition", o.Partition).Msg("offset could not be kept in ZooKeeper")
			if !errors.As(err, &errs[i]) {
				errs[i] = kerr.UnknownServerError
			}
		}
	}
	return errs
}

// offsetFetch serves versions 0 to 9: 0 reads from ZooKeeper; from 2 on no topics means all, and the group's error stands alone; from 7
// on with RequireStable, from 8 on for many groups.
func (c *Coordinator) offsetFetch(ctx context.Context, _ *api.Request, req *kmsg.OffsetFetchRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if req.Version >= 8 {
		ctx, cancel := context.WithTimeout(ctx, loadWait) // for all groups together
		defer cancel()
		for _, g := range req.Groups {
			topics, kerror := c.fetch(ctx, g.Group, distinct(g.Topics), req.RequireStable)
			resp.Groups = append(resp.Groups, kmsg.OffsetFetchResponseGroup{Group: g.Group, Topics: topics, ErrorCode: code(kerror)})
		}
		return resp, nil
	}
	var wanted []kmsg.OffsetFetchRequestGroupTopic
	if req.Topics != nil {
		wanted = make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
		for i, t := range req.Topics {
			wanted[i] = kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions}
		}
		wanted = distinct(wanted)
	}
	var topics []kmsg.OffsetFetchResponseGroupTopic
	var kerror *kerr.Error
	if req.Version == 0 {
		topics = c.fetchLegacy(ctx, req.Group, wanted)
	} else if topics, kerror = c.fetch(ctx, req.Group, wanted, req.RequireStable); kerror != nil && req.Version < 2 {
		topics = failedTopics(wanted, kerror)
	}
	resp.ErrorCode = code(kerror)
	for _, t := range topics {
		rt := kmsg.OffsetFetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

// distinct is what is asked for, without what is named twice: topics and partitions. Nil, which means everything, stays nil.
func distinct(wanted []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchRequestGroupTopic {
	seen := map[topic.Partition]bool{}
	at := map[string]int{}
	kept := wanted[:0]
	for _, t := range wanted {
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p int32) bool {
			tp := topic.Partition{Topic: t.Topic, Partition: p}
			again := seen[tp]
			seen[tp] = true
			return again
		})
		if i, again := at[t.Topic]; again {
			kept[i].Partitions = append(kept[i].Partitions, t.Partitions...)
			continue
		}
		at[t.Topic] = len(kept)
		kept = append(kept, t)
	}
	return kept
}

// fetch reads the offsets of a group: of the topics wanted, or of all if that is nil. It may be asked of every state of a group,
// and of groups that do not exist.
func (c *Coordinator) fetch(ctx context.Context, group string, wanted []kmsg.OffsetFetchRequestGroupTopic, stable bool) ([]kmsg.OffsetFetchResponseGroupTopic, *kerr.Error) {
	s, kerror := c.shard(ctx, group)
	if kerror != nil {
		return nil, kerror
	}
	var topics []kmsg.OffsetFetchResponseGroupTopic
	kerror = s.view(group, func(g *classic.Group) {
		if g == nil {
			g = classic.New(group, c.settings)
		}
		if wanted == nil {
			topics = grouped(g.FetchAll(stable))
			return
		}
		for _, t := range wanted {
			rt := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic}
			if len(t.Partitions) == 0 {
				continue
			}
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, fetchedPartition(g.Fetch(topic.Partition{Topic: t.Topic, Partition: p}, stable)))
			}
			topics = append(topics, rt)
		}
	})
	return topics, kerror
}

// grouped puts the partitions of a topic, which follow each other, together.
func grouped(all []classic.Fetched) []kmsg.OffsetFetchResponseGroupTopic {
	var topics []kmsg.OffsetFetchResponseGroupTopic
	for _, f := range all {
		if n := len(topics); n == 0 || topics[n-1].Topic != f.Partition.Topic {
			topics = append(topics, kmsg.OffsetFetchResponseGroupTopic{Topic: f.Partition.Topic})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, fetchedPartition(f))
	}
	return topics
}

func fetchedPartition(f classic.Fetched) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{
		Partition: f.Partition.Partition, Offset: f.Offset.Offset, LeaderEpoch: f.Offset.LeaderEpoch, Metadata: &f.Offset.Metadata, ErrorCode: code(f.Err),
	}
}

// failedTopics answers every partition with an error: before version 2 the answer has no other place for it.
func failedTopics(wanted []kmsg.OffsetFetchRequestGroupTopic, err *kerr.Error) []kmsg.OffsetFetchResponseGroupTopic {
	topics := make([]kmsg.OffsetFetchResponseGroupTopic, len(wanted))
	for i, t := range wanted {
		topics[i].Topic = t.Topic
		for _, p := range t.Partitions {
			topics[i].Partitions = append(topics[i].Partitions, noOffset(p, err))
		}
	}
	return topics
}

func noOffset(partition int32, err *kerr.Error) kmsg.OffsetFetchResponseGroupTopicPartition {
	return fetchedPartition(classic.Fetched{
		Partition: topic.Partition{Partition: partition}, Offset: offsetlog.Offset{Offset: -1, LeaderEpoch: offsetlog.None}, Err: err,
	})
}

// fetchLegacy reads offsets from ZooKeeper. Any broker may be asked. One that is not there is UNKNOWN_TOPIC_OR_PARTITION.
func (c *Coordinator) fetchLegacy(ctx context.Context, group string, wanted []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	topics := make([]kmsg.OffsetFetchResponseGroupTopic, len(wanted))
	for i, t := range wanted {
		topics[i].Topic = t.Topic
		for _, p := range t.Partitions {
			result := noOffset(p, kerr.UnknownTopicOrPartition)
			if c.metadata.HasPartition(t.Topic, p) {
				switch offset, ok, err := c.legacy.Get(ctx, group, t.Topic, p); {
				case err != nil:
					c.cfg.Logger.Warn().Err(err).Str("group", group).Str("topic", t.Topic).Int32("partition", p).Msg("offset could not be read from ZooKeeper")
					result.ErrorCode = api.Code(err)
				case ok:
					result.Offset, result.ErrorCode = offset, 0
				}
			}
			topics[i].Partitions = append(topics[i].Partitions, result)
		}
	}
	return topics
}
