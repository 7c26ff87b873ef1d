package classic

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

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
	c := &commit{ticket: e.Ticket, offsets: e.Offsets, errs: errs, removed: map[topic.Partition]bool{}}
	var records []offsetlog.Record
	for i, o := range e.Offsets {
		if m := o.Offset.Metadata; MetadataTooLarge(m, g.settings.MetadataMax) {
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

// MetadataTooLarge says whether an offset's metadata is longer than limit. Kafka counts what Java does: UTF-16 units.
func MetadataTooLarge(metadata string, limit int) bool {
	if len(metadata) > offsetlog.StringMax {
		return true
	}
	units := 0
	if len(metadata) > limit {
		for _, r := range metadata {
			units += max(utf16.RuneLen(r), 1)
		}
	}
	return units > limit
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
