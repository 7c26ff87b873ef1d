package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// call is one call of kafka-configs.
type call struct {
	*cobra.Command
	kafka     client.Kafka
	zookeeper string
	types     []string
	names     []string
	short     map[string]*string // --topic NAME and the like
	add       string
	addFile   string
	drop      string
}

// shortcuts are options that name type and entity together.
var shortcuts = map[string]string{
	"topic": "topics", "broker": "brokers", "broker-logger": "broker-loggers", "client": "clients", "user": "users", "ip": "ips",
	"client-metrics": "client-metrics", "group": "groups",
}

// defaults are options that name the defaults of a type.
var defaults = map[string]string{"broker-defaults": "brokers", "client-defaults": "clients", "user-defaults": "users", "ip-defaults": "ips"}

// KafkaConfigs is kafka-configs.sh.
func KafkaConfigs() *cobra.Command {
	c := &call{kafka: client.Kafka{ID: "kafka-configs"}, short: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "kafka-configs",
		Short: "Show and change the configuration of topics and brokers, as Apache Kafka's tool does",
		Example: `  kafka-configs --bootstrap-server localhost:9092 --describe --topic test
  kafka-configs --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name test --add-config retention.ms=86400000`,
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.kafka.Properties, "command-config", "", "`file` of client properties")
	f.StringVar(&c.zookeeper, "zookeeper", "", "write the configuration of topics to ZooKeeper itself, at `host:port,.../chroot`, as tools up to 2.8 did")
	f.StringArrayVar(&c.types, "entity-type", nil, "`type`: topics or brokers")
	f.StringArrayVar(&c.names, "entity-name", nil, "`name` of the topic, id of the broker")
	for name := range shortcuts {
		c.short[name] = f.String(name, "", "the "+name+"'s `name`: short for --entity-type and --entity-name")
	}
	for name := range defaults {
		f.Bool(name, false, "short for --entity-type and --entity-default")
	}
	f.StringVar(&c.add, "add-config", "", "`k1=v1,k2=[v1,v2],...` to set")
	f.StringVar(&c.addFile, "add-config-file", "", "`file` of properties to set")
	f.StringVar(&c.drop, "delete-config", "", "`k1,k2,...` to remove")
	tool.Switches(f, map[string]string{
		"describe": "show configurations", "alter": "change a configuration", "entity-default": "the defaults of all entities of the type",
		"all": "also show what is not set", "force": "accepted for old scripts; nothing is asked for",
	})
	return cmd
}

func (c *call) on(option string) bool { return c.Flags().Changed(option) }

// entities are what the call is about: none stands for all of the type.
func (c *call) entities() (kind string, out []entity, err error) {
	kinds := slices.Clone(c.types)
	for _, n := range c.names {
		out = append(out, entity{name: n})
	}
	if c.on("entity-default") {
		out = append(out, entity{})
	}
	for name, k := range shortcuts {
		if c.on(name) {
			kinds, out = append(kinds, k), append(out, entity{name: *c.short[name]})
		}
	}
	for name, k := range defaults {
		if c.on(name) {
			kinds, out = append(kinds, k), append(out, entity{})
		}
	}
	switch {
	case len(kinds) == 0:
		return "", nil, errors.New("At least one entity type must be specified")
	case len(kinds) > 1:
		return "", nil, errors.New("This command changes one type of entity at a time")
	}
	kind = kinds[0]
	resource, ok := map[string]kmsg.ConfigResourceType{"topics": kmsg.ConfigResourceTypeTopic, "brokers": kmsg.ConfigResourceTypeBroker}[kind]
	switch {
	case !ok && slices.Contains([]string{"users", "clients", "ips", "broker-loggers", "client-metrics", "groups"}, kind):
		return "", nil, fmt.Errorf("This command does not do entity type %s: there are topics and brokers", kind)
	case !ok:
		return "", nil, fmt.Errorf("Invalid entity type %s, the entity type must be one of topics, brokers", kind)
	}
	for i := range out {
		out[i].kind = resource
	}
	return kind, out, nil
}

func (c *call) check() (kind string, out []entity, err error) {
	if c.on("describe") == c.on("alter") {
		return "", nil, tool.Wrong(c.Command, "Command must include exactly one action: --describe, --alter")
	}
	k := tool.Checks{Cmd: c.Command}
	if !c.on("bootstrap-server") && !c.on("zookeeper") {
		k.Wrong("One of the required --bootstrap-server or --bootstrap-controller arguments must be specified")
	}
	if c.on("bootstrap-server") && c.on("zookeeper") {
		k.Wrong("Only one of --bootstrap-server or --zookeeper must be specified")
	}
	if k.Err == nil {
		if kind, out, err = c.entities(); err != nil {
			k.Wrong("%v", err)
		}
	}
	k.Excluded("add-config", "add-config-file")
	if c.on("alter") {
		if len(out) != 1 {
			k.Wrong("An entity name must be specified with --alter of %s", kind)
		}
		if !c.on("add-config") && !c.on("add-config-file") && !c.on("delete-config") {
			k.Wrong("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
		}
	}
	return kind, out, k.Err
}

func (c *call) run() error {
	kind, entities, err := c.check()
	if err != nil {
		return err
	}
	if c.on("zookeeper") {
		err = c.inZooKeeper(kind, entities)
	} else {
		err = with(c.Command, &c.kafka, func(ctx context.Context, adm *kadm.Client) error {
			if c.on("alter") {
				return c.alter(ctx, adm, entities[0])
			}
			return c.describe(ctx, adm, kind, entities)
		})
	}
	var invalid invalidKeys
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		fmt.Fprintln(c.ErrOrStderr(), invalid)
	default:
		fmt.Fprintf(c.ErrOrStderr(), "Error while executing config command with args '%s'\n%v\n", strings.Join(os.Args[1:], " "), err)
	}
	return output.Status(1)
}

// invalidKeys are keys to remove that are not set.
type invalidKeys []string

func (k invalidKeys) Error() string { return "Invalid config(s): " + strings.Join(k, ",") }

// missing finds keys to remove that are not set.
func missing(has func(string) bool, drop []string) error {
	var bad invalidKeys
	for _, k := range drop {
		if !has(k) {
			bad = append(bad, k)
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// changes are what to set and what to remove.
func (c *call) changes() (set map[string]string, drop []string, err error) {
	if c.addFile != "" {
		if set, err = client.ReadProperties(c.addFile); err != nil {
			return nil, nil, err
		}
	} else if set, err = parsePairs(c.add); err != nil {
		return nil, nil, err
	}
	for _, k := range strings.Split(c.drop, ",") {
		if k = strings.TrimSpace(k); k != "" {
			drop = append(drop, k)
		}
	}
	return set, drop, nil
}

// parsePairs reads k1=v1,k2=[v1,v2].
func parsePairs(text string) (map[string]string, error) {
	var parts []string
	depth, from := 0, 0
	for i, r := range text {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, text[from:i]), i+1
			}
		}
	}
	set := map[string]string{}
	for _, p := range append(parts, text[from:]) {
		if strings.TrimSpace(p) == "" {
			continue
		}
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return nil, errors.New("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\".")
		}
		v = strings.TrimSpace(v)
		if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			v = v[1 : len(v)-1]
		}
		set[strings.TrimSpace(k)] = v
	}
	return set, nil
}

func (c *call) alter(ctx context.Context, adm *kadm.Client, e entity) error {
	set, drop, err := c.changes()
	if err != nil {
		return err
	}
	now, err := e.read(ctx, adm, false)
	if err != nil {
		return err
	}
	has := func(k string) bool {
		return slices.ContainsFunc(now, func(c kadm.Config) bool { return c.Key == k })
	}
	if err := missing(has, drop); err != nil {
		return err
	}
	if err := e.change(ctx, adm, set, drop); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "Completed updating %s.\n", e.described("config for "))
	return nil
}

// described names an entity as the tool of 3.9 does.
func (e entity) described(what string) string {
	switch {
	case e.kind == kmsg.ConfigResourceTypeTopic:
		return what + "topic " + e.name
	case e.name == "":
		return "default " + what + "brokers in the cluster"
	}
	return what + "broker " + e.name
}

func (c *call) describe(ctx context.Context, adm *kadm.Client, kind string, entities []entity) error {
	if len(entities) == 0 {
		var err error
		if entities, err = allOf(ctx, adm, kind); err != nil {
			return err
		}
	}
	w := c.OutOrStdout()
	for _, e := range entities {
		head := e.described("configs for ")
		switch {
		case e.name == "" && e.kind == kmsg.ConfigResourceTypeBroker:
			head = "Default configs for brokers in the cluster"
		case c.on("all"):
			head = "All " + head
		default:
			head = "Dynamic " + head
		}
		fmt.Fprintf(w, "%s are:\n", head)
		configs, err := e.read(ctx, adm, c.on("all"))
		if err != nil {
			return err
		}
		for _, x := range configs {
			printEntry(w, x)
		}
	}
	return nil
}

func printEntry(w io.Writer, x kadm.Config) {
	text := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	var synonyms []string
	for _, s := range x.Synonyms {
		synonyms = append(synonyms, fmt.Sprintf("%s:%s=%s", s.Source, s.Key, text(s.Value)))
	}
	fmt.Fprintf(w, "  %s=%s sensitive=%t synonyms={%s}\n", x.Key, text(x.Value), x.Sensitive, strings.Join(synonyms, ", "))
}

// allOf lists the entities of a type, topics or brokers; behind the brokers their defaults.
func allOf(ctx context.Context, adm *kadm.Client, kind string) ([]entity, error) {
	var out []entity
	if kind == "topics" {
		all, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range all.Names() {
			out = append(out, entity{kmsg.ConfigResourceTypeTopic, name})
		}
		return out, nil
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range brokers.NodeIDs() {
		out = append(out, entity{kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(id))})
	}
	return append(out, entity{kmsg.ConfigResourceTypeBroker, ""}), nil
}
