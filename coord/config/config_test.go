package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ottla/internal/keystore"
)

func load(t *testing.T, file string, env, overrides []string) (*Config, []string, error) {
	t.Helper()
	src := Source{Env: env, Overrides: overrides}
	if file != "" {
		src.File = filepath.Join(t.TempDir(), "zoo.cfg")
		if err := os.WriteFile(src.File, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, warnings, err := Load(src)
	for i := range warnings {
		warnings[i] = strings.ReplaceAll(warnings[i], src.File, "zoo.cfg")
	}
	return c, warnings, err
}

// The file that ZooKeeper ships, as most people know it.
const sample = `# The number of milliseconds of each tick
tickTime=2000
initLimit=10
syncLimit=5
dataDir=/var/zk
# the port at which the clients will connect
clientPort=2182
#maxClientCnxns=60
autopurge.snapRetainCount=3
autopurge.purgeInterval=1
`

func TestSampleFile(t *testing.T) {
	c, warnings, err := load(t, sample, nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want := Config{DataDir: "/var/zk", ClientPort: 2182, TickTime: 2 * time.Second, MinSessionTimeout: 4 * time.Second, MaxSessionTimeout: 40 * time.Second,
		MaxClientCnxns: 60, GlobalOutstandingLimit: 1000, MaxBuffer: 0xfffff, ListenBacklog: -1, Words: []string{"srvr"},
		SegmentBytes: 64 << 20, SlowSync: time.Second, ContainerCheck: time.Minute,
		HTTP: HTTP{AdminAddress: "0.0.0.0", AdminPort: 8080, CommandURL: "/commands", IdleTimeout: 30 * time.Second, Snapshot: true, SnapshotEvery: 5 * time.Minute,
			MetricsAddress: "0.0.0.0", MetricsPort: 7000, MetricsRuntime: true},
		Shown: []string{"autopurge.purgeInterval=1", "autopurge.snapRetainCount=3", "clientPort=2182", "dataDir=/var/zk", "initLimit=10", "syncLimit=5", "tickTime=2000"}, ContainerRate: 10000,
		Throttle: Throttle{LargeThreshold: -1, LargeBytes: 100 << 20, ConnectFill: 1, ConnectEvery: time.Millisecond},
		SASL:     SASL{Section: "Server"}, TLS: TLS{Port: -1, Auth: keystore.Need, names: true, protocol: "TLSv1.3", Protocols: []string{"TLSv1.3"}}}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
	if c.Addr() != ":2182" {
		t.Errorf("address %q", c.Addr())
	}
}

func TestWithoutAFile(t *testing.T) {
	c, warnings, err := load(t, "", nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if c.ClientPort != 2181 || c.TickTime != 2*time.Second || c.MaxSessionTimeout != 40*time.Second || filepath.Base(c.DataDir) != "zookeeper" {
		t.Errorf("%+v", c)
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Errorf("Load without a source %+v, Default %+v", c, Default())
	}
}

func TestPrecedence(t *testing.T) {
	env := []string{"ZOO_TICK_TIME=100", "ZOO_MAX_CLIENT_CNXNS=7", "ZOO_CFG_EXTRA=maxCnxns=9 skipACL=yes", "ZOO_MY_ID=3", "PATH=/bin",
		`JVMFLAGS=-Xmx1g -Djute.maxbuffer=4194304 -Dzookeeper.extendedTypesEnabled=true -Dother=1`, "ZOO_4LW_COMMANDS_WHITELIST=ruok, mntr"}
	c, warnings, err := load(t, "tickTime=50\nmaxClientCnxns=6\nmaxCnxns=8\ndataDir=/d\nreadonlymode.enabled=true", env, []string{"tickTime=1000"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if c.TickTime != time.Second || c.MinSessionTimeout != 2*time.Second || c.MaxClientCnxns != 7 || c.MaxCnxns != 9 || !c.SkipACL || c.MyID != 3 ||
		c.MaxBuffer != 4<<20 || !c.ExtendedTypes || strings.Join(c.Words, " ") != "ruok mntr isro" {
		t.Errorf("%+v", c)
	}
}

func TestMistakesAreAllNamed(t *testing.T) {
	_, _, err := load(t, "dataDir=/d\ntickTime=fast\nclientPort=70000\nskipACL=maybe\n4lw.commands.whitelist=ruok,status\nminSessionTimeout=-2\npreAllocSize=1\nDigestAuthenticationProvider.superDigest=hunter2", []string{"ZOO_MAX_CLIENT_CNXNS=-1"}, []string{"nonsense", "snapCount=1"})
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{
		`zoo.cfg:2: tickTime is "fast", want 1 to 2147483647`,
		`zoo.cfg:3: clientPort is "70000", want 0 to 65535`,
		`zoo.cfg:4: skipACL is "maybe", want yes or no`,
		`4lw.commands.whitelist is "ruok,status"`,
		`minSessionTimeout is "-2"`,
		`preAllocSize is "1"`,
		`ZOO_MAX_CLIENT_CNXNS: maxClientCnxns is "-1", want 0 to`,
		`--override nonsense: want key=value`,
		`--override: snapCount is "1"`,
		`superDigest is [hidden]`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a secret is shown")
	}
	for file, want := range map[string]string{
		"tickTime=2000": "dataDir is not set",
		"dataDir=\\u12": "line 1",
		"dataDir=/d\nminSessionTimeout=10\nmaxSessionTimeout=5": "above maxSessionTimeout",
	} {
		if _, _, err := load(t, file, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", file, err)
		}
	}
	if _, _, err := Load(Source{File: "/no/such/zoo.cfg"}); err == nil || !strings.Contains(err.Error(), "/no/such/zoo.cfg") {
		t.Errorf("missing file: %v", err)
	}
}

// What narrows who may do what, or how bytes are protected, and is not there refuses the start.
func TestProtectionIsNotDroppedSilently(t *testing.T) {
	for _, line := range []string{
		"secureClientPort=2281", "sslQuorum=true", "client.portUnification=yes", "ssl.crl=true", "ssl.ocsp=yes", "ssl.context.supplier.class=com.example.Own",
		"ssl.clientAuth=maybe", "ssl.keyStore.type=BCFKS", "authProvider.my=com.example.Provider", "enforce.auth.enabled=true",
		"quorum.auth.enableSasl=true", "ensembleAuthName=prod",
		"DigestAuthenticationProvider.digestAlg=SHA3-256", "dynamicConfigFile=/etc/zoo.dyn", "group.1=1:2", "sslQuorum=oops",
		"java.security.auth.login.config=/no/such/file",
	} {
		key, _, _ := strings.Cut(line, "=")
		if _, _, err := load(t, "dataDir=/d\n"+line, nil, nil); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", line, err)
		}
		if _, _, err := load(t, "dataDir=/d", []string{"JVMFLAGS=-Dzookeeper." + line}, nil); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("JVMFLAGS %s: %v", line, err)
		}
	}
	for _, line := range []string{
		"sslQuorum=false", "enforce.auth.enabled=false", "sessionRequireClientSASLAuth=no", "quorum.auth.enableSasl=false",
		"authProvider.1=org.apache.zookeeper.server.auth.DigestAuthenticationProvider", "DigestAuthenticationProvider.digestAlg=SHA1",
		"authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "superUser=kafka", "enforceQuota=true",
	} {
		if _, warnings, err := load(t, "dataDir=/d\n"+line, nil, nil); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", line, err, warnings)
		}
	}
}

// A file that names a port for TLS only opens no other.
func TestOnlyTLS(t *testing.T) {
	const keys = "dataDir=/d\nssl.keyStore.location=/k.pem\n"
	for file, want := range map[string][2]int{
		keys + "secureClientPort=2281":                  {-1, 2281},
		keys + "secureClientPort=2281\nclientPort=2181": {2181, 2281},
		keys + "server.1=h:2888:3888;2182;h:2282":       {2182, 2282},
		"dataDir=/d": {2181, -1},
		keys + "clientPort=1\nclient.portUnification=true\ntickTime=1": {1, -1},
	} {
		c, _, err := load(t, file, nil, nil)
		if err != nil || c.ClientPort != want[0] || c.TLS.Port != want[1] {
			t.Errorf("%q: %+v, %v; want ports %v", file, c, err, want)
		}
	}
}

// The users of SASL come from the file that ZooKeeper takes, wherever it is named.
func TestUsersOfJAASFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jaas.conf")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_super="s" user_kafka="k"; };
ZK { org.apache.zookeeper.server.auth.DigestLoginModule required user_other="o"; };`)
	const provider = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n"
	for name, c := range map[string]struct{ file, env string }{
		"file":       {"java.security.auth.login.config=" + path, ""},
		"JVMFLAGS":   {"", "JVMFLAGS=-Djava.security.auth.login.config=" + path},
		"KAFKA_OPTS": {"", "KAFKA_OPTS=-Djava.security.auth.login.config=" + path},
	} {
		got, _, err := load(t, "dataDir=/d\nsuperUser.1=kafka\nsessionRequireClientSASLAuth=true\n"+provider+c.file, []string{c.env}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p, ok := got.SASL.Password("kafka"); !ok || p != "k" {
			t.Errorf("%s: users %v", name, got.SASL.Users)
		}
		if _, ok := got.SASL.Password("other"); ok || !reflect.DeepEqual(got.SASL.Super, []string{"kafka"}) || !reflect.DeepEqual(got.EnforceAuth, []string{"sasl"}) {
			t.Errorf("%s: %+v, enforced %v", name, got.SASL, got.EnforceAuth)
		}
	}
	got, _, err := load(t, "dataDir=/d\nsasl.serverconfig=ZK\nSASLAuthenticationProvider.superPassword=x\njava.security.auth.login.config="+path, nil, nil)
	if err != nil || len(got.SASL.Users) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"Client {};", "Server { com.sun.security.auth.module.Krb5LoginModule required; };", "Server {"} {
		write(text)
		if _, _, err := load(t, "dataDir=/d\njava.security.auth.login.config="+path, nil, nil); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if _, _, err := load(t, "dataDir=/d\nsessionRequireClientSASLAuth=true\n"+provider, nil, nil); err == nil || !strings.Contains(err.Error(), "no users") {
		t.Errorf("nobody could log in: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := load(t, `dataDir=/d
forceSync=no
colour=blue
ticktime=5
localSessionsEnabled=true
admin.restore.enabled=true
dataDir=/e
audit.enable=true
initLimit=x
commitProcessor.numWorkerThreads=4
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"forceSync=no", "colour is not a key", "did you mean tickTime?", "localSessionsEnabled", "ottla coordinator import", "dataDir was already set in zoo.cfg:1", "audit"} {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("no warning of %q in %q", want, warnings)
		}
	}
	if len(warnings) != 7 {
		t.Errorf("%d warnings: %q", len(warnings), warnings)
	}
}

func TestHTTP(t *testing.T) {
	for lines, want := range map[string][2]bool{
		"":                      {false, false},
		"admin.serverPort=8081": {true, false},
		"admin.serverPort=8081\nadmin.enableServer=false":                                                                      {false, false},
		"admin.enableServer=true\nmetricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider": {true, true},
		"metricsProvider.className=org.apache.zookeeper.metrics.impl.DefaultMetricsProvider\nmetricsProvider.httpPort=7001":    {false, false},
	} {
		c, warnings, err := load(t, "dataDir=/d\n"+lines, nil, nil)
		if err != nil || len(warnings) > 0 || c.HTTP.Admin != want[0] || c.HTTP.Metrics != want[1] {
			t.Errorf("%q: %+v %v %v", lines, c, warnings, err)
		}
	}
	for _, line := range []string{"metricsProvider.className=com.example.Mine", "admin.forceHttps=true", "metricsProvider.httpsPort=7443", "admin.commandURL=commands"} {
		if _, _, err := load(t, "dataDir=/d\n"+line, nil, nil); err == nil {
			t.Errorf("%s was taken", line)
		}
	}
}

func TestServers(t *testing.T) {
	c, _, err := load(t, "dataDir=/d\nserver.1=localhost:2888:3888;[::1]:2190", nil, nil)
	if err != nil || c.Addr() != "[::1]:2190" {
		t.Errorf("%v %v", c, err)
	}
	c, _, err = load(t, "", []string{"ZOO_SERVERS=server.1=zoo1:2888:3888;2185"}, nil)
	if err != nil || c.ClientPort != 2185 {
		t.Errorf("%v %v", c, err)
	}
	for _, src := range []struct{ file, servers string }{
		{"dataDir=/d\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888", ""},
		{"dataDir=/d", "server.1=a:2888:3888;2181 server.2=b:2888:3888;2181 server.3=c:2888:3888;2181"},
		{"dataDir=/d", "a:2888:3888 b:2888:3888 c:2888:3888"},
	} {
		_, _, err = load(t, src.file, []string{"ZOO_SERVERS=" + src.servers}, nil)
		if err == nil || !strings.Contains(err.Error(), "server.1 and 2 more server lines describe an ensemble") {
			t.Errorf("%q %q: %v", src.file, src.servers, err)
		}
	}
}

func TestProperties(t *testing.T) {
	for text, want := range map[string]string{
		"a=b":                        "a=b",
		"  a  =  b c  ":              "a=b c",
		"a:b":                        "a=b",
		"a b":                        "a=b",
		"a":                          "a=",
		"a=":                         "a=",
		"#x\n!y\n\n a=1\r\nb=2":      "a=1 b=2",
		"a=1,\\\n   2,\\\n 3":        "a=1,2,3",
		`a=c:\\dir\tx`:               "a=c:\\dir\tx",
		`a\=b=c`:                     "a=b=c",
		`a=\u00e9\ud83d\ude00\u0041`: "a=é😀A",
		`a=x\`:                       `a=x`,
	} {
		list, err := parseProperties(strings.NewReader(text))
		var got []string
		for _, e := range list {
			got = append(got, e.key+"="+e.value)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`a=\u12`, `a=\uzzzz`, strings.Repeat("x", lineMax+10)} {
		if _, err := parseProperties(strings.NewReader(text)); err == nil {
			t.Errorf("%.10q was taken", text)
		}
	}
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		seen[k.Name] = true
		if k.Doc == "" || k.Type == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: doc %q, type %q", k.Name, k.Doc, k.Type)
		}
		if k.Effect() == "set" && k.Range == "" && k.Type != "string" {
			t.Errorf("%s has no range", k.Name)
		}
	}
	// Every key of the fact sheet's list of what users set is known.
	for _, name := range strings.Fields(`tickTime dataDir dataLogDir clientPort clientPortAddress secureClientPort secureClientPortAddress initLimit
		syncLimit server.1 maxClientCnxns maxCnxns minSessionTimeout maxSessionTimeout autopurge.snapRetainCount autopurge.purgeInterval snapCount
		preAllocSize snapSizeLimitInKb 4lw.commands.whitelist admin.enableServer admin.serverPort admin.serverAddress standaloneEnabled reconfigEnabled
		dynamicConfigFile localSessionsEnabled localSessionsUpgradingEnabled quorumListenOnAllIPs electionAlg leaderServes peerType
		globalOutstandingLimit forceSync fsync.warningthresholdms syncEnabled extendedTypesEnabled skipACL enforceQuota authProvider.1
		requireClientAuthScheme sessionRequireClientSASLAuth enforce.auth.enabled enforce.auth.schemes jaasLoginRenew
		kerberos.removeHostFromPrincipal kerberos.removeRealmFromPrincipal serverCnxnFactory ssl.keyStore.location ssl.clientAuth ssl.quorum.x
		sslQuorum client.portUnification metricsProvider.className metricsProvider.httpPort DigestAuthenticationProvider.superDigest
		znode.container.checkIntervalMs multiAddress.enabled tcpKeepAlive clientTcpKeepAlive snapshot.trust.empty audit.enable`) {
		if lookup(name) == nil {
			t.Errorf("%s is not in the table", name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(sample, "ZOO_SERVERS=server.1=a:1:2;[::1]:3")
	f.Add("dataDir=/d\nserver.1=x;y:z;\n", "ZOO_CFG_EXTRA=a=b c")
	f.Add("a\\\n\\u0041=\\", "JVMFLAGS=-Dzookeeper.ssl.x=1 -Djute.maxbuffer=")
	path := filepath.Join(f.TempDir(), "zoo.cfg")
	f.Fuzz(func(t *testing.T, file, env string) {
		if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(Source{File: path, Env: []string{env}})
		if (err == nil) != (c != nil) {
			t.Fatal("neither a configuration nor an error")
		}
		if err == nil && (c.TickTime <= 0 || c.MinSessionTimeout <= 0 || c.MaxSessionTimeout < c.MinSessionTimeout || c.DataDir == "") {
			t.Fatalf("%+v", c)
		}
	})
}
