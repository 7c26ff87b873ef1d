package coord_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ottla/coord"
	"ottla/coord/coordtest"
	"ottla/coord/zkdata"
)

func fetch(t *testing.T, url, auth string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	must(t, err)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, b
}

func withHTTP(o *coord.Options) {
	h := &o.Config.HTTP
	h.Admin, h.AdminPort, h.AdminAddress, h.Metrics, h.MetricsPort, h.MetricsAddress = true, 0, "127.0.0.1", true, 0, "localhost"
	o.Config.SuperDigest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=" // super:test
}

// The keys are those of ZooKeeper 3.9.4's answers.
func TestCommands(t *testing.T) {
	s := coordtest.Start(t, withHTTP)
	c := dial(t, s.Address())
	must(t, c.connect())
	must(t, c.create("/a", []byte("x"), 0))
	must(t, c.create("/e", []byte("x"), 1))
	if _, err := c.get("/a", true); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	base := "http://" + s.CommandsAddr().String() + "/commands"
	ask := func(name string) map[string]any {
		resp, b := fetch(t, base+"/"+name, "")
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			t.Fatalf("%s: %v, %s\n%s", name, err, resp.Status, b)
		}
		return m
	}
	for name, keys := range map[string]string{
		"ruok":                  "",
		"conf":                  "client_port data_dir data_log_dir tick_time max_client_cnxns min_session_timeout max_session_timeout server_id client_port_listen_backlog",
		"cons":                  "connections secure_connections",
		"dirs":                  "datadir_size logdir_size",
		"dump":                  "expiry_time_to_session_ids session_id_to_ephemeral_paths",
		"gtmk":                  "tracemask",
		"stmk?traceMask=306":    "tracemask",
		"icfg":                  "initial_configuration",
		"isro":                  "read_only",
		"lsnp":                  "zxid timestamp",
		"srvr":                  "version read_only server_stats client_response node_count",
		"stat":                  "version read_only server_stats client_response node_count connections secure_connections",
		"watches":               "session_id_to_watched_paths",
		"wchp":                  "path_to_session_ids",
		"wchs":                  "num_connections num_paths num_total_watches",
		"voting_view":           "current_config",
		"zabstate":              "voting zabstate",
		"obsr":                  "synced_observers observers",
		"connection_stat_reset": "",
		"stat_reset":            "",
	} {
		m := ask(name)
		want := append(strings.Fields(keys), "command", "error")
		var got []string
		for k := range m {
			got = append(got, k)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || m["error"] != nil {
			t.Errorf("%s has %v, want %v; error %v", name, got, want, m["error"])
		}
	}
	if m := ask("mntr"); m["znode_count"] != 7.0 || m["server_state"] != "standalone" || len(m) < 400 || m["cnt_fsynctime"].(float64) < 3 {
		t.Errorf("monitor: %d keys, %v", len(m), m)
	}
	if m := ask("nonsense"); m["error"] != "Unknown command: nonsense" {
		t.Errorf("%v", m)
	}
	if m := ask("wchs"); m["num_total_watches"] != 1.0 {
		t.Errorf("%v", m)
	}
	if _, b := fetch(t, base, ""); !strings.Contains(string(b), `<a href="/commands/ruok">ruok</a>`) {
		t.Errorf("%s", b)
	}
	_, b := fetch(t, "http://"+s.MetricsAddr().String()+"/metrics", "")
	for _, line := range []string{"\nznode_count 7\n", "# TYPE connection_request_count counter\n", "\nfsynctime_count ", "\nupdatelatency{quantile=\"0.99\"} ", "\ngo_goroutines ", "\nprocess_resident_memory_bytes "} {
		if !strings.Contains("\n"+string(b), line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
}

func TestSnapshotOverHTTP(t *testing.T) {
	s := coordtest.Start(t, withHTTP)
	c := dial(t, s.Address())
	must(t, c.connect())
	must(t, c.create("/a", []byte("x"), 0))
	must(t, c.create("/e", []byte("x"), 1))
	defer c.close()
	url := "http://" + s.CommandsAddr().String() + "/commands/snapshot"
	if resp, _ := fetch(t, url, ""); resp.StatusCode != http.StatusUnauthorized {
		t.Error(resp.Status)
	}
	if resp, _ := fetch(t, url, "sasl x"); resp.StatusCode != http.StatusUnauthorized {
		t.Error(resp.Status)
	}
	resp, b := fetch(t, url, "digest super:test")
	if resp.StatusCode != 200 || resp.Header.Get("snapshot_size") != fmt.Sprint(len(b)) || resp.Header.Get("last_zxid") != fmt.Sprintf("%#x", c.zxid) {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	db, err := zkdata.ReadSnapshot(bytes.NewReader(b))
	must(t, err)
	if db.Zxid != c.zxid || string(db.Nodes["/a"].Data) != "x" || db.Nodes["/e"].Owner != c.id || db.Sessions[c.id] == 0 {
		t.Errorf("%+v", db)
	}
	if resp, _ := fetch(t, url, "digest super:test"); resp.StatusCode != http.StatusTooManyRequests {
		t.Error(resp.Status)
	}
}

// A port that is taken is no reason not to serve.
func TestTakenAdminPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()

	s := coordtest.Start(t, withHTTP, func(o *coord.Options) { o.Config.HTTP.AdminPort = l.Addr().(*net.TCPAddr).Port })
	c := dial(t, s.Address())
	must(t, c.connect())
	c.close()
	if s.CommandsAddr() != nil || s.MetricsAddr() == nil {
		t.Errorf("commands at %v, metrics at %v", s.CommandsAddr(), s.MetricsAddr())
	}
}
