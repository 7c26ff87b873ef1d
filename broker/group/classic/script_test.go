package classic

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/group/offsetlog"
	"ottla/broker/topic"
)

// stage plays a script against one group. Time stands still but for `after`.
type stage struct {
	settings Settings
	group    *Group
	began    time.Time
	now      time.Time
	ticket   Ticket
	ids      map[string]int    // how many ids each client was offered
	who      map[Ticket]string // what a ticket waits for
	writes   []Write
	out      strings.Builder
}

func (s *stage) time() Time { return Time{At: s.now, Wall: s.now.UnixMilli()} }

// TestStories plays testdata/stories: the life of groups, told in commands. Run with -rewrite after a change that is meant.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &stage{began: time.Unix(1000, 0), who: map[Ticket]string{}, ids: map[string]int{}}
		s.now = s.began
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			s.command(t, d)
			return s.out.String()
		})
	})
}

func (s *stage) command(t *testing.T, d *datadriven.TestData) {
	arg := func(key string) string {
		for _, a := range d.CmdArgs {
			if a.Key == key {
				return strings.Join(a.Vals, ",")
			}
		}
		return ""
	}
	has := func(key string) bool {
		return slices.ContainsFunc(d.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key == key })
	}
	optional := func(key string) *string {
		if !has(key) {
			return nil
		}
		v := arg(key)
		return &v
	}
	duration := func(key, fallback string) time.Duration {
		v := arg(key)
		if v == "" {
			v = fallback
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	number := func(key string, fallback int) int {
		if !has(key) {
			return fallback
		}
		n, err := strconv.Atoi(arg(key))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ticket := func(what string) Ticket {
		s.ticket++
		s.who[s.ticket] = what
		return s.ticket
	}
	first := ""
	if len(d.CmdArgs) > 0 {
		first = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "group":
		s.settings = Settings{MaxSize: number("max", 100), InitialDelay: duration("delay", "3s"), MetadataMax: 10}
		s.group = New("g", &s.settings)
	case "reload": // what another broker would make of the last record and the offsets
		s.settings.MaxSize = number("max", s.settings.MaxSize)
		s.reload(t)
	case "join":
		id := arg("id")
		j := Join{
			Ticket: ticket("join " + first), MemberID: id, InstanceID: optional("instance"), ClientID: first, ClientHost: "/127.0.0.1",
			SessionTimeout: duration("session", "10s"), RebalanceTimeout: duration("rebalance", "60s"),
			ProtocolType: "consumer", RequireKnownID: has("v4"), CanSkipAssignment: has("v9"),
		}
		if id == "" {
			s.ids[first]++
			j.NewID = first + strconv.Itoa(s.ids[first])
		}
		if has("type") {
			j.ProtocolType = arg("type")
		}
		names := arg("protocols")
		if names == "" {
			names = "range"
		}
		topics := arg("topics")
		if topics == "" {
			topics = "t"
		}
		for _, n := range strings.Split(names, ",") {
			m := kmsg.NewConsumerMemberMetadata()
			m.Topics = strings.Split(topics, ",")
			j.Protocols = append(j.Protocols, Protocol{n, m.AppendTo(nil)})
		}
		s.step(j)
	case "sync":
		e := Sync{Ticket: ticket("sync " + first), MemberID: first, InstanceID: optional("instance"), Generation: int32(number("generation", int(s.group.generation))),
			ProtocolType: optional("type"), Protocol: optional("protocol")}
		for _, line := range strings.Fields(d.Input) {
			id, assignment, _ := strings.Cut(line, "=")
			if e.Assignments == nil {
				e.Assignments = map[string][]byte{}
			}
			e.Assignments[id] = []byte(assignment)
		}
		s.step(e)
	case "heartbeat":
		s.step(Heartbeat{Ticket: ticket("heartbeat " + first), MemberID: first, InstanceID: optional("instance"), Generation: int32(number("generation", int(s.group.generation)))})
	case "leave":
		e := Leave{Ticket: ticket("leave")}
		for _, line := range strings.Fields(d.Input) {
			id, instance, static := strings.Cut(line, "@")
			l := Leaver{MemberID: id}
			if static {
				l.InstanceID = &instance
			}
			e.Leavers = append(e.Leavers, l)
		}
		s.step(e)
	case "commit":
		e := Commit{Ticket: ticket("commit " + first), MemberID: arg("id"), InstanceID: optional("instance"), Generation: int32(number("generation", -1))}
		for _, line := range strings.Fields(d.Input) {
			var o PartitionOffset
			o.Partition.Topic, line, _ = strings.Cut(line, ":")
			_, value, _ := strings.Cut(line, "=")
			value, o.Offset.Metadata, _ = strings.Cut(value, "/")
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			o.Offset.Offset, o.Offset.LeaderEpoch, o.Offset.CommitTime, o.Offset.ExpireTime = int64(n), -1, s.now.UnixMilli(), -1
			if has("expire") {
				o.Offset.ExpireTime = s.now.Add(duration("expire", "")).UnixMilli()
			}
			e.Offsets = append(e.Offsets, o)
		}
		s.step(e)
	case "stored": // the oldest write that is on its way
		if len(s.writes) == 0 {
			t.Fatalf("%s: nothing is being written", d.Pos)
		}
		e := Stored{Write: s.writes[0].ID}
		if first != "" {
			for code := int16(1); code < 120 && e.Err == nil; code++ {
				if ke, ok := kerr.ErrorForCode(code).(*kerr.Error); ok && ke.Message == first {
					e.Err = ke
				}
			}
			if e.Err == nil {
				t.Fatalf("%s: no error is called %s", d.Pos, first)
			}
		}
		s.writes = s.writes[1:]
		s.step(e)
	case "after": // time passes; ticks come when they are due
		total, err := time.ParseDuration(first)
		if err != nil {
			t.Fatal(err)
		}
		until := s.now.Add(total)
		for !s.group.Next().IsZero() && !s.group.Next().After(until) {
			if s.group.Next().After(s.now) {
				s.now = s.group.Next()
			}
			s.step(Tick{})
		}
		s.now = until
	case "abandon":
		for id, what := range s.who {
			if what == strings.ReplaceAll(first, "-", " ") {
				s.step(Abandoned{Ticket: id})
				return
			}
		}
		t.Fatalf("%s: nobody waits for %s", d.Pos, first)
	case "unload":
		s.step(Unloaded{Err: kerr.NotCoordinator})
	case "expire":
		s.step(Expire{Retention: duration("retention", "1h")})
	case "delete-topics":
		e := TopicsDeleted{Topics: map[string]bool{}}
		for _, a := range d.CmdArgs {
			e.Topics[a.Key] = true
		}
		s.step(e)
	case "delete":
		s.step(Delete{Ticket: ticket("delete")})
	case "delete-offsets":
		e := DeleteOffsets{Ticket: ticket("delete offsets")}
		for _, a := range d.CmdArgs {
			e.Partitions = append(e.Partitions, topic.Partition{Topic: a.Key})
		}
		s.step(e)
	case "fetch":
		for _, f := range s.group.FetchAll(has("stable")) {
			fmt.Fprintf(&s.out, "%s %s\n", f.Partition, fetchedText(f))
		}
		if has("stable") && first != "stable" {
			fmt.Fprintf(&s.out, "%s\n", fetchedText(s.group.Fetch(topic.Partition{Topic: first}, true)))
		}
	case "state":
		s.state()
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	if err := s.group.audit(); err != nil {
		t.Fatalf("%s: %v", d.Pos, err)
	}
}

func fetchedText(f Fetched) string {
	if f.Err != nil {
		return f.Err.Message
	}
	return fmt.Sprintf("%d %q", f.Offset.Offset, f.Offset.Metadata)
}

// step steps the group and writes down what comes of it.
func (s *stage) step(e Event) {
	out := s.group.Step(s.time(), e)
	for _, n := range out.Notes {
		mark := "-"
		if n.Warn {
			mark = "!"
		}
		fmt.Fprintf(&s.out, "%s %s %s\n", s.clock(), mark, n.Text)
	}
	for _, w := range out.Writes {
		for _, r := range w.Records {
			fmt.Fprintf(&s.out, "%s write %s\n", s.clock(), recordText(r))
		}
		s.writes = append(s.writes, w)
	}
	for _, r := range out.Replies {
		fmt.Fprintf(&s.out, "%s %s: %s\n", s.clock(), s.who[r.To], replyText(r.Body))
		delete(s.who, r.To)
	}
}

func (s *stage) clock() string { return fmt.Sprintf("%5.1fs", s.now.Sub(s.began).Seconds()) }

func (s *stage) state() {
	g := s.group
	fmt.Fprintf(&s.out, "%s generation=%d protocol=%s leader=%s\n", g.state, g.generation, deref(g.protocol), g.leader)
	for _, m := range g.Summary().Members {
		fmt.Fprintf(&s.out, "  %s", m.ID)
		if m.InstanceID != nil {
			fmt.Fprintf(&s.out, "@%s", *m.InstanceID)
		}
		if len(m.Assignment) > 0 {
			fmt.Fprintf(&s.out, " has %s", m.Assignment)
		}
		if _, waits := s.who[g.byID[m.ID].join]; waits {
			s.out.WriteString(" joining")
		}
		if _, waits := s.who[g.byID[m.ID].sync]; waits {
			s.out.WriteString(" syncing")
		}
		s.out.WriteString("\n")
	}
	for _, id := range slices.Sorted(maps.Keys(g.pending)) {
		fmt.Fprintf(&s.out, "  %s is expected\n", id)
	}
	if next := g.Next(); !next.IsZero() {
		fmt.Fprintf(&s.out, "  next tick by %.1fs\n", next.Sub(s.began).Seconds())
	}
}

// reload makes the group anew from what it would have left in the log.
func (s *stage) reload(t *testing.T) {
	v, err := offsetlog.ParseGroup(s.group.records(nil)[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	s.group = Load(offsetlog.Loaded{ID: "g", Group: v, Offsets: s.group.offsets}, &s.settings)
	s.writes, s.who = nil, map[Ticket]string{}
	s.step(Opened{})
}

func recordText(r offsetlog.Record) string {
	key, err := offsetlog.ParseKey(r.Key)
	if err != nil {
		return err.Error()
	}
	name := "group " + key.Group
	if key.Kind == offsetlog.OffsetCommit {
		name = "offset " + key.Group + " " + key.Partition.String()
	}
	if r.Value == nil {
		return name + " tombstone"
	}
	if key.Kind == offsetlog.OffsetCommit {
		o, err := offsetlog.ParseOffset(r.Value)
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprintf("%s = %d %q", name, o.Offset, o.Metadata)
		if o.ExpireTime != offsetlog.None {
			text += fmt.Sprintf(" until %ds", o.ExpireTime/1000-1000)
		}
		return text
	}
	v, err := offsetlog.ParseGroup(r.Value)
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s: generation=%d protocol=%s leader=%s since=%.1fs", name, v.Generation, deref(v.Protocol), deref(v.Leader), float64(v.StateTime)/1000-1000)
	for _, m := range v.Members {
		text += fmt.Sprintf(" %s=%s", m.ID, m.Assignment)
	}
	return text
}

func replyText(body any) string {
	switch r := body.(type) {
	case JoinReply:
		if r.Err != nil {
			return fmt.Sprintf("%s, member id %q", r.Err.Message, r.MemberID)
		}
		text := fmt.Sprintf("%s in generation %d, %s, led by %s", r.MemberID, r.Generation, deref(r.Protocol), r.Leader)
		if r.SkipAssignment {
			text += ", skips assignment"
		}
		if len(r.Members) > 0 {
			var ids []string
			for _, m := range r.Members {
				ids = append(ids, m.ID)
			}
			text += ", of " + strings.Join(ids, " ")
		}
		return text
	case SyncReply:
		if r.Err != nil {
			return r.Err.Message
		}
		return fmt.Sprintf("gets %q of %s", r.Assignment, deref(r.Protocol))
	case ErrorReply:
		return errorText(r.Err)
	case LeaveReply:
		if r.Err != nil {
			return r.Err.Message
		}
		return errorTexts(r.Errs)
	case CommitReply:
		return errorTexts(r.Errs)
	case DeleteOffsetsReply:
		if r.Err != nil {
			return r.Err.Message
		}
		return errorTexts(r.Errs)
	}
	return fmt.Sprintf("unknown reply %T", body)
}

func errorText(err *kerr.Error) string {
	if err == nil {
		return "NONE"
	}
	return err.Message
}

func errorTexts(errs []*kerr.Error) string {
	texts := make([]string, len(errs))
	for i, e := range errs {
		texts[i] = errorText(e)
	}
	return strings.Join(texts, " ")
}

// audit compares what the group counts with what it holds.
func (g *Group) audit() error {
	if g.state == Dead {
		return nil
	}
	joined, syncing := 0, 0
	support := map[string]int{}
	for _, m := range g.members {
		if m.join != 0 {
			joined++
		}
		if m.syncDue {
			syncing++
		}
		if m.join != 0 && m.sync != 0 {
			return fmt.Errorf("%s has both a join and a sync parked", m.id)
		}
		if g.byID[m.id] != m {
			return fmt.Errorf("%s is not found by its id", m.id)
		}
		if m.instanceID != nil && g.static[*m.instanceID] != m.id {
			return fmt.Errorf("%s is not found by its instance id", m.id)
		}
		if m.expires.IsZero() && !m.parked() {
			return fmt.Errorf("%s has no timer", m.id)
		}
		if !m.expires.IsZero() && g.next.After(m.expires) {
			return fmt.Errorf("the timer of %s is behind the next tick", m.id)
		}
		seen := map[string]bool{}
		for _, p := range m.protocols {
			if !seen[p.Name] {
				support[p.Name]++
			}
			seen[p.Name] = true
		}
		if g.state != PreparingRebalance && m.join != 0 && len(g.writes) == 0 {
			return fmt.Errorf("%s waits for a join in state %s", m.id, g.state)
		}
		if g.state != CompletingRebalance && m.sync != 0 {
			return fmt.Errorf("%s waits for a sync in state %s", m.id, g.state)
		}
	}
	switch {
	case joined != g.joined || syncing != g.syncing || !maps.Equal(support, g.support):
		return fmt.Errorf("counts joined=%d syncing=%d support=%v, has %d, %d, %v", g.joined, g.syncing, g.support, joined, syncing, support)
	case len(g.byID) != len(g.members):
		return fmt.Errorf("%d members, %d ids", len(g.members), len(g.byID))
	case g.state == Empty && len(g.members) > 0, len(g.members) == 0 && (g.state == Stable || g.state == CompletingRebalance):
		return fmt.Errorf("%d members in state %s", len(g.members), g.state)
	case len(g.members) > 0 && g.byID[g.leader] == nil:
		return fmt.Errorf("leader %q is no member", g.leader)
	case g.state == PreparingRebalance && g.joining.deadline.IsZero():
		return fmt.Errorf("a join phase without end")
	case g.state == CompletingRebalance && g.syncDeadline.IsZero() && g.syncing > 0:
		return fmt.Errorf("a sync phase without end")
	case len(g.members) > 0:
		names := slices.Collect(maps.Keys(support))
		sort.Strings(names)
		if !slices.ContainsFunc(names, func(n string) bool { return support[n] == len(g.members) }) {
			return fmt.Errorf("no protocol that all %d members support: %v", len(g.members), support)
		}
	}
	return nil
}
