package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
)

func (c *call) alter(s client.Session, t target) error {
	set, drop, err := c.changes()
	if err != nil {
		return err
	}
	if t.isQuota() {
		err = alterOwner(s, t, set, drop)
	} else {
		err = alterEntity(s, t, set, drop)
	}
	if err != nil {
		return err
	}
	if kind := t.types[0]; t.names[0] == "" {
		fmt.Fprintf(c.OutOrStdout(), "Completed updating default config for %s in the cluster.\n", kind)
	} else {
		fmt.Fprintf(c.OutOrStdout(), "Completed updating config for %s %s.\n", kind[:len(kind)-1], t.names[0])
	}
	return nil
}

func alterEntity(s client.Session, t target, set map[string]string, drop []string) error {
	e := entity{kinds[t.types[0]], t.names[0]}
	now, err := e.read(s, false)
	if err != nil {
		return err
	}
	has := func(k string) bool {
		return slices.ContainsFunc(now, func(c kadm.Config) bool { return c.Key == k })
	}
	if e.kind == kmsg.ConfigResourceTypeBrokerLogger {
		var bad []string
		for _, k := range slices.Concat(drop, slices.Sorted(maps.Keys(set))) {
			if !has(k) {
				bad = append(bad, k)
			}
		}
		if len(bad) > 0 {
			return invalidf("Invalid broker logger(s): %s", strings.Join(bad, ","))
		}
	} else if err := missing(has, drop); err != nil {
		return err
	}
	return e.change(s, set, drop)
}

// list writes names as a Scala collection does.
func list(kind string, names []string) string { return kind + "(" + strings.Join(names, ", ") + ")" }

func alterOwner(s client.Session, t target, set map[string]string, drop []string) error {
	added, dropped := slices.Sorted(maps.Keys(set)), drop
	if t.has("ips") {
		for _, k := range slices.Concat(added, dropped) {
			if !slices.Contains(quotaKeys["ips"], k) {
				return invalidf("Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: %s", k)
			}
		}
		return alterQuotas(s, t, set, drop)
	}
	quotas, creds, unknown := parted(added)
	dropQuotas, dropCreds, dropUnknown := parted(dropped)
	if t.types[0] == "clients" || len(t.types) == 2 {
		if bad := slices.Concat(unknown, creds); len(bad) > 0 {
			return invalidf("Only quota configs can be added for 'clients' using --bootstrap-server. Unexpected config names: %s", list("Set", bad))
		}
		if bad := slices.Concat(dropUnknown, dropCreds); len(bad) > 0 {
			return invalidf("Only quota configs can be deleted for 'clients' using --bootstrap-server. Unexpected config names: %s", list("ArrayBuffer", bad))
		}
		return alterQuotas(s, t, set, drop)
	}
	switch {
	case len(unknown) > 0:
		return invalidf("Only quota and SCRAM credential configs can be added for 'users' using --bootstrap-server. Unexpected config names: %s", list("Set", unknown))
	case len(dropUnknown) > 0:
		return invalidf("Only quota and SCRAM credential configs can be deleted for 'users' using --bootstrap-server. Unexpected config names: %s", list("ArrayBuffer", dropUnknown))
	case len(creds)+len(dropCreds) == 0:
		return alterQuotas(s, t, set, drop)
	case t.names[0] == "":
		return invalid("The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.")
	case len(quotas)+len(dropQuotas) > 0:
		return invalid("Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.")
	}
	for m, text := range set {
		if _, _, err := credential(m, text); err != nil {
			return invalid(err.Error())
		}
	}
	return setScram(s, t.names[0], set, drop)
}

func alterQuotas(s client.Session, t target, set map[string]string, drop []string) error {
	for k, v := range set {
		if _, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
			return invalidf("Cannot parse quota configuration value for %s: %s", k, v)
		}
	}
	now, err := t.owner().quotas(s)
	if err != nil {
		return err
	}
	has := func(k string) bool {
		return len(now) > 0 && slices.ContainsFunc(now[0].values, func(v kadm.ClientQuotaValue) bool { return v.Key == k })
	}
	if err := missing(has, drop); err != nil {
		return err
	}
	return t.owner().setQuotas(s, set, drop)
}

func (c *call) describe(s client.Session, t target) error {
	if t.isQuota() {
		return c.describeOwner(s, t)
	}
	kind := t.types[0]
	var all []string
	if len(t.names) > 0 {
		all = t.names[:1]
	} else {
		var err error
		if all, err = allOf(s, kind); err != nil {
			return err
		}
	}
	w := c.OutOrStdout()
	for _, name := range all {
		switch {
		case name == "":
			fmt.Fprintf(w, "Default configs for %s in the cluster are:\n", kind)
		case c.on("all"):
			fmt.Fprintf(w, "All configs for %s %s are:\n", kind[:len(kind)-1], name)
		default:
			fmt.Fprintf(w, "Dynamic configs for %s %s are:\n", kind[:len(kind)-1], name)
		}
		configs, err := entity{kinds[kind], name}.read(s, c.on("all"))
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

// allOf lists the entities of a type; behind the brokers their defaults.
func allOf(s client.Session, kind string) ([]string, error) {
	switch kinds[kind] {
	case kmsg.ConfigResourceTypeTopic:
		all, err := s.ListTopicsWithInternal(s)
		if err != nil {
			return nil, err
		}
		return all.Names(), nil
	case kmsg.ConfigResourceTypeClientMetrics:
		all, err := s.ListConfigResources(s, kmsg.ConfigResourceTypeClientMetrics)
		var out []string
		for _, r := range all.Resources {
			out = append(out, r.Name)
		}
		return out, err
	}
	brokers, err := s.ListBrokers(s)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, id := range brokers.NodeIDs() {
		out = append(out, strconv.Itoa(int(id)))
	}
	return append(out, ""), nil
}

// titles are what parts of an owner are called in descriptions.
var titles = map[string]string{"users": "user-principal", "clients": "client-id", "ips": "ip"}

func (c *call) describeOwner(s client.Session, t target) error {
	quotas, err := t.owner().quotas(s)
	if err != nil {
		return err
	}
	w := c.OutOrStdout()
	for _, q := range quotas {
		var who, values []string
		for _, p := range q.owner {
			if p.name == "" {
				who = append(who, "the default "+titles[p.kind])
			} else {
				who = append(who, fmt.Sprintf("%s '%s'", titles[p.kind], p.name))
			}
		}
		for _, v := range q.values {
			values = append(values, v.Key+"="+javaDouble(v.Value))
		}
		fmt.Fprintf(w, "Quota configs for %s are %s\n", strings.Join(who, ", "), strings.Join(values, ", "))
	}
	if t.has("clients") || t.has("ips") || slices.Contains(t.names, "") {
		return nil
	}
	all, err := scrams(s, t.names...)
	if err != nil {
		return err
	}
	for _, u := range all {
		if u.err != nil {
			fmt.Fprintf(w, "Error retrieving SCRAM credential configs for user-principal '%s': %v\n", u.user, u.err)
			continue
		}
		var has []string
		for _, c := range u.has {
			has = append(has, fmt.Sprintf("%s=iterations=%d", c.Mechanism, c.Iterations))
		}
		fmt.Fprintf(w, "SCRAM credential configs for user-principal '%s' are %s\n", u.user, strings.Join(has, ", "))
	}
	return nil
}
