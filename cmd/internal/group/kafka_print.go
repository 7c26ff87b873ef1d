package group

import (
	"cmp"
	"fmt"
	"io"
	"ottla/cmd/internal/client"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

func (c *call) describe(s client.Session) error {
	if len(c.groups) == 0 {
		return nil
	}
	groups, err := describe(s, c.groups...)
	if err != nil {
		return err
	}
	defer func() {
		if c.open {
			fmt.Fprintln(c.OutOrStdout())
		}
	}()
	for _, g := range groups {
		g.places = slices.DeleteFunc(g.places, func(p place) bool { return p.Topic == "" }) // Apache's leaves out who has nothing
		rows := len(g.places)
		if c.on("state") {
			rows = 1
		} else if c.on("members") {
			rows = len(g.Members)
		}
		printable := c.announce(g, rows)
		switch w := c.OutOrStdout(); {
		case c.on("members"):
			printMembers(w, g, c.on("verbose"))
		case !printable:
		case c.on("state"):
			printState(w, g)
		default:
			printOffsets(w, g)
			c.open = true
		}
	}
	return nil
}

// announce says what is special about a group, and whether there is something to print.
func (c *call) announce(g described, rows int) bool {
	switch g.State {
	case "Dead":
		fmt.Fprintf(c.OutOrStdout(), "\nError: Consumer group '%s' does not exist.\n", g.Group)
		return false
	case "Empty":
		fmt.Fprintf(c.ErrOrStderr(), "\nConsumer group '%s' has no active members.\n", g.Group)
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		fmt.Fprintf(c.ErrOrStderr(), "\nWarning: Consumer group '%s' is rebalancing.\n", g.Group)
	}
	return rows > 0
}

// printOffsets prints a row for each partition. As Apache's tool, it begins lines and does not end them.
func printOffsets(w io.Writer, g described) {
	gw, tw, mw, hw := max(15, len(g.Group)), 15, 15, 15
	for _, p := range g.places {
		tw, mw, hw = max(tw, len(p.Topic)), max(mw, len(p.Member)), max(hw, len(p.Host))
	}
	line := func(group, topic, partition, offset, end, lag, member, host, client string) {
		fmt.Fprintf(w, "\n%-*s %-*s %-10s %-15s %-15s %-15s %-*s %-*s %s", gw, group, tw, topic, partition, offset, end, lag, mw, member, hw, host, client)
	}
	line("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID")
	for _, p := range g.places {
		line(g.Group, orDash(p.Topic), number(int64(p.Partition)), number(p.Offset), number(p.End), number(p.Lag), orDash(p.Member), orDash(p.Host), orDash(p.Client))
	}
}

func printState(w io.Writer, g described) {
	at := fmt.Sprintf("%s:%d  (%d)", g.Coordinator.Host, g.Coordinator.Port, g.Coordinator.NodeID)
	width := max(25, len(at))
	line := func(group, coordinator, strategy, state, members string) {
		fmt.Fprintf(w, "%-*s %-25s %-20s %-15s %s\n", width, group, coordinator, strategy, state, members)
	}
	fmt.Fprintln(w)
	line("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
	line(g.Group, at, g.Protocol, g.State, fmt.Sprint(len(g.Members)))
}

func printMembers(w io.Writer, g described, verbose bool) {
	gw, mw, iw, hw, cw := max(15, len(g.Group)), 15, 17, 15, 15
	static := false
	for _, m := range g.Members {
		mw, hw, cw = max(mw, len(m.MemberID)), max(hw, len(m.ClientHost)), max(cw, len(m.ClientID))
		if m.InstanceID != nil {
			static, iw = true, max(iw, len(*m.InstanceID))
		}
	}
	line := func(group, member, instance, host, client, count, assigned string) {
		fmt.Fprintf(w, "%-*s %-*s ", gw, group, mw, member)
		if static {
			fmt.Fprintf(w, "%-*s ", iw, instance)
		}
		fmt.Fprintf(w, "%-*s %-*s %-15s ", hw, host, cw, client, count)
		if verbose {
			fmt.Fprint(w, assigned)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	line("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT")
	members := slices.Clone(g.Members)
	slices.SortStableFunc(members, func(a, b kadm.DescribedGroupMember) int {
		return cmp.Compare(len(assignment(b)), len(assignment(a)))
	})
	for _, m := range members {
		tps := assignment(m)
		instance := ""
		if m.InstanceID != nil {
			instance = *m.InstanceID
		}
		line(g.Group, m.MemberID, instance, m.ClientHost, m.ClientID, fmt.Sprint(len(tps)), assignedText(tps))
	}
}

// assignedText is (0,1) for each topic: Apache Kafka 3.9 leaves the topic's name out.
func assignedText(tps []kadm.Partition) string {
	if len(tps) == 0 {
		return "-"
	}
	var b strings.Builder
	for i, tp := range tps {
		switch {
		case i == 0:
			b.WriteByte('(')
		case tp.Topic != tps[i-1].Topic:
			b.WriteString("), (")
		default:
			b.WriteByte(',')
		}
		fmt.Fprint(&b, tp.Partition)
	}
	b.WriteByte(')')
	return b.String()
}
