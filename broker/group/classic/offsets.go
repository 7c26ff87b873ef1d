package classic

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// Fetched is a committed offset as OffsetFetch wants it. Offset.Offset is -1 when there is none.
type Fetched struct {
	Partition topic.Partition
	Offset    offsetlog.Offset
	Err       *kerr.Error
}

// Fetch reads the offset of a partition. stable refuses one that is about to change (UNSTABLE_OFFSET_COMMIT).
func (g *Group) Fetch(p topic.Partition, stable bool) Fetched {
	none := Fetched{Partition: p, Offset: offsetlog.Offset{Offset: -1, LeaderEpoch: offsetlog.None}}
	if stable && g.unstable(p) {
		none.Err = kerr.UnstableOffsetCommit
		return none
	}
	o, ok := g.offsets[p]
	if !ok || g.state == Dead {
		return none
	}
	return Fetched{Partition: p, Offset: o}
}

// FetchAll reads the offsets of all partitions that have one, by name and number.
func (g *Group) FetchAll(stable bool) []Fetched {
	if g.state == Dead {
		return nil
	}
	ps := slices.SortedFunc(maps.Keys(g.offsets), comparePartitions)
	all := make([]Fetched, len(ps))
	for i, p := range ps {
		all[i] = g.Fetch(p, stable)
	}
	return all
}

func comparePartitions(a, b topic.Partition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// unstable says whether the partition's offset is on its way into the log, or part of an open transaction.
func (g *Group) unstable(p topic.Partition) bool {
	if g.storing[p] > 0 {
		return true
	}
	for _, offsets := range g.open {
		if _, ok := offsets[p]; ok {
			return true
		}
	}
	return false
}

// hasOffsets says whether there are any, open and unstored ones included.
func (g *Group) hasOffsets() bool { return len(g.offsets) > 0 || len(g.storing) > 0 || len(g.open) > 0 }

// onCommit serves an OffsetCommit.
func (g *Group) onCommit(now Time, e Commit, out *Output) {
	errs := make([]*kerr.Error, len(e.Offsets))
	if err := g.checkCommit(now, e); err != nil {
		for i := range errs {
			errs[i] = err
		}
		out.Replies = append(out.Replies, Reply{e.Ticket, CommitReply{errs}})
		return
	}
	c := &commit{ticket: e.Ticket, offsets: e.Offsets, errs: errs}
	var records []offsetlog.Record
	for i, o := range e.Offsets {
		if m := o.Offset.Metadata; utf8.RuneCountInString(m) > g.settings.MetadataMax || len(m) > offsetlog.StringMax {
			errs[i] = kerr.OffsetMetadataTooLarge
			continue
		}
		g.storing[o.Partition]++
		records = append(records, offsetlog.Record{Key: offsetlog.OffsetKey(g.id, o.Partition), Value: o.Offset.Append(nil)})
	}
	if records == nil {
		out.Replies = append(out.Replies, Reply{e.Ticket, CommitReply{errs}})
		return
	}
	g.write(write{commit: c}, records, now, out)
}

// checkCommit says whether the client may commit. A member that does shows that it is alive.
func (g *Group) checkCommit(now Time, e Commit) *kerr.Error {
	switch {
	case g.state == Dead:
		return kerr.CoordinatorNotAvailable
	case e.Generation < 0 && g.state == Empty:
		return nil // a client that manages its partitions itself, or an administrator
	case e.Generation < 0 && e.MemberID == "" && e.InstanceID == nil:
		return kerr.UnknownMemberID // the group has members, and this is none
	}
	m, err := g.check(e.MemberID, e.InstanceID)
	switch {
	case err != nil:
		return err
	case e.Generation != g.generation:
		return kerr.IllegalGeneration
	case g.state == CompletingRebalance:
		// It has got the new generation's id, but its partitions may be another's by now.
		return kerr.RebalanceInProgress
	}
	g.alive(m, now)
	return nil
}

// onExpire drops the offsets that nobody has used for the retention time.
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
	g.drop(now, expired, "expired", out)
}

// onTopicsDeleted drops the offsets of topics that are gone.
func (g *Group) onTopicsDeleted(now Time, e TopicsDeleted, out *Output) {
	var gone []topic.Partition
	for p := range g.offsets {
		if e.Topics[p.Topic] {
			gone = append(gone, p)
		}
	}
	for producer, offsets := range g.open {
		maps.DeleteFunc(offsets, func(p topic.Partition, _ offsetlog.Offset) bool { return e.Topics[p.Topic] })
		if len(offsets) == 0 {
			delete(g.open, producer)
		}
	}
	if gone != nil {
		g.drop(now, gone, "belonged to deleted topics", out)
	}
}

// drop removes offsets, and the group with them if nothing is left of it.
func (g *Group) drop(now Time, ps []topic.Partition, why string, out *Output) {
	slices.SortFunc(ps, comparePartitions)
	var tombstones []offsetlog.Record
	for _, p := range ps {
		delete(g.offsets, p)
		tombstones = append(tombstones, offsetlog.Record{Key: offsetlog.OffsetKey(g.id, p)})
	}
	if len(ps) > 0 {
		out.note("%d offsets %s", len(ps), why)
	}
	if g.state == Empty && !g.hasOffsets() && len(g.pending) == 0 && len(g.writes) == 0 {
		if g.generation > 0 { // below, there is no record of the group itself
			tombstones = append(tombstones, offsetlog.Record{Key: offsetlog.GroupKey(g.id)})
		}
		g.transition(Dead, now)
		g.next = time.Time{}
		out.note("is gone: it has neither members nor offsets")
	}
	if tombstones != nil {
		g.write(write{}, tombstones, now, out)
	}
}
