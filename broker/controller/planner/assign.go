package planner

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Place is a broker that can be given replicas.
type Place struct {
	ID   int32
	Rack string // "" for none
}

// Placement is where an assignment begins. For a new topic First and Shift are random below the number of brokers; for added
// partitions see Extend.
type Placement struct {
	First     int // index of the broker that gets the first replica of partition 0
	Shift     int // how far off the second replica is
	Partition int // number of the first partition to assign
}

// Assign spreads replicas over brokers as Apache Kafka does: first replicas in turn, the others at a shift that grows with each
// round, so that the partitions of a dead broker are taken over by all others. With racks, replicas of a partition are on
// different racks as far as there are enough. The result is one list for each of count partitions.
func Assign(places []Place, count, factor int, at Placement) ([][]int32, error) {
	switch {
	case count <= 0:
		return nil, Refuse(kerr.InvalidPartitions, "Number of partitions must be larger than 0.")
	case factor <= 0:
		return nil, Refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0.")
	case factor > len(places):
		return nil, Refuse(kerr.InvalidReplicationFactor, "Replication factor: %d larger than available brokers: %d.", factor, len(places))
	}
	places = slices.Clone(places)
	slices.SortFunc(places, func(a, b Place) int { return int(a.ID) - int(b.ID) })
	racked := filterPlaces(places, func(p Place) bool { return p.Rack != "" })
	switch len(racked) {
	case 0:
		return assign(places, count, factor, at, 0), nil
	case len(places):
		ordered, racks := alternate(places)
		return assign(ordered, count, factor, at, racks), nil
	}
	return nil, errMixedRacks
}

var errMixedRacks = errors.New("Not all brokers have rack information for replica rack aware assignment.")

// WithoutMixedRacks drops the racks unless all brokers have one.
func WithoutMixedRacks(places []Place) []Place {
	if !slices.ContainsFunc(places, func(p Place) bool { return p.Rack == "" }) {
		return places
	}
	places = slices.Clone(places)
	for i := range places {
		places[i].Rack = ""
	}
	return places
}

// Extend is the Placement for partitions that are added behind existing ones, whose partition 0 has the replicas.
func Extend(places []Place, replicas []int32, existing int) Placement {
	ids := make([]int32, len(places))
	for i, p := range places {
		ids[i] = p.ID
	}
	slices.Sort(ids)
	i := max(0, slices.IndexFunc(ids, func(id int32) bool { return id >= replicas[0] }))
	return Placement{First: i, Shift: i, Partition: existing}
}

// assign is the loop that both kinds of assignment share; racks is 0 for the one without.
func assign(l []Place, count, factor int, at Placement, racks int) [][]int32 {
	b := len(l)
	shift := at.Shift
	lists := make([][]int32, count)
	for i := range count {
		p := at.Partition + i
		if p > 0 && p%b == 0 {
			shift++
		}
		first := (p + at.First) % b
		chosen := []Place{l[first]}
		for k := 0; len(chosen) < factor; k++ {
			step := shift + k
			if racks > 0 {
				step = shift*racks + k
			}
			next := l[(first+1+step%(b-1))%b]
			if racks == 0 || fits(next, chosen, b, racks) {
				chosen = append(chosen, next)
			}
		}
		for _, c := range chosen {
			lists[i] = append(lists[i], c.ID)
		}
	}
	return lists
}

// fits says whether a broker may get the next replica: not while its rack has one and another has none, nor while it has one
// itself and another broker has none.
func fits(next Place, chosen []Place, brokers, racks int) bool {
	used := map[string]bool{}
	for _, c := range chosen {
		if c.ID == next.ID && len(chosen) < brokers {
			return false
		}
		used[c.Rack] = true
	}
	return !used[next.Rack] || len(used) == racks
}

// alternate orders brokers by turns over the racks, these by name, and counts the racks.
func alternate(sorted []Place) (ordered []Place, racks int) {
	byRack := map[string][]Place{}
	for _, p := range sorted {
		byRack[p.Rack] = append(byRack[p.Rack], p)
	}
	names := sortedNames(byRack)
	for len(ordered) < len(sorted) {
		for _, name := range names {
			if ps := byRack[name]; len(ps) > 0 {
				ordered = append(ordered, ps[0])
				byRack[name] = ps[1:]
			}
		}
	}
	return ordered, len(names)
}

func sortedNames(m map[string][]Place) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func filterPlaces(ps []Place, keep func(Place) bool) []Place {
	var kept []Place
	for _, p := range ps {
		if keep(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Refusal is an error of the protocol with the text that goes with it on the wire.
type Refusal struct {
	code *kerr.Error
	text string
}

// Refuse makes a Refusal.
func Refuse(code *kerr.Error, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

func (r *Refusal) Error() string { return r.text }

// Unwrap makes the *kerr.Error known to errors.Is and api.Code.
func (r *Refusal) Unwrap() error { return r.code }
