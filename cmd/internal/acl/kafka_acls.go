package acl

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// call is one call of kafka-acls.
type call struct {
	*cobra.Command
	kafka      client.Kafka
	topics     []string
	groups     []string
	txns       []string
	tokens     []string
	users      []string
	pattern    string
	allow      []string
	deny       []string
	allowHosts []string
	denyHosts  []string
	operations []string
	principals []string
}

// KafkaACLs is kafka-acls.sh with --bootstrap-server.
func KafkaACLs() *cobra.Command {
	c := &call{}
	cmd := &cobra.Command{
		Use:   "kafka-acls",
		Short: "List, add and remove access control lists, as Apache Kafka's tool does",
		Example: `  kafka-acls --bootstrap-server localhost:9092 --list
  kafka-acls --bootstrap-server localhost:9092 --add --allow-principal User:alice --producer --topic test`,
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.kafka.Properties, "command-config", "", "`file` of client properties")
	f.StringArrayVar(&c.topics, "topic", nil, "a `topic`; * is all")
	f.StringArrayVar(&c.groups, "group", nil, "a consumer `group`; * is all")
	f.StringArrayVar(&c.txns, "transactional-id", nil, "a transactional `id`; * is all")
	f.StringArrayVar(&c.tokens, "delegation-token", nil, "a delegation `token`; * is all")
	f.StringArrayVar(&c.users, "user-principal", nil, "a `user` as the resource")
	f.StringVar(&c.pattern, "resource-pattern-type", "literal", "`how` names match: literal or prefixed, to list and remove also any or match")
	f.StringArrayVar(&c.allow, "allow-principal", nil, "a `principal`, such as User:alice, that may")
	f.StringArrayVar(&c.deny, "deny-principal", nil, "a `principal` that may not")
	f.StringArrayVar(&c.allowHosts, "allow-host", nil, "from this `host` only")
	f.StringArrayVar(&c.denyHosts, "deny-host", nil, "not from this `host`")
	f.StringArrayVar(&c.operations, "operation", []string{"All"}, "`what`: All, Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, CreateTokens, DescribeTokens")
	f.StringArrayVar(&c.principals, "principal", nil, "with --list: only this `principal`")
	tool.Switches(f, map[string]string{
		"list": "list ACLs", "add": "add ACLs", "remove": "remove ACLs", "cluster": "the cluster as the resource",
		"producer": "what a producer to --topic needs", "consumer": "what a consumer of --topic in --group needs", "idempotent": "with --producer: an idempotent one",
		"force": "remove without asking",
	})
	return cmd
}

func (c *call) on(option string) bool { return c.Flags().Changed(option) }

func (c *call) check() error {
	k := tool.Checks{Cmd: c.Command}
	k.Required("bootstrap-server")
	actions := 0
	for _, a := range []string{"add", "remove", "list"} {
		if c.on(a) {
			actions++
		}
	}
	if actions != 1 {
		k.Wrong("Command must include exactly one action: --list, --add, --remove.")
	}
	k.Excluded("list", "producer", "consumer", "allow-host", "allow-principal", "deny-host", "deny-principal")
	shortcut := c.on("producer") || c.on("consumer")
	if shortcut {
		for _, o := range []string{"operation", "deny-principal", "deny-host"} {
			k.Excluded(o, "producer", "consumer")
		}
	}
	if c.on("producer") && !c.on("topic") {
		k.Wrong("With --producer you must specify a --topic")
	}
	if c.on("idempotent") && !c.on("producer") {
		k.Wrong("The --idempotent option is only available if --producer is set")
	}
	if c.on("consumer") && (!c.on("topic") || !c.on("group") || !c.on("producer") && (c.on("cluster") || c.on("transactional-id"))) {
		k.Wrong("With --consumer you must specify a --topic and a --group and no --cluster or --transactional-id option should be specified.")
	}
	if c.on("principal") && !c.on("list") {
		k.Wrong("The --principal option is only available if --list is set")
	}
	return k.Err
}

func (c *call) run() error {
	if err := c.check(); err != nil {
		return err
	}
	pattern, err := kmsg.ParseACLResourcePatternType(strings.ToUpper(c.pattern))
	if err != nil || pattern == kmsg.ACLResourcePatternTypeUnknown {
		return tool.Wrong(c.Command, "Cannot parse argument '%s' of option resource-pattern-type", c.pattern)
	}
	resources := c.resources(pattern)
	var rules []rule
	if !c.on("list") {
		if len(resources) == 0 {
			return tool.Wrong(c.Command, "You must provide at least one resource: --topic <topic> or --cluster or --group <group> or --delegation-token <Delegation Token ID>")
		}
		if rules, err = c.rules(resources); err != nil {
			return tool.Wrong(c.Command, "%v", err)
		}
	}
	if c.on("add") {
		if pattern != kmsg.ACLResourcePatternTypeLiteral && pattern != kmsg.ACLResourcePatternTypePrefixed {
			return tool.Wrong(c.Command, "A '--resource-pattern-type' value of '%s' is not valid when adding acls.", pattern)
		}
		if slices.ContainsFunc(rules, func(r rule) bool { return len(r.entries) == 0 }) {
			return tool.Wrong(c.Command, "You must specify one of: --allow-principal, --deny-principal when trying to add ACLs.")
		}
	}
	err = c.kafka.With(c.Context(), func(s client.Session) error {
		switch {
		case c.on("add"):
			return c.add(s, rules)
		case c.on("remove"):
			if err := c.remove(s, rules); err != nil {
				return err
			}
		}
		return c.list(s, resources)
	})
	var status output.Status
	var r *refusal
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.As(err, &r):
		fmt.Fprintf(c.OutOrStdout(), "Error while executing ACL command: %s\n", tool.Java(r.err, r.sent))
	default:
		fmt.Fprintf(c.OutOrStdout(), "Error while executing ACL command: %v\n", err)
	}
	return output.Status(1)
}

// refusal is a broker's error with its words.
type refusal struct {
	err  error
	sent string
}

func (r *refusal) Error() string { return tool.Message(r.err, r.sent) }

func refused(code int16, sent *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	r := &refusal{err: err}
	if sent != nil {
		r.sent = *sent
	}
	return r
}

// print writes ACLs by resource.
func (c *call) print(head string, r resource, entries []entry) {
	fmt.Fprintf(c.OutOrStdout(), "%s `%s`: \n ", head, r)
	for i, e := range entries {
		if i > 0 {
			fmt.Fprintln(c.OutOrStdout())
		}
		fmt.Fprintf(c.OutOrStdout(), "\t%s", e)
	}
	fmt.Fprint(c.OutOrStdout(), " \n\n")
}

func (c *call) add(s client.Session, rules []rule) error {
	for _, r := range rules {
		c.print("Adding ACLs for resource", r.resource, r.entries)
		req := kmsg.NewPtrCreateACLsRequest()
		for _, e := range r.entries {
			x := kmsg.NewCreateACLsRequestCreation()
			x.ResourceType, x.ResourceName, x.ResourcePatternType = r.kind, r.name, r.pattern
			x.Principal, x.Host, x.Operation, x.PermissionType = e.principal, e.host, e.operation, e.permission
			req.Creations = append(req.Creations, x)
		}
		resp, err := req.RequestWith(s, s.Kafka)
		if err != nil {
			return err
		}
		for _, x := range resp.Results {
			if err := refused(x.ErrorCode, x.ErrorMessage); err != nil {
				return err
			}
		}
	}
	return c.list(s, resourcesOf(rules))
}

func resourcesOf(rules []rule) (out []resource) {
	for _, r := range rules {
		out = append(out, r.resource)
	}
	return out
}

// confirmed asks, unless --force is there.
func (c *call) confirmed(question string) bool {
	if c.on("force") {
		return true
	}
	fmt.Fprintln(c.OutOrStdout(), question)
	line, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(line), "y")
}

func (c *call) remove(s client.Session, rules []rule) error {
	for _, r := range rules {
		var filters []kmsg.DeleteACLsRequestFilter
		question := fmt.Sprintf("Are you sure you want to delete all ACLs for resource filter `%s`? (y/n)", r.resource)
		if len(r.entries) == 0 {
			f := kmsg.NewDeleteACLsRequestFilter()
			f.Operation, f.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			filters = append(filters, f)
		} else {
			var lines []string
			for _, e := range r.entries {
				lines = append(lines, "\t"+e.String())
				f := kmsg.NewDeleteACLsRequestFilter()
				f.Principal, f.Host, f.Operation, f.PermissionType = &e.principal, &e.host, e.operation, e.permission
				filters = append(filters, f)
			}
			question = fmt.Sprintf("Are you sure you want to remove ACLs: \n %s \n from resource filter `%s`? (y/n)", strings.Join(lines, "\n"), r.resource)
		}
		if !c.confirmed(question) {
			continue
		}
		req := kmsg.NewPtrDeleteACLsRequest()
		for _, f := range filters {
			f.ResourceType, f.ResourceName, f.ResourcePatternType = r.kind, &r.name, r.pattern
			req.Filters = append(req.Filters, f)
		}
		resp, err := req.RequestWith(s, s.Kafka)
		if err != nil {
			return err
		}
		for _, x := range resp.Results {
			if err := refused(x.ErrorCode, x.ErrorMessage); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) list(s client.Session, resources []resource) error {
	var all []rule
	if len(resources) == 0 {
		resources = []resource{{kind: kmsg.ACLResourceTypeAny, pattern: kmsg.ACLResourcePatternTypeAny}}
	}
	for _, r := range resources {
		found, err := describe(s, r)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	if len(c.principals) == 0 {
		for _, r := range all {
			c.print("Current ACLs for resource", r.resource, r.entries)
		}
		return nil
	}
	for _, p := range c.principals {
		fmt.Fprintf(c.OutOrStdout(), "ACLs for principal `%s`\n", p)
		for _, r := range all {
			mine := slices.DeleteFunc(slices.Clone(r.entries), func(e entry) bool { return e.principal != p })
			if len(mine) > 0 {
				c.print("Current ACLs for resource", r.resource, mine)
			}
		}
	}
	return nil
}
