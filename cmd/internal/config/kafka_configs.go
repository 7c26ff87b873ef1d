package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

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
	names     []string           // of --entity-name and --entity-default, "" for the latter, in their order
	short     map[string]*string // --topic NAME and the like
	add       string
	addFile   string
	drop      string
}

// shortcuts are options that name type and entity together, in the order in which they count.
var shortcuts = [][2]string{
	{"topic", "topics"}, {"client", "clients"}, {"user", "users"}, {"broker", "brokers"}, {"broker-logger", "broker-loggers"}, {"ip", "ips"},
}

// defaults are options that name the defaults of a type.
var defaults = [][2]string{{"client-defaults", "clients"}, {"user-defaults", "users"}, {"broker-defaults", "brokers"}, {"ip-defaults", "ips"}}

// ordered is an option that adds to a list: its value, or "" if it has none.
type ordered struct {
	list *[]string
	kind string
}

func (o ordered) String() string { return "" }
func (o ordered) Type() string   { return o.kind }
func (o ordered) Set(s string) error {
	if o.kind == "bool" {
		s = ""
	}
	*o.list = append(*o.list, s)
	return nil
}

// KafkaConfigs is kafka-configs.sh.
func KafkaConfigs() *cobra.Command {
	c := &call{kafka: client.Kafka{ID: "kafka-configs"}, short: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "kafka-configs",
		Short: "Show and change the configuration of topics, brokers, clients and users, as Apache Kafka's tool does",
		Example: `  kafka-configs --bootstrap-server localhost:9092 --describe --topic test
  kafka-configs --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name test --add-config retention.ms=86400000
  kafka-configs --bootstrap-server localhost:9092 --alter --user alice --add-config 'SCRAM-SHA-256=[password=secret]'`,
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.kafka.Properties, "command-config", "", "`file` of client properties")
	f.StringVar(&c.zookeeper, "zookeeper", "", "write to ZooKeeper itself, at `host:port,.../chroot`, as tools up to 2.8 did")
	f.StringArrayVar(&c.types, "entity-type", nil, "`type`: topics, brokers, broker-loggers, clients, users, ips or client-metrics")
	f.Var(ordered{&c.names, "string"}, "entity-name", "`name` of the topic, user, client or address, id of the broker")
	f.Var(ordered{&c.names, "bool"}, "entity-default", "the defaults of all entities of the type")
	f.Lookup("entity-default").NoOptDefVal = "true"
	for _, s := range shortcuts {
		c.short[s[0]] = f.String(s[0], "", "the "+s[0]+"'s `name`: short for --entity-type and --entity-name")
	}
	for _, d := range defaults {
		f.Bool(d[0], false, "short for --entity-type and --entity-default")
	}
	f.StringVar(&c.add, "add-config", "", "`k1=v1,k2=[v1,v2],...` to set")
	f.StringVar(&c.addFile, "add-config-file", "", "`file` of properties to set")
	f.StringVar(&c.drop, "delete-config", "", "`k1,k2,...` to remove")
	tool.Switches(f, map[string]string{
		"describe": "show configurations", "alter": "change a configuration", "all": "also show what is not set",
		"force": "accepted for old scripts; nothing is asked for",
	})
	return cmd
}

func (c *call) on(option string) bool { return c.Flags().Changed(option) }

// target is what a call is about: types of entities, and a name for each that has one, "" for the defaults.
type target struct {
	types, names []string
}

func (t target) has(kind string) bool { return slices.Contains(t.types, kind) }

// isQuota says whether the target is not a resource but somebody with quotas.
func (t target) isQuota() bool { return t.has("users") || t.has("clients") || t.has("ips") }

// owner is the target as somebody with quotas.
func (t target) owner() owner {
	var o owner
	for i, kind := range t.types {
		p := part{kind: kind, any: i >= len(t.names)}
		if !p.any {
			p.name = t.names[i]
		}
		o = append(o, p)
	}
	return o
}

func (c *call) target() target {
	t := target{slices.Clone(c.types), slices.Clone(c.names)}
	for _, s := range shortcuts {
		if c.on(s[0]) {
			t.types, t.names = append(t.types, s[1]), append(t.names, *c.short[s[0]])
		}
	}
	for _, d := range defaults {
		if c.on(d[0]) {
			t.types, t.names = append(t.types, d[1]), append(t.names, "")
		}
	}
	return t
}

// invalid is a call that makes no sense; its text is all that is printed.
type invalid string

func (i invalid) Error() string { return string(i) }

func invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }

// entityTypes in the order in which the tool lists them.
var entityTypes = []string{"topics", "clients", "users", "brokers", "ips", "client-metrics", "broker-loggers"}

// check refuses what makes no sense, with the texts of 3.9.
func (c *call) check() (target, error) {
	if c.on("describe") == c.on("alter") {
		return target{}, tool.Wrong(c.Command, "Command must include exactly one action: --describe, --alter")
	}
	k := tool.Checks{Cmd: c.Command}
	k.Excluded("describe", "add-config", "delete-config")
	if k.Err != nil {
		return target{}, k.Err
	}
	t := c.target()
	return t, c.checkTypes(t)
}

func (c *call) checkTypes(t target) error {
	for i, kind := range t.types {
		if slices.Contains(t.types[:i], kind) {
			return invalidf("Duplicate entity type(s) specified: %s", kind)
		}
		if !slices.Contains(entityTypes, kind) || c.on("zookeeper") && (kind == "broker-loggers" || kind == "client-metrics") {
			return invalidf("Invalid entity type %s, the entity type must be one of %s", kind, strings.Join(entityTypes, ", "))
		}
	}
	named := slices.ContainsFunc(t.names, func(n string) bool { return n != "" })
	unnamed := slices.Contains(t.names, "")
	long := len(c.types) > 0 || len(c.names) > 0
	switch {
	case len(t.types) == 0:
		return invalid("At least one entity type must be specified")
	case len(t.types) > 1 && !(len(t.types) == 2 && t.has("users") && t.has("clients")):
		return invalid("Only 'users' and 'clients' entity types may be specified together")
	case long && len(t.types) > len(c.types):
		return invalid("--entity-{type,name,default} should not be used in conjunction with specific entity flags")
	case !c.on("bootstrap-server") && !c.on("zookeeper"):
		return invalid("One of the required --bootstrap-server, --boostrap-controller, or --zookeeper arguments must be specified")
	case c.on("bootstrap-server") && c.on("zookeeper"):
		return invalid("Only one of --bootstrap-server, --boostrap-controller, and --zookeeper can be specified")
	case c.on("all") && c.on("zookeeper"):
		return invalid("--bootstrap-server must be specified for --all")
	case len(t.names) > len(t.types):
		return invalid("More entity names specified than entity types")
	case c.on("describe") && t.has("broker-loggers") && !named:
		return invalidf("an entity name must be specified with --describe of %s", strings.Join(t.types, ","))
	}
	for _, name := range t.names {
		if name == "" {
			continue
		}
		if _, err := strconv.ParseInt(name, 10, 32); err != nil && (t.has("brokers") || t.has("broker-loggers")) {
			return invalidf("The entity name for %s must be a valid integer broker id, but it is: %s", t.types[0], name)
		}
		if _, err := net.LookupHost(name); err != nil && t.has("ips") {
			return invalidf("The entity name for %s must be a valid IP or resolvable host, but it is: %s", t.types[0], name)
		}
	}
	if !c.on("alter") {
		return nil
	}
	switch {
	case (t.isQuota() || t.has("brokers")) && !named && !unnamed:
		return invalid("an entity-name or default entity must be specified with --alter of users, clients, brokers or ips")
	case !t.isQuota() && !t.has("brokers") && !named:
		return invalidf("an entity name must be specified with --alter of %s", strings.Join(t.types, ","))
	case c.on("add-config") && c.on("add-config-file"):
		return invalid("Only one of --add-config or --add-config-file must be specified")
	case !c.on("add-config") && !c.on("add-config-file") && !c.on("delete-config"):
		return invalid("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
	case len(t.names) != len(t.types):
		return errors.New("An entity name must be specified for every entity type")
	}
	return nil
}

func (c *call) run() error {
	t, err := c.check()
	switch {
	case err != nil:
	case c.on("zookeeper"):
		err = c.inZooKeeper(t)
	default:
		err = c.kafka.With(c.Context(), func(s client.Session) error {
			if c.on("alter") {
				return c.alter(s, t)
			}
			return c.describe(s, t)
		})
	}
	var bad invalid
	var keys invalidKeys
	var status output.Status
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.As(err, &bad), errors.As(err, &keys):
		fmt.Fprintln(c.ErrOrStderr(), err)
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
	for k := range set {
		if strings.ContainsFunc(k, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
		}) {
			return nil, nil, invalidf("Invalid character found for config key: %s", k)
		}
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
			return nil, invalid("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\".")
		}
		v = strings.TrimSpace(v)
		if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			v = v[1 : len(v)-1]
		}
		set[strings.TrimSpace(k)] = v
	}
	return set, nil
}
