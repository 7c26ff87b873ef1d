package conformance

import (
	_ "embed"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"ottla/coord/wire"
)

// mntrKeys are the keys of ZooKeeper 3.9.4.
//
//go:embed mntr.txt
var mntrKeys string

var wordChecks = []check{
	{name: "ruok", run: ruok},
	{name: "srvr", run: srvr},
	{name: "go-zookeeper's parser", run: goParser},
	{name: "stat", run: statWord},
	{name: "mntr", run: mntr},
	{name: "conf", run: conf},
	{name: "isro", run: isro},
	{name: "cons", run: cons},
	{name: "dump", run: dumpWord},
	{name: "envi", run: envi},
	{name: "watches", run: watchWords},
	{name: "small words", run: smallWords},
	{name: "in pieces", run: wordInPieces},
	{name: "no word", run: noWord},
}

// word sends bytes and reads everything up to the end.
func word(e *Env, parts ...string) string {
	e.Helper()
	nc, err := net.Dial("tcp", e.Addr)
	if err != nil {
		e.Fatal(err)
	}
	defer nc.Close()
	for _, p := range parts {
		if _, err := nc.Write([]byte(p)); err != nil {
			e.Fatal(err)
		}
	}
	nc.(*net.TCPConn).CloseWrite()
	nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(nc)
	if err != nil {
		e.Fatalf("%q: %v", parts, err)
	}
	return string(b)
}

func ruok(e *Env) {
	for _, s := range []string{"ruok", "ruok\n", "ruok\r\n"} {
		if got := word(e, s); got != "imok" {
			e.Errorf("%q: %q", s, got)
		}
	}
}

const srvrLines = `Latency min/avg/max: \d+/\d+\.\d+/\d+
Received: \d+
Sent: \d+
Connections: \d+
Outstanding: \d+
Zxid: 0x[0-9a-f]+
Mode: standalone
Node count: \d+
$`

func wantMatch(e *Env, got, pattern string) {
	e.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		e.Errorf("got\n%s\nwant a match of\n%s", got, pattern)
	}
}

func srvr(e *Env) {
	wantMatch(e, word(e, "srvr\n"), `^Zookeeper version: 3\.9\.[^,\n]+, built on [^\n]+ UTC\n`+srvrLines)
}

func goParser(e *Env) {
	if !strings.Contains(word(e, "srvr"), "/2025 ") {
		e.Skip("the parser wants dates as ZooKeeper printed them before 3.8")
	}
	stats, ok := zk.FLWSrvr([]string{e.Addr}, patience)
	if !ok || stats[0].Error != nil || stats[0].Mode != zk.ModeStandalone || stats[0].NodeCount < 5 {
		e.Errorf("%+v", stats[0])
	}
	if got := zk.FLWRuok([]string{e.Addr}, patience); !got[0] {
		e.Error("not ok")
	}
}

func statWord(e *Env) {
	c := e.Client()
	got := word(e, "stat")
	wantMatch(e, got, `^Zookeeper version: [^\n]+\nClients:\n( /[0-9.]+:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+\)\n)+\n`+srvrLines)
	if !strings.Contains(got, " /"+c.Conn.LocalAddr().String()+"[") {
		e.Errorf("our connection is missing in\n%s", got)
	}
}

func mntr(e *Env) {
	got := word(e, "mntr")
	wantMatch(e, got, `^zk_version\t3\.9\.[^\n]+\nzk_server_state\tstandalone\n`)
	wantMatch(e, got, `^(zk_[^\t\n]+\t[^\n]*\n)+$`)
	var keys []string
	for l := range strings.Lines(got) {
		key, _, _ := strings.Cut(l, "\t")
		if !strings.HasSuffix(key, "_per_namespace") {
			keys = append(keys, strings.TrimPrefix(key, "zk_"))
		}
	}
	if want := strings.Fields(mntrKeys); !slices.Equal(slices.Sorted(slices.Values(keys)), slices.Sorted(slices.Values(want))) {
		e.Errorf("keys %v, want %v", keys, want)
	}
	for _, key := range strings.Fields(`avg_latency max_latency min_latency packets_received packets_sent num_alive_connections outstanding_requests
		znode_count watch_count ephemerals_count approximate_data_size open_file_descriptor_count max_file_descriptor_count global_sessions
		local_sessions uptime connection_drop_probability connection_rejected stale_sessions_expired connection_request_count
		p99_updatelatency avg_readlatency`) {
		if !strings.Contains(got, "\nzk_"+key+"\t") {
			e.Errorf("no zk_%s", key)
		}
	}
}

func cons(e *Env) {
	c := e.Client()
	c.Create("/cons", "x", 0)
	got := word(e, "cons")
	wantMatch(e, got, `^( /[0-9.]+:\d+\[\d+\]\([^\n]+\)\n)+\n\n?$`)
	line := regexp.MustCompile(`(?m)^ /` + regexp.QuoteMeta(c.Conn.LocalAddr().String()) + `.*$`).FindString(got)
	wantMatch(e, line, `\[[0-9a-f]+\]\(queued=0,recved=\d+,sent=\d+,sid=0x[0-9a-f]+,lop=CREA,est=\d{13},to=\d+,lcxid=0x[0-9a-f]+,lzxid=0x[0-9a-f]+,`+
		`lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)$`)
}

func dumpWord(e *Env) {
	c := e.Client()
	c.Create("/dump-e", "x", wire.FlagEphemeral)
	date := `[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [A-Z0-9+:-]+ \d{4}`
	got := word(e, "dump")
	wantMatch(e, got, `^SessionTracker dump:
Session Sets \(\d+\)/\(\d+\):
(\d+ expire at `+date+`:
(\t0x[0-9a-f]+\n)*)+ephemeral nodes dump:
Sessions with Ephemerals \(\d+\):
(0x[0-9a-f]+:\n(\t/[^\n]+\n)+)+Connections dump:
Connections Sets \(\d+\)/\(\d+\):
(\d+ expire at `+date+`:
(\tip: /[0-9.]+:\d+ sessionId: 0x[0-9a-f]+\n)*)+$`)
	if !strings.Contains(got, "\t/dump-e\n") {
		e.Errorf("the ephemeral node is missing in\n%s", got)
	}
}

func envi(e *Env) {
	wantMatch(e, word(e, "envi"), `^Environment:
zookeeper\.version=3\.9\.[^\n]+
host\.name=[^\n]*
java\.version=[^\n]*
java\.vendor=[^\n]*
java\.home=[^\n]*
java\.class\.path=[^\n]*
java\.library\.path=[^\n]*
java\.io\.tmpdir=[^\n]*
java\.compiler=[^\n]*
os\.name=[^\n]*
os\.arch=[^\n]*
os\.version=[^\n]*
user\.name=[^\n]*
user\.home=[^\n]*
user\.dir=[^\n]*
([a-z.]+=[^\n]*\n)+$`)
}

func watchWords(e *Env) {
	c := e.Client()
	c.Create("/watched-w", "x", 0)
	c.OK(wire.OpGetData, PathFlag("/watched-w", true))
	c.OK(wire.OpGetChildren, PathFlag("/watched-w", true))
	wantMatch(e, word(e, "wchs"), `^\d+ connections watching \d+ paths\nTotal watches:\d+\n$`)
	wantMatch(e, word(e, "wchc"), `(?m)^0x[0-9a-f]+\n(\t[^\n]*\n)*\t/watched-w\n`)
	wantMatch(e, word(e, "wchp"), `(?m)^/watched-w\n\t0x[0-9a-f]+\n`)
}

func smallWords(e *Env) {
	wantMatch(e, word(e, "dirs"), `^datadir_size: \d+\nlogdir_size: \d+\n$`)
	wantMatch(e, word(e, "gtmk"), `^\d+$`)
	mask := word(e, "gtmk")
	if got := word(e, "stmk\x00\x00\x00\x00\x00\x00\x01\x32"); got != "306" {
		e.Errorf("stmk %q, before %q", got, mask)
	}
	wantMatch(e, word(e, "hash"), `^([0-9a-f]+: [^\n]*\n)*$`)
	if got := word(e, "crst"); got != "Connection stats reset.\n" {
		e.Errorf("%q", got)
	}
	if got := word(e, "srst"); got != "Server stats reset.\n" {
		e.Errorf("%q", got)
	}
}

func conf(e *Env) {
	wantMatch(e, word(e, "conf"), `^clientPort=\d+
secureClientPort=-1
dataDir=.*
dataDirSize=\d+
dataLogDir=.*
dataLogSize=\d+
tickTime=2000
maxClientCnxns=0
minSessionTimeout=4000
maxSessionTimeout=40000
clientPortListenBacklog=-?\d+
serverId=\d+
$`)
}

func isro(e *Env) {
	if got := word(e, "isro"); got != "rw" {
		e.Errorf("%q", got)
	}
}

func wordInPieces(e *Env) {
	if got := word(e, "ru", "ok"); got != "imok" {
		e.Errorf("%q", got)
	}
}

func noWord(e *Env) {
	for _, s := range []string{"quit", "RUOK", "\xff\xf4\xff\xfd"} {
		if got := word(e, s); got != "" {
			e.Errorf("%q: %q", s, got)
		}
	}
}
