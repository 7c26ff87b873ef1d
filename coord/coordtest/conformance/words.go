package conformance

import (
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

var wordChecks = []check{
	{name: "ruok", run: ruok},
	{name: "srvr", run: srvr},
	{name: "go-zookeeper's parser", run: goParser},
	{name: "stat", run: statWord},
	{name: "mntr", run: mntr},
	{name: "conf", run: conf},
	{name: "isro", run: isro},
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
	for _, key := range strings.Fields(`avg_latency max_latency min_latency packets_received packets_sent num_alive_connections outstanding_requests
		znode_count watch_count ephemerals_count approximate_data_size open_file_descriptor_count max_file_descriptor_count global_sessions
		local_sessions uptime connection_drop_probability connection_rejected stale_sessions_expired connection_request_count
		p99_updatelatency avg_readlatency`) {
		if !strings.Contains(got, "\nzk_"+key+"\t") {
			e.Errorf("no zk_%s", key)
		}
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
