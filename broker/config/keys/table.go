package keys

import (
	"regexp"
	"slices"
	"strings"
)

// Table is a set of keys by name. Immutable.
type Table struct {
	byName map[string]Key
	sorted []Key
}

// The two tables. DynamicOnly are broker keys that exist in /config/brokers alone, never in a file.
var (
	Broker      = newTable(networkKeys, serverKeys, logKeys, replicaKeys, groupKeys, zookeeperKeys, securityKeys, kraftKeys, remoteKeys, ownKeys)
	Topic       = newTable(topicKeys)
	DynamicOnly = newTable(dynamicOnlyKeys)
)

// The throttles of replication are set while partitions move and removed afterwards.
var dynamicOnlyKeys = []Key{
	key("leader.replication.throttled.rate", Long, "9223372036854775807", atLeast(0), Medium, ClusterWide,
		"Bytes a second that throttled replicas send as leaders."),
	key("follower.replication.throttled.rate", Long, "9223372036854775807", atLeast(0), Medium, ClusterWide,
		"Bytes a second that throttled replicas fetch as followers."),
	key("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", atLeast(0), Medium, ClusterWide,
		"Bytes a second of replicas that move between log directories."),
}

func newTable(parts ...[]Key) *Table {
	t := &Table{byName: map[string]Key{}}
	for _, part := range parts {
		for _, k := range part {
			if _, twice := t.byName[k.Name]; twice {
				panic("keys: " + k.Name + " is in the table twice")
			}
			t.byName[k.Name] = k
			t.sorted = append(t.sorted, k)
		}
	}
	slices.SortFunc(t.sorted, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// Lookup finds a key by its exact name.
func (t *Table) Lookup(name string) (Key, bool) {
	k, ok := t.byName[name]
	return k, ok
}

// All lists the keys by name. The slice must not be changed.
func (t *Table) All() []Key { return t.sorted }

// LookupBroker finds the key that says what type a broker key has: itself, or for one with a listener's prefix
// (listener.name.X.ssl.keystore.location, listener.name.X.plain.sasl.jaas.config) the key without it. The result has the
// full name.
func LookupBroker(name string) (Key, bool) {
	if k, ok := Broker.Lookup(name); ok {
		return k, true
	}
	if k, ok := DynamicOnly.Lookup(name); ok {
		return k, true
	}
	_, base, ok := SplitListener(name)
	if !ok {
		return Key{}, false
	}
	k, ok := Broker.Lookup(base)
	k.Name = name
	return k, ok
}

var listenerKey = regexp.MustCompile(`^listener\.name\.([^.]*)\.(.*)$`)

// SplitListener takes listener.name.LISTENER.KEY and listener.name.LISTENER.MECHANISM.KEY apart; mechanisms stand only
// before sasl.jaas.config and its kin. base is KEY.
func SplitListener(name string) (listener, base string, ok bool) {
	m := listenerKey.FindStringSubmatch(name)
	if m == nil {
		return "", "", false
	}
	for _, k := range mechanismKeys {
		if strings.HasSuffix(m[2], k) {
			return m[1], k, true
		}
	}
	return m[1], m[2], true
}

var mechanismKeys = []string{"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class", "sasl.server.callback.handler.class", "connections.max.reauth.ms"}

var groups = [][]string{
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

// BrokerSynonyms lists, first the strongest, the broker keys that may give name its value; name is among them.
func BrokerSynonyms(name string) []string {
	for _, g := range groups {
		if slices.Contains(g, name) {
			return g
		}
	}
	if name == "log.flush.interval.ms" { // but not the other way round
		return []string{name, "log.flush.scheduler.interval.ms"}
	}
	if _, base, ok := SplitListener(name); ok {
		return []string{name, base}
	}
	return []string{name}
}
