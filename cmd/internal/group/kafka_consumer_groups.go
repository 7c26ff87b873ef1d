package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// call is one call of kafka-consumer-groups.
type call struct {
	*cobra.Command
	kafka   client.Kafka
	groups  []string
	topics  []string
	state   string
	kind    string
	timeout int64

	toOffset, shiftBy  int64
	toDatetime, byTime string
}

// KafkaConsumerGroups is kafka-consumer-groups.sh.
func KafkaConsumerGroups() *cobra.Command {
	c := &call{kafka: client.Kafka{ID: "kafka-consumer-groups"}}
	cmd := &cobra.Command{
		Use:   "kafka-consumer-groups",
		Short: "List and describe consumer groups, and reset their offsets, as Apache Kafka's tool does",
		Example: `  kafka-consumer-groups --bootstrap-server localhost:9092 --list
  kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group my-group`,
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.kafka.Properties, "command-config", "", "`file` of client properties")
	f.StringArrayVar(&c.groups, "group", nil, "a consumer `group`; may be repeated")
	f.StringArrayVar(&c.topics, "topic", nil, "a `topic`, or topic:0,1,2 for some partitions, to reset; may be repeated")
	f.Int64Var(&c.timeout, "timeout", 30_000, "how many `milliseconds` to wait")
	f.StringVar(&c.state, "state", "", "with --describe: the state; with --list: the state, and only the given `states`")
	f.Lookup("state").NoOptDefVal = " "
	f.StringVar(&c.kind, "type", "", "with --list: the type, and only the given `types`")
	f.Lookup("type").NoOptDefVal = " "
	f.Int64Var(&c.toOffset, "to-offset", 0, "reset to this `offset`")
	f.Int64Var(&c.shiftBy, "shift-by", 0, "reset by so `many` records, forward or (negative) back")
	f.StringVar(&c.toDatetime, "to-datetime", "", "reset to a `time`, YYYY-MM-DDTHH:mm:SS.sss")
	f.StringVar(&c.byTime, "by-duration", "", "reset to a `duration` ago, such as P1DT2H")
	tool.Switches(f, map[string]string{
		"list": "list all groups", "describe": "show groups with their offsets", "delete": "delete groups", "reset-offsets": "set the offsets of a group without members",
		"delete-offsets": "delete offsets of a group", "all-groups": "all groups", "all-topics": "all topics that the group has offsets of",
		"members": "describe the members", "offsets": "describe the offsets (the default)", "verbose": "describe members with their partitions",
		"execute": "carry the reset out", "dry-run": "only show what a reset would do",
		"to-earliest": "reset to the oldest record", "to-latest": "reset to the end", "to-current": "reset to the present offset",
	})
	return cmd
}

func (c *call) on(option string) bool { return c.Flags().Changed(option) }

func (c *call) check() (string, error) {
	actions := []string{"list", "describe", "delete", "reset-offsets", "delete-offsets"}
	count, action := 0, ""
	for _, a := range actions {
		if c.on(a) {
			count, action = count+1, a
		}
	}
	if count != 1 {
		return "", tool.Wrong(c.Command, "Command must include exactly one action: --%s", strings.Join(actions, ", --"))
	}
	k := tool.Checks{Cmd: c.Command}
	k.Required("bootstrap-server")
	if (action == "describe" || action == "delete" || action == "reset-offsets") && !c.on("group") && !c.on("all-groups") {
		k.Wrong("Option [%s] takes one of these options: [all-groups], [group]", action)
	}
	if action == "delete-offsets" {
		k.Required("group", "topic")
	}
	if action == "describe" {
		k.Excluded("members", "offsets", "state")
		k.Excluded("offsets", "state")
	}
	k.Excluded("group", "all-groups")
	k.Excluded("execute", "dry-run")
	return action, k.Err
}

func (c *call) run() error {
	action, err := c.check()
	if err != nil {
		return err
	}
	c.kafka.Timeout = ms(c.timeout)
	err = with(c.Command, &c.kafka, func(ctx context.Context, adm *kadm.Client) error {
		if c.on("all-groups") && action != "list" {
			all, err := list(ctx, adm)
			if err != nil {
				return err
			}
			for _, g := range all {
				c.groups = append(c.groups, g.Group)
			}
		}
		switch action {
		case "list":
			return c.list(ctx, adm)
		case "describe":
			return c.describe(ctx, adm)
		case "delete":
			return c.remove(ctx, adm)
		case "reset-offsets":
			return c.reset(ctx, adm)
		}
		return c.removeOffsets(ctx, adm)
	})
	var status output.Status
	if err == nil || errors.As(err, &status) {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "\nError: Executing consumer group command failed due to %v\n", err)
	return output.Status(1)
}

func (c *call) list(ctx context.Context, adm *kadm.Client) error {
	all, err := list(ctx, adm)
	if err != nil {
		return err
	}
	w := c.OutOrStdout()
	if !c.on("state") && !c.on("type") {
		for _, g := range all {
			fmt.Fprintln(w, g.Group)
		}
		return nil
	}
	wanted := func(list, s string) bool {
		list = strings.TrimSpace(list)
		return list == "" || slices.ContainsFunc(strings.Split(list, ","), func(x string) bool { return strings.EqualFold(strings.TrimSpace(x), s) })
	}
	all = slices.DeleteFunc(all, func(g kadm.ListedGroup) bool { return !wanted(c.state, g.State) || !wanted(c.kind, "Classic") })
	width := 15
	for _, g := range all {
		width = max(width, len(g.Group))
	}
	line := func(group, kind, state string) {
		fmt.Fprintf(w, "%-*s", width+10, group)
		if c.on("type") {
			fmt.Fprintf(w, " %-20s", kind)
		}
		if c.on("state") {
			fmt.Fprintf(w, " %-20s", state)
		}
		fmt.Fprintln(w)
	}
	line("GROUP", "TYPE", "STATE")
	for _, g := range all {
		line(g.Group, "Classic", g.State)
	}
	return nil
}

func (c *call) describe(ctx context.Context, adm *kadm.Client) error {
	if len(c.groups) == 0 {
		return nil
	}
	groups, err := describe(ctx, adm, c.groups...)
	if err != nil {
		return err
	}
	for _, g := range groups {
		rows := len(g.places)
		if c.on("state") {
			rows = 1
		} else if c.on("members") {
			rows = len(g.Members)
		}
		printable := c.announce(g, rows)
		switch w := c.OutOrStdout(); {
		case c.on("members"):
			if g.exists() {
				printMembers(w, g, c.on("verbose"))
			}
		case !printable:
		case c.on("state"):
			printState(w, g)
		default:
			printOffsets(w, g)
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

// printOffsets prints a row for each partition and each member without.
func printOffsets(w io.Writer, g described) {
	gw, tw, mw, hw := max(15, len(g.Group)), 15, 15, 15
	for _, p := range g.places {
		tw, mw, hw = max(tw, len(p.Topic)), max(mw, len(p.Member)), max(hw, len(p.Host))
	}
	line := func(group, topic, partition, offset, end, lag, member, host, client string) {
		fmt.Fprintf(w, "%-*s %-*s %-10s %-15s %-15s %-15s %-*s %-*s %s\n", gw, group, tw, topic, partition, offset, end, lag, mw, member, hw, host, client)
	}
	fmt.Fprintln(w)
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
