package classic

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// tombstonesMax bounds the bytes of the keys in one batch of tombstones, well below what a log takes: a group may have more
// offsets than fit into one.
const tombstonesMax = 256 << 10

// removal is a DeleteGroups or OffsetDelete that waits for its tombstones: several writes if they are many.
type removal struct {
	ticket Ticket
	writes int
	err    *kerr.Error
	reply  func(*kerr.Error) any
}

// done counts a write that has ended, and answers after the last.
func (r *removal) done(err *kerr.Error, out *Output) {
	if r.err == nil {
		r.err = err
	}
	if r.writes--; r.writes == 0 {
		out.Replies = append(out.Replies, Reply{r.ticket, r.reply(r.err)})
	}
}

// onExpire drops the offsets that nobody has used for the retention time (KIP-211): those of a group without members count from
// the time it became empty, or from their commit if an old record does not tell that time; those of a client that manages its
// partitions itself, and those of topics that nobody in a stable consumer group subscribes to, from their commit. Commits of
// versions 2 to 4 came with a time of their own.
func (g *Group) onExpire(now Time, e Expire, out *Output) {
	retention := e.Retention.Milliseconds()
	var expired []topic.Partition
	for p, o := range g.offsets {
		if g.storing[p] > 0 {
			continue
		}
		base := o.CommitTime
		switch {
		case g.protocolType == nil:
		case g.state == Empty:
			if g.stateTime != offsetlog.None {
				base = g.stateTime
			}
		case g.state == Stable && g.subscribed != nil && !g.subscribed[p.Topic]:
		default:
			continue
		}
		if o.ExpireTime != offsetlog.None && now.Wall >= o.ExpireTime || o.ExpireTime == offsetlog.None && now.Wall-base >= retention {
			expired = append(expired, p)
		}
	}
	g.drop(now, expired, "expired", nil, out)
}

// onTopicsDeleted drops the offsets of topics that are gone.
func (g *Group) onTopicsDeleted(now Time, e TopicsDeleted, out *Output) {
	gone := slices.DeleteFunc(g.allPartitions(), func(p topic.Partition) bool { return !e.Topics[p.Topic] })
	if len(gone) > 0 {
		g.drop(now, gone, "belonged to deleted topics", nil, out)
	}
}

// onDelete serves a DeleteGroups.
func (g *Group) onDelete(now Time, e Delete, out *Output) {
	reply := func(err *kerr.Error) any { return ErrorReply{err} }
	switch g.state {
	case Empty:
		clear(g.pending) // who comes with such an id is not known any more
		g.drop(now, g.allPartitions(), "deleted with their group", &removal{ticket: e.Ticket, reply: reply}, out)
	case Dead:
		out.Replies = append(out.Replies, Reply{e.Ticket, reply(kerr.GroupIDNotFound)})
	default:
		out.Replies = append(out.Replies, Reply{e.Ticket, reply(kerr.NonEmptyGroup)})
	}
}

// onDeleteOffsets serves an OffsetDelete. The members of a consumer group keep the offsets of what they subscribe to, those of
// another group keep all.
func (g *Group) onDeleteOffsets(now Time, e DeleteOffsets, out *Output) {
	errs := make([]*kerr.Error, len(e.Partitions))
	var gone []topic.Partition
	for i, p := range e.Partitions {
		if g.state != Empty && (g.subscribed == nil || g.subscribed[p.Topic]) {
			errs[i] = kerr.GroupSubscribedToTopic
			continue
		}
		gone = append(gone, p)
	}
	reply := func(err *kerr.Error) any {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
		return DeleteOffsetsReply{Errs: errs}
	}
	switch {
	case g.state == Dead:
		out.Replies = append(out.Replies, Reply{e.Ticket, DeleteOffsetsReply{Err: kerr.GroupIDNotFound}})
	case g.state != Empty && deref(g.protocolType) != ConsumerProtocol:
		out.Replies = append(out.Replies, Reply{e.Ticket, DeleteOffsetsReply{Err: kerr.NonEmptyGroup}})
	case len(gone) == 0:
		out.Replies = append(out.Replies, Reply{e.Ticket, reply(nil)})
	default:
		g.drop(now, gone, "deleted", &removal{ticket: e.Ticket, reply: reply}, out)
	}
}

// allPartitions are those that have an offset: one that counts, is on its way into the log, or is in an open transaction.
func (g *Group) allPartitions() []topic.Partition {
	all := map[topic.Partition]bool{}
	for p := range g.offsets {
		all[p] = true
	}
	for p := range g.storing {
		all[p] = true
	}
	for _, offsets := range g.open {
		for p := range offsets {
			all[p] = true
		}
	}
	ps := make([]topic.Partition, 0, len(all))
	for p := range all {
		ps = append(ps, p)
	}
	return ps
}

// drop removes the offsets of partitions, and the group with them if nothing is left of it. r, if there is one, is answered when
// that is in the log. A commit that is on its way there comes before its tombstone, and does not count any more.
func (g *Group) drop(now Time, ps []topic.Partition, why string, r *removal, out *Output) {
	slices.SortFunc(ps, comparePartitions)
	ps = slices.Compact(ps)
	var tombstones []offsetlog.Record
	for _, p := range ps {
		_, had := g.offsets[p]
		if g.storing[p] > 0 {
			delete(g.storing, p)
			for _, w := range g.writes {
				if w.commit != nil {
					w.commit.removed[p] = true
				}
			}
			had = true
		}
		for producer, offsets := range g.open {
			if delete(offsets, p); len(offsets) == 0 {
				delete(g.open, producer)
			}
		}
		if delete(g.offsets, p); had {
			tombstones = append(tombstones, offsetlog.Record{Key: offsetlog.OffsetKey(g.id, p)})
		}
	}
	if len(tombstones) > 0 {
		out.note("%d offsets %s", len(tombstones), why)
	}
	if g.state == Empty && !g.hasOffsets() && len(g.pending) == 0 {
		if g.generation > 0 { // below, there is no record of the group itself
			tombstones = append(tombstones, offsetlog.Record{Key: offsetlog.GroupKey(g.id)})
		}
		g.transition(Dead, now)
		g.next = time.Time{}
		out.note("is gone: it has neither members nor offsets")
	}
	g.bury(now, tombstones, r, out)
}

// bury writes tombstones in batches that any log takes.
func (g *Group) bury(now Time, tombstones []offsetlog.Record, r *removal, out *Output) {
	if len(tombstones) == 0 && r != nil {
		out.Replies = append(out.Replies, Reply{r.ticket, r.reply(nil)})
	}
	for len(tombstones) > 0 {
		n, size := 0, 0
		for n < len(tombstones) && (n == 0 || size+len(tombstones[n].Key) <= tombstonesMax) {
			size += len(tombstones[n].Key)
			n++
		}
		if r != nil {
			r.writes++
		}
		g.write(write{removal: r}, tombstones[:n:n], now, out)
		tombstones = tombstones[n:]
	}
}
