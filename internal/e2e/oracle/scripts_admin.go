package oracle

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Types of resources.
const (
	ofTopic   = 2
	ofBroker  = 4
	ofLoggers = 8
	ofMetrics = 16
)

func describeConfigs(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	q := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	q.Resources = []kmsg.DescribeConfigsRequestResource{r}
	return q
}

// configurations has what describes and alters them.
func configurations(l *lab) {
	for v := int16(0); v <= 4; v++ {
		for _, x := range []struct {
			what string
			q    *kmsg.DescribeConfigsRequest
		}{
			{"topic", describeConfigs(ofTopic, "wire")}, {"changed topic", describeConfigs(ofTopic, "compacted")}, {"some of a topic", describeConfigs(ofTopic, "small", "max.message.bytes", "retention.ms", "nonsense")},
			{"nobody", describeConfigs(ofTopic, "nobody")}, {"bad name", describeConfigs(ofTopic, "bad name")}, {"no name", describeConfigs(ofTopic, "")}, {"broker defaults", describeConfigs(ofBroker, "")},
			{"broker", describeConfigs(ofBroker, "0")}, {"another broker", describeConfigs(ofBroker, "7")}, {"no broker", describeConfigs(ofBroker, "zero")}, {"no loggers", describeConfigs(ofLoggers, "")},
			{"metrics", describeConfigs(ofMetrics, "m")}, {"no metrics", describeConfigs(ofMetrics, "")}, {"unknown type", describeConfigs(99, "x")}, {"type 0", describeConfigs(0, "x")},
			{"some of the broker", describeConfigs(ofBroker, "0", "log.retention.ms", "broker.id", "ssl.keystore.password")},
		} {
			for _, more := range []bool{false, true} {
				q := *x.q
				q.IncludeSynonyms, q.IncludeDocumentation = more, more
				l.each("describe configs of "+x.what, v, func(*target) kmsg.Request { return &q })
			}
		}
	}
	alter := func(kind kmsg.ConfigResourceType, name string, validate bool, settings ...string) *kmsg.AlterConfigsRequest {
		q := kmsg.NewPtrAlterConfigsRequest()
		q.ValidateOnly = validate
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for i := 0; i+1 < len(settings); i += 2 {
			r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: settings[i], Value: &settings[i+1]})
		}
		q.Resources = []kmsg.AlterConfigsRequestResource{r}
		return q
	}
	for v := int16(0); v <= 2; v++ {
		for _, x := range []struct {
			what string
			q    *kmsg.AlterConfigsRequest
		}{
			{"topic", alter(ofTopic, "empty", false, "retention.ms", "5000")}, {"topic back", alter(ofTopic, "empty", false)}, {"nobody", alter(ofTopic, "nobody", false, "retention.ms", "1")},
			{"bad value", alter(ofTopic, "empty", false, "retention.ms", "x")}, {"unknown key", alter(ofTopic, "empty", false, "nonsense", "x")}, {"no topic", alter(ofTopic, "", false)},
			{"broker read-only", alter(ofBroker, "0", false, "broker.id", "3")}, {"broker validated", alter(ofBroker, "0", true, "log.cleaner.threads", "2")}, {"another broker", alter(ofBroker, "5", false)},
			{"broker bad value", alter(ofBroker, "", false, "log.retention.ms", "x")}, {"loggers", alter(ofLoggers, "0", false)}, {"unknown type", alter(77, "0", false)}, {"twice", alter(ofTopic, "empty", false, "retention.ms", "1", "retention.ms", "2")},
			{"broker default", alter(ofBroker, "", false, "log.retention.ms", "-1")}, {"broker default back", alter(ofBroker, "", false)}, {"no broker", alter(ofBroker, "zero", false)},
			{"null", func() *kmsg.AlterConfigsRequest {
				q := alter(ofTopic, "empty", false, "retention.ms", "")
				q.Resources[0].Configs[0].Value = nil
				return q
			}()},
			{"metrics", alter(ofMetrics, "m", false)},
		} {
			l.each("alter configs "+x.what, v, func(*target) kmsg.Request { return x.q })
		}
	}
	for v := int16(0); v <= 1; v++ {
		for _, x := range []struct {
			kind  kmsg.ConfigResourceType
			name  string
			op    int8
			key   string
			value string
		}{
			{ofTopic, "empty", 0, "retention.ms", "7"}, {ofTopic, "empty", 1, "retention.ms", ""}, {ofTopic, "empty", 1, "never.there", ""}, {ofTopic, "empty", 2, "cleanup.policy", "compact"},
			{ofTopic, "empty", 2, "cleanup.policy", "compact"}, {ofTopic, "empty", 3, "cleanup.policy", "delete"}, {ofTopic, "empty", 3, "cleanup.policy", "compact"}, {ofTopic, "empty", 1, "cleanup.policy", ""},
			{ofTopic, "empty", 2, "retention.ms", "1"}, {ofTopic, "empty", 2, "nonsense", "1"}, {ofTopic, "empty", 9, "retention.ms", "1"}, {ofTopic, "nobody", 0, "retention.ms", "1"}, {ofTopic, "nobody", 0, "nonsense", "1"},
			{ofTopic, "empty", 0, "segment.bytes", "3"}, {ofTopic, "", 0, "retention.ms", "1"}, {ofTopic, "bad name", 0, "retention.ms", "1"}, {ofBroker, "", 0, "log.cleaner.threads", "2"}, {ofBroker, "", 1, "log.cleaner.threads", ""},
			{ofBroker, "0", 0, "log.cleaner.threads", "2"}, {ofBroker, "0", 1, "log.cleaner.threads", ""}, {ofBroker, "0", 0, "broker.id", "2"}, {ofBroker, "0", 0, "nonsense", "2"}, {ofBroker, "0", 2, "log.cleanup.policy", "compact"},
			{ofBroker, "0", 3, "log.cleanup.policy", "compact"}, {ofBroker, "0", 0, "max.connections.per.ip", "-1"}, {ofBroker, "9", 0, "log.cleaner.threads", "2"}, {ofBroker, "x", 0, "log.cleaner.threads", "2"}, {ofLoggers, "9", 0, "root", "INFO"},
			{ofLoggers, "0", 0, "no.such.logger", "INFO"}, {ofLoggers, "0", 0, "root", "LOUD"}, {ofLoggers, "0", 2, "root", "INFO"}, {ofMetrics, "m", 0, "interval.ms", "1000"}, {99, "m", 0, "interval.ms", "1000"},
			{ofTopic, "empty", 0, "min.insync.replicas", "0"}, {ofTopic, "empty", 0, "max.message.bytes", "-1"}, {ofTopic, "empty", 0, "min.compaction.lag.ms", "9"}, {ofTopic, "empty", 1, "min.compaction.lag.ms", ""},
			{ofTopic, "empty", 0, "max.compaction.lag.ms", "0"}, {ofTopic, "empty", 0, "compression.gzip.level", "77"}, {ofTopic, "empty", 0, "message.format.version", "0.10.0"}, {ofTopic, "empty", 1, "message.format.version", ""},
			{ofTopic, "empty", 0, "leader.replication.throttled.replicas", "0:0"}, {ofTopic, "empty", 1, "leader.replication.throttled.replicas", ""}, {ofTopic, "empty", 0, "local.retention.ms", "99999999999999"}, {ofTopic, "empty", 0, "retention.bytes", "1.5"},
			{ofBroker, "0", 0, "num.io.threads", "0"}, {ofBroker, "", 0, "ssl.keystore.location", "/x"}, {ofBroker, "0", 0, "message.max.bytes", "-5"}, {ofBroker, "0", 0, "log.segment.bytes", "1"},
		} {
			q := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: x.key, Op: kmsg.IncrementalAlterConfigOp(x.op), Value: &x.value}
			r.ResourceType, r.ResourceName, r.Configs = x.kind, x.name, []kmsg.IncrementalAlterConfigsRequestResourceConfig{c}
			q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{r}
			l.each(fmt.Sprintf("alter %d %s %d %s", x.kind, x.name, x.op, x.key), v, func(*target) kmsg.Request { return q })
			r.Configs = append(r.Configs, c)
			twice := *q
			twice.ValidateOnly = true
			twice.Resources = []kmsg.IncrementalAlterConfigsRequestResource{r}
			l.each(fmt.Sprintf("alter twice %d %s %d %s", x.kind, x.name, x.op, x.key), v, func(*target) kmsg.Request { return &twice })
		}
	}
}

// administration has the other requests of administrators.
func administration(l *lab) {
	for v := int16(0); v <= 3; v++ {
		l.each("versions", v, func(*target) kmsg.Request {
			q := kmsg.NewPtrApiVersionsRequest()
			q.ClientSoftwareName, q.ClientSoftwareVersion = "bad name!", ""
			if v < 3 {
				return nil
			}
			return q
		})
	}
	for v := int16(0); v <= 1; v++ {
		for _, kind := range []int8{0, 1, 2, 7} {
			for _, operations := range []bool{false, true} {
				q := kmsg.NewPtrDescribeClusterRequest()
				q.EndpointType, q.IncludeClusterAuthorizedOperations = kind, operations
				l.each("describe cluster", v, func(*target) kmsg.Request { return q })
			}
		}
		for _, x := range []struct {
			feature string
			level   int16
			down    bool
			kind    int8
		}{{"metadata.version", 20, false, 1}, {"", 1, false, 1}, {"f", 0, true, 2}, {"f", 0, false, 1}, {"f", -1, true, 3}, {"f", 1, false, 0}, {"f", 1, true, 9}, {"kraft.version", 1, true, 2}} {
			q := kmsg.NewPtrUpdateFeaturesRequest()
			q.TimeoutMillis = 1000
			u := kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: x.feature, MaxVersionLevel: x.level, AllowDowngrade: x.down, UpgradeType: x.kind}
			q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{u}
			l.each("update features "+x.feature, v, func(*target) kmsg.Request { return q })
		}
		l.each("update no features", v, func(*target) kmsg.Request { return kmsg.NewPtrUpdateFeaturesRequest() })
		quotas(l, v)
	}
	scram(l)
	for v := int16(0); v <= 4; v++ {
		q := kmsg.NewPtrDescribeLogDirsRequest()
		for _, name := range []string{"wire", "append-time", "nobody", "elsewhere"} {
			q.Topics = append(q.Topics, kmsg.DescribeLogDirsRequestTopic{Topic: name, Partitions: []int32{0, 1, 9}})
		}
		l.each("describe log dirs", v, func(*target) kmsg.Request { return q })
		none := kmsg.NewPtrDescribeLogDirsRequest()
		none.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		l.each("describe log dirs of nothing", v, func(*target) kmsg.Request { return none })
	}
	l.same("list reassignments", 0, 0, kmsg.NewPtrListPartitionReassignmentsRequest())
	q := kmsg.NewPtrListPartitionReassignmentsRequest()
	q.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: "wire", Partitions: []int32{0, 7}}, {Topic: "nobody", Partitions: []int32{0}}}
	l.same("list some reassignments", 0, 0, q)
	for v := int16(0); v <= 1; v++ {
		q := kmsg.NewPtrListTransactionsRequest()
		l.each("list transactions", v, func(*target) kmsg.Request { return q })
		some := kmsg.NewPtrListTransactionsRequest()
		some.StateFilters, some.ProducerIDFilters, some.DurationFilterMillis = []string{"Ongoing", "ongoing", "Nonsense", "Nonsense", ""}, []int64{1, 1}, 5
		l.each("list some transactions", v, func(*target) kmsg.Request { return some })
	}
	d := kmsg.NewPtrDescribeTransactionsRequest()
	d.TransactionalIDs = []string{"nobody", "", "nobody"}
	l.same("describe transactions", 0, 0, d)
	security(l)
}

func quotas(l *lab, v int16) {
	type entity = kmsg.AlterClientQuotasRequestEntryEntity
	part := func(kind string, name *string) entity { return entity{Type: kind, Name: name} }
	bob, app, nothing, wild := kmsg.StringPtr("bob * ü~"), kmsg.StringPtr("app"), kmsg.StringPtr(""), kmsg.StringPtr("<default>")
	for _, x := range []struct {
		what   string
		entity []entity
		key    string
		value  float64
		remove bool
	}{
		{"user", []entity{part("user", bob)}, "producer_byte_rate", 1e9, false}, {"default user", []entity{part("user", nil)}, "request_percentage", 20000, false},
		{"pair", []entity{part("user", bob), part("client-id", app)}, "consumer_byte_rate", 2e9, false}, {"default client", []entity{part("client-id", nil)}, "controller_mutation_rate", 1e6, false},
		{"user named default", []entity{part("user", wild)}, "producer_byte_rate", 1e9, false}, {"address", []entity{part("ip", kmsg.StringPtr("127.0.0.2"))}, "connection_creation_rate", 1000, false},
		{"IPv6", []entity{part("ip", kmsg.StringPtr("::1"))}, "connection_creation_rate", 1000, false}, {"bad address", []entity{part("ip", kmsg.StringPtr("no host"))}, "connection_creation_rate", 5, false},
		{"negative address", []entity{part("ip", kmsg.StringPtr("127.0.0.3"))}, "connection_creation_rate", -5, false}, {"nothing", nil, "producer_byte_rate", 1, false}, {"empty name", []entity{part("user", nothing)}, "producer_byte_rate", 1, false},
		{"other", []entity{part("tenant", app)}, "producer_byte_rate", 1, false}, {"mixed", []entity{part("ip", nil), part("user", nil)}, "producer_byte_rate", 1, false}, {"other empty", []entity{part("tenant", nothing)}, "producer_byte_rate", 1, false},
		{"unknown key", []entity{part("user", bob)}, "nonsense", 1, false}, {"fraction", []entity{part("user", bob)}, "producer_byte_rate", 1.5, false}, {"almost", []entity{part("user", bob)}, "producer_byte_rate", 1e9 + 1e-7, false},
		{"not a number", []entity{part("user", bob)}, "producer_byte_rate", math.NaN(), false}, {"too large", []entity{part("user", bob)}, "producer_byte_rate", 1e300, false}, {"negative", []entity{part("client-id", kmsg.StringPtr("z"))}, "producer_byte_rate", -1, false},
		{"remove", []entity{part("client-id", kmsg.StringPtr("z"))}, "producer_byte_rate", 0, true}, {"remove nothing", []entity{part("user", app)}, "nonsense", 0, true}, {"key of an address", []entity{part("user", bob)}, "connection_creation_rate", 5, false},
		{"password", []entity{part("user", bob)}, "SCRAM-SHA-256", 5, false}, {"twice of a kind", []entity{part("user", bob), part("user", app)}, "producer_byte_rate", 1e9, false},
	} {
		for _, validate := range []bool{true, false} {
			q := kmsg.NewPtrAlterClientQuotasRequest()
			q.ValidateOnly = validate
			q.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: x.entity, Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: x.key, Value: x.value, Remove: x.remove}}}}
			l.each("alter quota of "+x.what, v, func(*target) kmsg.Request { return q })
		}
	}
	type component = kmsg.DescribeClientQuotasRequestComponent
	for _, strict := range []bool{false, true} {
		for _, x := range [][]component{
			nil, {{EntityType: "user", MatchType: 2}}, {{EntityType: "user", MatchType: 1}}, {{EntityType: "user", MatchType: 0, Match: bob}}, {{EntityType: "client-id", MatchType: 2}}, {{EntityType: "client-id", MatchType: 1}},
			{{EntityType: "user", MatchType: 2}, {EntityType: "client-id", MatchType: 2}}, {{EntityType: "user", MatchType: 0, Match: bob}, {EntityType: "client-id", MatchType: 0, Match: app}}, {{EntityType: "ip", MatchType: 2}},
			{{EntityType: "ip", MatchType: 0, Match: kmsg.StringPtr("127.0.0.2")}}, {{EntityType: "ip", MatchType: 1}}, {{EntityType: "ip", MatchType: 2}, {EntityType: "user", MatchType: 2}}, {{EntityType: "user", MatchType: 2}, {EntityType: "user", MatchType: 2}},
			{{EntityType: "", MatchType: 2}}, {{EntityType: "tenant", MatchType: 2}}, {{EntityType: "user", MatchType: 7}}, {{EntityType: "user", MatchType: 0}}, {{EntityType: "user", MatchType: 0, Match: wild}},
		} {
			q := kmsg.NewPtrDescribeClientQuotasRequest()
			q.Strict, q.Components = strict, x
			l.each("describe quotas", v, func(*target) kmsg.Request { return q })
		}
	}
}

func scram(l *lab) {
	describe := func(what string, names ...string) {
		q := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for _, name := range names {
			q.Users = append(q.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: name})
		}
		l.same("describe credentials "+what, 0, 0, q)
	}
	type upserts = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion
	type deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion
	up := func(name string, mechanism int8, iterations int32, password string) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		return kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: name, Mechanism: mechanism, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: []byte(password)}
	}
	describe("of nobody yet")
	for _, x := range []struct {
		what string
		set  upserts
		del  deletions
	}{
		{"set", upserts{up("wendy", 1, 4096, "p"), up("wendy", 2, 8192, "p"), up("ünal *", 1, 16384, "p")}, nil}, {"few", upserts{up("a", 1, 4095, "p")}, nil}, {"many", upserts{up("a", 2, 16385, "p")}, nil},
		{"no user", upserts{up("", 1, 4096, "p")}, deletions{{Name: "", Mechanism: 1}}}, {"mechanism 0", upserts{up("a", 0, 4096, "p")}, nil}, {"mechanism 9", nil, deletions{{Name: "a", Mechanism: 9}}},
		{"twice", upserts{up("a", 1, 4096, "p"), up("a", 1, 4096, "p")}, nil}, {"both", upserts{up("wendy", 1, 4096, "p")}, deletions{{Name: "wendy", Mechanism: 1}}}, {"delete nothing", nil, deletions{{Name: "nobody", Mechanism: 1}}},
		{"mixed", upserts{up("b", 1, 1, "p"), up("b", 2, 4096, "p")}, deletions{{Name: "b", Mechanism: 9}}}, {"empty password", upserts{up("c", 1, 4096, "")}, nil}, {"delete", nil, deletions{{Name: "wendy", Mechanism: 1}}}, {"nothing", nil, nil},
	} {
		q := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		q.Upsertions, q.Deletions = x.set, x.del
		l.same("alter credentials "+x.what, 0, 0, q)
	}
	describe("of all")
	describe("of some", "wendy", "nobody", "", "ünal *", "wendy", "bob * ü~")
}

// security has what needs an authorizer, or a secret.
func security(l *lab) {
	for v := int16(0); v <= 3; v++ {
		for kind := int8(0); kind <= 9; kind += 3 {
			for pattern := int8(0); pattern <= 6; pattern++ {
				for _, operation := range []int8{0, 1, 99} {
					d := kmsg.NewPtrDescribeACLsRequest()
					d.ResourceType, d.ResourcePatternType, d.Operation, d.PermissionType = kmsg.ACLResourceType(kind), kmsg.ACLResourcePatternType(pattern), kmsg.ACLOperation(operation), 1
					l.each("describe ACLs", v, func(*target) kmsg.Request { return d })
					c := kmsg.NewPtrCreateACLsRequest()
					cc := kmsg.NewCreateACLsRequestCreation()
					cc.ResourceType, cc.ResourceName, cc.ResourcePatternType, cc.Principal, cc.Host, cc.Operation, cc.PermissionType =
						d.ResourceType, "n", d.ResourcePatternType, "User:a", "*", d.Operation, d.PermissionType
					c.Creations = []kmsg.CreateACLsRequestCreation{cc, cc}
					l.each("create ACLs", v, func(*target) kmsg.Request { return c })
					f := kmsg.NewPtrDeleteACLsRequest()
					ff := kmsg.NewDeleteACLsRequestFilter()
					ff.ResourceType, ff.ResourcePatternType, ff.Operation, ff.PermissionType = d.ResourceType, d.ResourcePatternType, d.Operation, d.PermissionType
					f.Filters = []kmsg.DeleteACLsRequestFilter{ff}
					l.each("delete ACLs", v, func(*target) kmsg.Request { return f })
				}
			}
		}
		l.each("create no ACLs", v, func(*target) kmsg.Request { return kmsg.NewPtrCreateACLsRequest() })
		c := kmsg.NewPtrCreateDelegationTokenRequest()
		l.each("create token", v, func(*target) kmsg.Request { return c })
		owned := kmsg.NewPtrCreateDelegationTokenRequest()
		owned.OwnerPrincipalType, owned.OwnerPrincipalName = kmsg.StringPtr("User"), kmsg.StringPtr("owner")
		owned.Renewers = []kmsg.CreateDelegationTokenRequestRenewer{{PrincipalType: "Group", PrincipalName: "x"}}
		l.each("create token for another", v, func(*target) kmsg.Request { return owned })
		half := kmsg.NewPtrCreateDelegationTokenRequest()
		half.OwnerPrincipalName = kmsg.StringPtr("owner")
		l.each("create token for half an owner", v, func(*target) kmsg.Request { return half })
		l.each("describe tokens", v, func(*target) kmsg.Request { return kmsg.NewPtrDescribeDelegationTokenRequest() })
	}
	for v := int16(0); v <= 2; v++ {
		r := kmsg.NewPtrRenewDelegationTokenRequest()
		r.HMAC, r.RenewTimeMillis = []byte("x"), 5
		l.each("renew token", v, func(*target) kmsg.Request { return r })
		e := kmsg.NewPtrExpireDelegationTokenRequest()
		e.HMAC = []byte("x")
		l.each("expire token", v, func(*target) kmsg.Request { return e })
	}
	e := kmsg.NewPtrEnvelopeRequest()
	e.RequestData, e.ClientHostAddress = []byte("x"), []byte{127, 0, 0, 1}
	l.same("envelope", 0, 0, e)
}

// elections has ElectLeaders. Where a partition has never had a leader Apache Kafka does not answer.
func elections(l *lab) {
	for v := int16(0); v <= 2; v++ {
		for _, kind := range []int8{0, 1, 5} {
			q := kmsg.NewPtrElectLeadersRequest()
			q.ElectionType, q.TimeoutMillis = kind, 1000
			l.each("elect all leaders", v, func(*target) kmsg.Request { return q })
			some := *q
			for _, name := range []string{"wire", "nobody"} {
				some.Topics = append(some.Topics, kmsg.ElectLeadersRequestTopic{Topic: name, Partitions: []int32{0, 9}})
			}
			l.each("elect leaders", v, func(*target) kmsg.Request { return &some })
			none := *q
			none.Topics = []kmsg.ElectLeadersRequestTopic{}
			l.each("elect no leaders", v, func(*target) kmsg.Request { return &none })
		}
	}
}
