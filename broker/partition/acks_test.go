package partition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// The scripts drive one Acks on broker 1. Time is in seconds since the beginning; the lag limit is 30. Every command
// prints the state after it.
//
//	new min=N [sync] [dead=(ids)]
//	lead epoch=E version=V isr=(ids) [replicas=(ids)] end=N [synced=N] [hw=N] [again] [at=S]
//	resign epoch=E version=V isr=(ids)
//	append N | sync N | fetch ID N [at=S] | propose add=(ids) remove=(ids) | accept isr=(ids) epoch=E version=V | refuse epoch=E
//	lagging at=S | reached N | admit | min N | die ID
func TestAcks(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var a *Acks
		dead := map[int32]bool{}
		at := func(d *datadriven.TestData) time.Time {
			s := 0
			d.MaybeScanArgs(t, "at", &s)
			return time.Unix(int64(s), 0)
		}
		number := func(d *datadriven.TestData, i int) int64 {
			n, err := strconv.ParseInt(d.CmdArgs[i].Key, 10, 64)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return n
		}
		state := func(d *datadriven.TestData) (s State) {
			s.Leader, s.LeaderEpoch, s.PartitionEpoch = 1, int32(scan(t, d, "epoch", 0)), int32(scan(t, d, "version", 0))
			s.ISR, s.Replicas = ids(t, d, "isr"), ids(t, d, "replicas")
			if s.Replicas == nil {
				s.Replicas = []int32{1, 2, 3}
			}
			return s
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			switch d.Cmd {
			case "new":
				clear(dead)
				for _, id := range ids(t, d, "dead") {
					dead[id] = true
				}
				a = NewAcks(1, 30*time.Second, func(id int32) bool { return !dead[id] })
				a.SetMinISR(int(scan(t, d, "min", 1)), at(d))
				a.SetSyncing(d.HasArg("sync"))
				return "ok\n"
			case "die":
				dead[int32(number(d, 0))] = true
			case "lead":
				end := scan(t, d, "end", 0)
				a.Lead(state(d), end, scan(t, d, "synced", end), scan(t, d, "hw", 0), d.HasArg("again"), at(d))
			case "resign":
				a.Resign(state(d))
			case "append":
				a.Appended(number(d, 0), at(d))
			case "sync":
				a.Synced(number(d, 0), at(d))
			case "fetch":
				if _, expand := a.Fetched(int32(number(d, 0)), number(d, 1), 0, at(d)); expand {
					fmt.Fprintf(&out, "may join: %d\n", number(d, 0))
				}
			case "propose":
				fmt.Fprintf(&out, "proposed: %v\n", a.Propose(ids(t, d, "add"), ids(t, d, "remove")))
			case "accept":
				a.Accepted(ids(t, d, "isr"), int32(scan(t, d, "epoch", 0)), int32(scan(t, d, "version", 0)), at(d))
			case "refuse":
				a.Refused(int32(scan(t, d, "epoch", 0)))
			case "lagging":
				fmt.Fprintf(&out, "lagging: %v\n", a.Lagging(at(d)))
			case "admit":
				fmt.Fprintf(&out, "acks=all: %v\n", a.Admit())
			case "reached":
				ok, err := a.Reached(number(d, 0))
				fmt.Fprintf(&out, "reached: %v %v\n", ok, err)
			case "min":
				a.SetMinISR(int(number(d, 0)), at(d))
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			le, pe := a.Epochs()
			fmt.Fprintf(&out, "hw=%d end=%d synced=%d isr=%v pending=%v epoch=%d version=%d\n", a.HW(), a.end, a.synced, a.ISR(), a.pending, le, pe)
			return out.String()
		})
	})
}

func scan(t *testing.T, d *datadriven.TestData, key string, or int64) int64 {
	d.MaybeScanArgs(t, key, &or)
	return or
}

func ids(t *testing.T, d *datadriven.TestData, key string) []int32 {
	var ids []int32
	for _, arg := range d.CmdArgs {
		if arg.Key != key {
			continue
		}
		for _, v := range arg.Vals {
			n, err := strconv.Atoi(v)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			ids = append(ids, int32(n))
		}
	}
	return ids
}

// Whatever the order of reports, the invariants of Acks hold.
func TestAcksInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := []int32{1, 2, 3, 4}[:rapid.IntRange(1, 4).Draw(t, "replicas")]
		dead := map[int32]bool{}
		a := NewAcks(1, 30*time.Second, func(id int32) bool { return !dead[id] })
		a.SetMinISR(rapid.IntRange(1, 3).Draw(t, "min"), time.Time{})
		a.SetSyncing(rapid.Bool().Draw(t, "sync"))
		now := time.Unix(1000, 0)
		s := State{Leader: 1, ISR: slices.Clone(replicas), Replicas: replicas}
		a.Lead(s, 0, 0, 0, false, now)
		var end, synced, hw int64
		farthest := map[int32]int64{}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { end += rapid.Int64Range(1, 5).Draw(t, "n"); a.Appended(end, now) },
			"sync":   func(t *rapid.T) { synced = rapid.Int64Range(synced, end).Draw(t, "to"); a.Synced(synced, now) },
			"fetch": func(t *rapid.T) {
				id, offset := rapid.SampledFrom(replicas).Draw(t, "id"), rapid.Int64Range(0, end).Draw(t, "offset")
				a.Fetched(id, offset, 0, now)
				farthest[id] = max(farthest[id], offset)
			},
			"time":   func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "s")) * time.Second) },
			"die":    func(t *rapid.T) { id := rapid.SampledFrom(replicas).Draw(t, "id"); dead[id] = !dead[id] },
			"shrink": func(t *rapid.T) { a.Propose(nil, a.Lagging(now)) },
			"expand": func(t *rapid.T) {
				id := rapid.SampledFrom(replicas).Draw(t, "id")
				if f := a.followers[id]; f != nil && a.mayJoin(id, f) {
					a.Propose([]int32{id}, nil)
				}
			},
			"accept": func(t *rapid.T) {
				if a.pending != nil {
					a.Accepted(a.pending, a.leaderEpoch, a.partitionEpoch+1, now)
				}
			},
			"refuse": func(*rapid.T) { a.Refused(a.leaderEpoch) },
			"": func(t *rapid.T) {
				if a.hw > a.counted() {
					t.Fatalf("hw %d beyond the leader's %d", a.hw, a.counted())
				}
				if !slices.Contains(a.ISR(), 1) {
					t.Fatalf("the leader left the ISR: %v", a.ISR())
				}
				if a.hw < hw {
					t.Fatalf("hw went back from %d to %d", hw, a.hw)
				}
				hw = a.hw
				for _, id := range a.ISR() {
					// A member may ask for less than it did before (it lost its log); the mark stays.
					if id != 1 && a.hw > farthest[id] {
						t.Fatalf("hw %d, but member %d never had more than %d", a.hw, id, farthest[id])
					}
				}
			},
		})
	})
}
