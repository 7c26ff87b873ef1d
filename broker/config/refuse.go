package config

import (
	"fmt"
	"slices"
	"strings"

	"ottla/broker/config/keys"
)

// rule is a setting that Apache Kafka obeys and this broker does not. Where disobeying would let somebody do more than
// the configuration says, or would keep or protect bytes otherwise than it says, the start is refused; else a warning is due.
type rule struct {
	key    string
	when   func(c *Config, v *values) bool
	reason string // what is missing and what to do, after "KEY=VALUE: "
}

// set holds for any value but the default one and an empty one.
func set(key string) func(*Config, *values) bool {
	k, known := keys.Broker.Lookup(key)
	return func(_ *Config, v *values) bool {
		text, ok := v.get(key)
		return ok && text != "" && (!known || k.Null || text != k.Default)
	}
}

func is(key, value string) func(*Config, *values) bool {
	return func(_ *Config, v *values) bool { text, _ := v.get(key); return text == value }
}

// refusals, each with why it is one.
var refusals = []rule{
	// This is another kind of cluster altogether: a node that ignored these would found a second one.
	{"process.roles", set("process.roles"), "this is the configuration of a KRaft node; this broker works with a coordinator (zookeeper.connect), as Kafka did before 4.0: remove process.roles, controller.quorum.* and controller.listener.names, and set broker.id and zookeeper.connect"},
	{"zookeeper.metadata.migration.enable", is("zookeeper.metadata.migration.enable", "true"), "moving a cluster to KRaft is not available"},
	{"controller.listener.names", set("controller.listener.names"), "controller.listener.names must be empty when not running in KRaft mode"},
	{"inter.broker.protocol.version", func(c *Config, _ *values) bool {
		return keys.CompareVersions(c.Controller.ProtocolVersion, "3.4-IV0") < 0
	}, "the protocol of brokers older than 3.4 is not spoken; bring all brokers of the cluster to Kafka 3.4 or later, set inter.broker.protocol.version to 3.4 or higher on each of them, then start this one"},
	{"inter.broker.protocol.version", func(c *Config, _ *values) bool {
		return keys.CompareVersions(c.Controller.ProtocolVersion, "3.9-IV0") > 0
	}, "3.9 is the last protocol version of clusters with a coordinator"},

	// Who may do what, and who is who.
	{"authorizer.class.name", set("authorizer.class.name"), "access control is not available in this version, and without it everybody may do everything; remove the key to run without"},
	{"principal.builder.class", set("principal.builder.class"), "users cannot be named by a Java class; remove the key to use Kafka's own rule"},
	{"security.providers", set("security.providers"), "Java security providers cannot be loaded"},
	{"create.topic.policy.class.name", set("create.topic.policy.class.name"), "a Java class cannot judge requests here, so topics would be created that it forbids"},
	{"alter.config.policy.class.name", set("alter.config.policy.class.name"), "a Java class cannot judge requests here, so configurations would be changed that it keeps"},
	{"client.quota.callback.class", set("client.quota.callback.class"), "a Java class cannot decide quotas here, so clients would have none"},
	{"config.providers", set("config.providers"), "values cannot be fetched from configuration providers; ${…} would be taken for the value itself"},

	{"zookeeper.ssl.crl.enable", is("zookeeper.ssl.crl.enable", "true"), "revocation lists are not looked at, so a revoked certificate would be believed"},
	{"zookeeper.ssl.ocsp.enable", is("zookeeper.ssl.ocsp.enable", "true"), "OCSP is not spoken, so a revoked certificate would be believed"},

	// How bytes are kept.
	{"remote.log.storage.system.enable", is("remote.log.storage.system.enable", "true"), "tiered storage is not available; segments would not be copied away"},
}

// warnings are settings without effect that harm nobody.
var warnings = []rule{
	{"metric.reporters", set("metric.reporters"), "Java reporters cannot be loaded; metrics are served for Prometheus"},
	{"kafka.metrics.reporters", set("kafka.metrics.reporters"), "Java reporters cannot be loaded; metrics are served for Prometheus"},
	{"replica.selector.class", set("replica.selector.class"), "only leaders serve consumers in this version"},
	{"delegation.token.secret.key", set("delegation.token.secret.key"), "delegation tokens are not available in this version"},
	{"delegation.token.master.key", set("delegation.token.master.key"), "delegation tokens are not available in this version"},
	{"log.message.format.version", set("log.message.format.version"), "records are always written in format 2"},
	{"eligible.leader.replicas.enable", is("eligible.leader.replicas.enable", "true"), "eligible leader replicas are kept by KRaft controllers only"},
	{"unstable.api.versions.enable", is("unstable.api.versions.enable", "true"), "API versions in development are not offered"},
	{"super.users", set("super.users"), "means something to an authorizer only"},
	{"allow.everyone.if.no.acl.found", set("allow.everyone.if.no.acl.found"), "means something to an authorizer only"},
	{"transaction.state.log.replication.factor", func(_ *Config, v *values) bool { return v.short("transaction.state.log.replication.factor") > 1 }, "counts as 1: brokers do not replicate in this version"},
	{"offsets.topic.replication.factor", func(_ *Config, v *values) bool { return v.short("offsets.topic.replication.factor") > 1 }, "counts as 1: brokers do not replicate in this version"},
	{"default.replication.factor", func(_ *Config, v *values) bool { return v.int("default.replication.factor") > 1 }, "counts as 1: brokers do not replicate in this version"},
}

// reports says why the start is refused, and what is to be warned of.
func (c *Config) reports() (refused []error, warned []string) {
	v := c.values
	text := func(r rule) string {
		value, _ := v.get(r.key)
		if k, ok := keys.LookupBroker(r.key); ok && k.Sensitive() {
			value = "[hidden]"
		}
		return fmt.Sprintf("%s=%s: %s", r.key, value, r.reason)
	}
	for _, r := range refusals {
		if r.when(c, v) {
			refused = append(refused, fmt.Errorf("%s", text(r)))
		}
	}
	for _, l := range c.Network.Listeners {
		if p := c.Network.Security[l.Name]; p != "PLAINTEXT" {
			refused = append(refused, fmt.Errorf("listeners=%s: listener %s is %s, and %s is not available in this version", v.string("listeners"), l.Name, p,
				map[string]string{"SSL": "TLS", "SASL_PLAINTEXT": "SASL", "SASL_SSL": "SASL over TLS"}[p]))
		}
	}
	if protocols := v.list("group.coordinator.rebalance.protocols"); !slices.Contains(protocols, "classic") {
		refused = append(refused, fmt.Errorf("group.coordinator.rebalance.protocols=%s: Disabling the 'classic' protocol is not supported.", strings.Join(protocols, ",")))
	} else if slices.Contains(protocols, "consumer") {
		refused = append(refused, fmt.Errorf("group.coordinator.rebalance.protocols=%s: The new 'consumer' rebalance protocol is only supported in KRaft cluster.", strings.Join(protocols, ",")))
	}
	if err := c.encoderError(); err != nil {
		refused = append(refused, err)
	}
	for _, r := range warnings {
		if r.when(c, v) {
			warned = append(warned, text(r))
		}
	}
	return refused, warned
}
