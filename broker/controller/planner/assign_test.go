package planner

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

func places(racks ...string) []Place {
	var ps []Place
	for i, r := range racks {
		ps = append(ps, Place{int32(i), r})
	}
	return ps
}

// The examples are worked out by hand from the algorithm's description.
func TestAssign(t *testing.T) {
	for _, c := range []struct {
		name          string
		places        []Place
		count, factor int
		at            Placement
		want          string
	}{
		{"five brokers, three replicas", places("", "", "", "", ""), 10, 3, Placement{0, 0, 0},
			"[[0 1 2] [1 2 3] [2 3 4] [3 4 0] [4 0 1] [0 2 3] [1 3 4] [2 4 0] [3 0 1] [4 1 2]]"},
		{"one broker", places(""), 3, 1, Placement{0, 0, 0}, "[[0] [0] [0]]"},
		{"begins elsewhere", places("", "", ""), 3, 1, Placement{2, 1, 0}, "[[2] [0] [1]]"},
		{"added behind two", places("", "", ""), 2, 2, Extend(places("", "", ""), []int32{1, 2}, 2), "[[0 2] [1 2]]"},
		{"racks by turns", places("a", "b", "c", "a", "b", "c"), 6, 3, Placement{0, 0, 0},
			"[[0 1 2] [1 2 3] [2 3 4] [3 4 5] [4 5 0] [5 0 1]]"},
		{"two racks, two replicas", places("a", "a", "b", "b"), 4, 2, Placement{0, 0, 0}, "[[0 2] [2 1] [1 3] [3 0]]"},
		{"one rack", places("a", "a"), 2, 2, Placement{0, 0, 0}, "[[0 1] [1 0]]"},
	} {
		got, err := Assign(c.places, c.count, c.factor, c.at)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestAssignRefuses(t *testing.T) {
	for _, c := range []struct {
		count, factor int
		code          *kerr.Error
		text          string
	}{
		{0, 1, kerr.InvalidPartitions, "Number of partitions must be larger than 0."},
		{1, 0, kerr.InvalidReplicationFactor, "Replication factor must be larger than 0."},
		{1, 9, kerr.InvalidReplicationFactor, "Replication factor: 9 larger than available brokers: 2."},
	} {
		_, err := Assign(places("", ""), c.count, c.factor, Placement{})
		if !errors.Is(err, c.code) || err.Error() != c.text {
			t.Errorf("%d partitions, factor %d: %v", c.count, c.factor, err)
		}
	}
	if _, err := Assign(places("a", ""), 1, 1, Placement{}); err == nil {
		t.Error("mixed racks were assigned")
	}
	if _, err := Assign(WithoutMixedRacks(places("a", "")), 1, 1, Placement{}); err != nil {
		t.Error(err)
	}
}

// TestAssignIsFair: no broker twice in a partition, first replicas within one of each other, racks used evenly.
func TestAssignIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "brokers")
		racks := rapid.IntRange(0, 3).Draw(t, "racks")
		var ps []Place
		used := map[string]bool{}
		for i := range n {
			p := Place{ID: int32(i * 3)}
			if racks > 0 {
				p.Rack = fmt.Sprint("r", i%racks)
				used[p.Rack] = true
			}
			ps = append(ps, p)
		}
		factor := rapid.IntRange(1, n).Draw(t, "factor")
		count := rapid.IntRange(1, 30).Draw(t, "partitions")
		at := Placement{rapid.IntRange(0, n-1).Draw(t, "first"), rapid.IntRange(0, n-1).Draw(t, "shift"), 0}
		lists, err := Assign(ps, count, factor, at)
		if err != nil {
			t.Fatal(err)
		}
		first := map[int32]int{}
		for _, l := range lists {
			sorted := slices.Sorted(slices.Values(l))
			if len(l) != factor || len(slices.Compact(sorted)) != factor {
				t.Fatalf("replicas %v", l)
			}
			first[l[0]]++
			if racks > 0 {
				seen := map[string]bool{}
				for _, id := range l {
					seen[ps[id/3].Rack] = true
				}
				if len(seen) < min(factor, len(used)) {
					t.Fatalf("replicas %v are on %d racks of %d", l, len(seen), len(used))
				}
			}
		}
		for _, p := range ps {
			if c := first[p.ID]; c < count/n || c > count/n+1 {
				t.Fatalf("broker %d leads %d of %d partitions on %d brokers", p.ID, c, count, n)
			}
		}
		at.Partition = len(lists)
		_, err = Assign(ps, 2, factor, Extend(ps, lists[0], len(lists)))
		if err != nil {
			t.Fatal(err)
		}
	})
}
