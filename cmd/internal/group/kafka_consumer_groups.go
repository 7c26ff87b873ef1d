package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
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
	fromFile           string

	open bool // the last line that was printed has no end yet
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
	f.Int64Var(&c.timeout, "timeout", 5000, "how many `milliseconds` to wait")
	f.StringVar(&c.state, "state", "", "with --describe: the state; with --list: the state, and only the given `states`")
	f.Lookup("state").NoOptDefVal = " "
	f.StringVar(&c.kind, "type", "", "with --list: the type, and only the given `types`")
	f.Lookup("type").NoOptDefVal = " "
	f.Int64Var(&c.toOffset, "to-offset", 0, "reset to this `offset`")
	f.Int64Var(&c.shiftBy, "shift-by", 0, "reset by so `many` records, forward or (negative) back")
	f.StringVar(&c.toDatetime, "to-datetime", "", "reset to a `time`, YYYY-MM-DDTHH:mm:SS.sss")
	f.StringVar(&c.byTime, "by-duration", "", "reset to a `duration` ago, such as P1DT2H")
	f.StringVar(&c.fromFile, "from-file", "", "reset as a `file` of lines topic,partition,offset or group,topic,partition,offset says")
	tool.Switches(f, map[string]string{
		"list": "list all groups", "describe": "show groups with their offsets", "delete": "delete groups", "reset-offsets": "set the offsets of a group without members",
		"delete-offsets": "delete offsets of a group", "all-groups": "all groups", "all-topics": "all topics that the group has offsets of",
		"members": "describe the members", "offsets": "describe the offsets (the default)", "verbose": "describe members with their partitions",
		"execute": "carry the reset out", "export": "print what a reset does as --from-file reads it", "dry-run": "only show what a reset would do",
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
	k := tool.Checks{Cmd: c.Command}
	k.Required("bootstrap-server")
	some := c.on("group") || c.on("all-groups")
	if c.on("describe") {
		if !some {
			k.Wrong("Option [describe] takes one of these options: [list], [describe], [delete], [reset-offsets]")
		}
		if c.on("members") && c.on("offsets") || c.on("members") && c.on("state") || c.on("offsets") && c.on("state") {
			k.Wrong("Option [describe] takes at most one of these options: [members], [offsets], [state]")
		}
		if strings.TrimSpace(c.state) != "" {
			k.Wrong("Option [describe] does not take a value for [state]")
		}
	}
	if c.on("delete") {
		if !some {
			k.Wrong("Option [delete] takes one of these options: [group], [all-groups]")
		}
		if c.on("topic") {
			k.Wrong("The consumer does not support topic-specific offset deletion from a consumer group.")
		}
	}
	if c.on("delete-offsets") && (!c.on("group") || !c.on("topic")) {
		k.Wrong("Option [delete-offsets] takes the following options: [group], [topic]")
	}
	if c.on("reset-offsets") {
		if c.on("dry-run") && c.on("execute") {
			k.Wrong("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
		}
		if k.Err == nil && !c.on("execute") && !c.on("dry-run") {
			fmt.Fprintln(c.ErrOrStderr(), "WARN: No action will be performed as the --execute option is missing. Add --dry-run if that is what you want.")
		}
		if !some {
			k.Wrong("Option [reset-offsets] takes one of these options: [group], [all-groups]")
		}
		for _, t := range targets {
			k.Excluded(t, slices.DeleteFunc(slices.Clone(targets), func(o string) bool { return o == t })...)
		}
	}
	k.Excluded("group", "all-groups", "list")
	k.Excluded("topic", "list", "describe")
	for _, o := range []string{"members", "offsets", "verbose"} {
		if c.on(o) && !c.on("describe") {
			k.Wrong("Option(s) [%s] are unavailable given other options on the command line", o)
		}
	}
	if c.on("state") && !c.on("describe") && !c.on("list") {
		k.Wrong("Option(s) [state] are unavailable given other options on the command line")
	}
	if c.on("type") && !c.on("list") {
		k.Wrong("Option(s) [type] are unavailable given other options on the command line")
	}
	if count != 1 {
		k.Wrong("Command must include exactly one action: --%s", strings.Join(actions, ", --"))
	}
	return action, k.Err
}

func (c *call) run() error {
	action, err := c.check()
	if err != nil {
		return err
	}
	c.kafka.Timeout = max(ms(c.timeout), time.Second)
	return c.kafka.With(c.Context(), func(s client.Session) error {
		return c.failed(c.do(s, action))
	})
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func (c *call) do(s client.Session, action string) error {
	if c.on("all-groups") {
		all, err := list(s, nil, nil)
		if err != nil {
			return err
		}
		for _, g := range all {
			c.groups = append(c.groups, g.Group)
		}
		if len(c.groups) == 0 {
			return nil
		}
	}
	switch action {
	case "list":
		return c.list(s)
	case "describe":
		return c.describe(s)
	case "delete":
		return c.remove(s)
	case "reset-offsets":
		return c.reset(s)
	}
	return c.removeOffsets(s)
}

func (c *call) list(s client.Session) error {
	states, err := chosen("state", c.state, states)
	if err != nil {
		return tool.Wrong(c.Command, "%v", err)
	}
	types, err := chosen("types", c.kind, types)
	if err != nil {
		return tool.Wrong(c.Command, "%v", err)
	}
	all, err := list(s, types, states)
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
		line(g.Group, g.Type, g.State)
	}
	return nil
}
