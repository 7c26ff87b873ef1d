package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ottla/coord/server"
)

// object is a JSON object whose keys keep their order.
type object []field

type field struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if v, ok := f.value.(float64); ok { // as Java writes one, so that a reader sees the type that it expects
			f.value = json.RawMessage(server.Decimal(v))
		}
		v, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", f.key, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// command is one of the AdminServer's. The first name is the one that it answers with.
type command struct {
	names []string
	run   func(s *Server, r *http.Request) (object, string)
}

var commands = []command{
	{[]string{"configuration", "conf", "config"}, configuration},
	{[]string{"connections", "cons"}, connections},
	{[]string{"observers", "obsr"}, plain(func(*Server) object { return object{{"synced_observers", 0}, {"observers", []int{}}} })},
	{[]string{"observer_connection_stat_reset", "orst"}, plain(func(*Server) object { return nil })},
	{[]string{"connection_stat_reset", "crst"}, plain(func(s *Server) object { s.o.Server.ResetConnections(); return nil })},
	{[]string{"dirs"}, plain(func(s *Server) object {
		data, log := s.o.Server.Dirs()
		return object{{"datadir_size", data}, {"logdir_size", log}}
	})},
	{[]string{"dump"}, plain(dump)},
	{[]string{"environment", "env", "envi"}, plain(environment)},
	{[]string{"get_trace_mask", "gtmk"}, plain(func(s *Server) object { return object{{"tracemask", s.o.Server.TraceMask()}} })},
	{[]string{"initial_configuration", "icfg"}, plain(func(s *Server) object {
		return object{{"initial_configuration", strings.Join(s.o.Config, "\n") + "\n"}}
	})},
	{[]string{"is_read_only", "isro"}, plain(func(*Server) object { return object{{"read_only", false}} })},
	{[]string{"last_snapshot", "lsnp"}, plain(func(s *Server) object {
		zxid, at := s.o.LastSnapshot()
		return object{{"zxid", strconv.FormatUint(uint64(zxid), 16)}, {"timestamp", at.Unix()}}
	})},
	{[]string{"leader", "lead"}, func(*Server, *http.Request) (object, string) { return nil, "server is not initialized" }},
	{[]string{"monitor", "mntr"}, plain(monitor)},
	{[]string{"ruok"}, plain(func(*Server) object { return nil })},
	{[]string{"set_trace_mask", "stmk"}, setTraceMask},
	{[]string{"server_stats", "srvr"}, plain(serverStats)},
	{[]string{"stats", "stat"}, plain(stats)},
	{[]string{"stat_reset", "srst"}, plain(func(s *Server) object { s.o.Server.ResetStats(); return nil })},
	{[]string{"system_properties", "sysp"}, plain(environment)},
	{[]string{"voting_view"}, plain(func(*Server) object { return object{{"current_config", object{}}} })},
	{[]string{"watches", "wchc"}, plain(func(s *Server) object { return object{{"session_id_to_watched_paths", s.o.Server.Watches()}} })},
	{[]string{"watches_by_path", "wchp"}, plain(watchesByPath)},
	{[]string{"watch_summary", "wchs"}, plain(func(s *Server) object {
		conns, paths, total := s.o.Server.WatchSummary()
		return object{{"num_connections", conns}, {"num_paths", paths}, {"num_total_watches", total}}
	})},
	{[]string{"zabstate"}, plain(func(*Server) object { return object{{"voting", false}, {"zabstate", ""}} })},
	{[]string{"hash"}, plain(func(*Server) object { return object{{"digests", []int{}}} })},
	{[]string{"snapshot", "snap"}, nil}, // answers by itself
}

func plain(f func(s *Server) object) func(*Server, *http.Request) (object, string) {
	return func(s *Server, _ *http.Request) (object, string) { return f(s), "" }
}

func lookup(name string) *command {
	for i := range commands {
		for _, n := range commands[i].names {
			if n == name {
				return &commands[i]
			}
		}
	}
	return nil
}

// index lists the commands.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	for _, c := range commands {
		fmt.Fprintf(w, "<a href=\"%s/%s\">%s</a>\n<br/>\n", s.o.CommandURL, c.names[0], c.names[0])
	}
}

func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name == "" {
		s.index(w, r)
		return
	}
	c := lookup(name)
	switch {
	case c == nil:
		answer(w, http.StatusOK, name, nil, "Unknown command: "+name)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		answer(w, http.StatusMethodNotAllowed, c.names[0], nil, "use GET")
	case c.run == nil:
		s.sendSnapshot(w, r)
	default:
		fields, text := c.run(s, r)
		answer(w, http.StatusOK, c.names[0], fields, text)
	}
}

// answer writes the JSON of a command; error "" is null.
func answer(w http.ResponseWriter, status int, name string, fields object, text string) {
	var problem any
	if text != "" {
		problem = text
	}
	b, err := json.MarshalIndent(append(fields, field{"command", name}, field{"error", problem}), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

func configuration(s *Server, _ *http.Request) (object, string) {
	c := s.o.Server.Settings()
	return object{
		{"client_port", c.Conf.ClientPort}, {"data_dir", c.Conf.DataDir}, {"data_log_dir", c.Conf.DataLogDir}, {"tick_time", c.TickTime.Milliseconds()},
		{"max_client_cnxns", c.MaxClientCnxns}, {"min_session_timeout", c.MinSessionTimeout.Milliseconds()},
		{"max_session_timeout", c.MaxSessionTimeout.Milliseconds()}, {"server_id", c.Conf.ServerID}, {"client_port_listen_backlog", c.Conf.ListenBacklog},
	}, ""
}

func connections(s *Server, _ *http.Request) (object, string) { return connectionLists(s), "" }

// connectionLists are the plain connections and those with TLS.
func connectionLists(s *Server) object {
	lists := [2][]object{{}, {}}
	for _, c := range s.o.Server.Connections() {
		o := object{
			{"remote_socket_address", c.Remote}, {"interest_ops", c.InterestOps}, {"outstanding_requests", c.Outstanding},
			{"packets_received", c.Received}, {"packets_sent", c.Sent},
		}
		if c.Session != 0 {
			o = append(o, field{"session_id", c.Session}, field{"last_operation", c.LastOperation}, field{"established", date(c.Established)},
				field{"session_timeout", c.Timeout}, field{"last_cxid", c.LastCxid}, field{"last_zxid", c.LastZxid},
				field{"last_response_time", c.LastResponse}, field{"last_latency", c.LastLatency}, field{"min_latency", c.MinLatency},
				field{"avg_latency", c.AvgLatency}, field{"max_latency", c.MaxLat})
		}
		i := 0
		if c.Secure {
			i = 1
		}
		lists[i] = append(lists[i], o)
	}
	return object{{"connections", lists[0]}, {"secure_connections", lists[1]}}
}

// date is as Jackson writes one.
func date(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func dump(s *Server) object {
	return object{{"expiry_time_to_session_ids", s.o.Server.Expiry()}, {"session_id_to_ephemeral_paths", s.o.Server.Ephemerals()}}
}

func environment(s *Server) object {
	var o object
	for _, kv := range s.o.Server.Environment() {
		o = append(o, field{kv[0], kv[1]})
	}
	return o
}

func monitor(s *Server) object {
	o := object{{"version", s.o.Server.Version()}, {"server_state", s.o.Server.Mode()}}
	for _, m := range s.o.Server.Metrics() {
		m.Each(func(name string, value any) { o = append(o, field{name, value}) })
	}
	return o
}

func setTraceMask(s *Server, r *http.Request) (object, string) {
	mask, err := strconv.ParseInt(r.URL.Query().Get("traceMask"), 10, 64)
	if err != nil {
		return nil, "setTraceMask requires long traceMask argument"
	}
	s.o.Server.SetTraceMask(mask)
	return object{{"tracemask", mask}}, ""
}

func serverStats(s *Server) object {
	v := map[string]any{}
	for _, m := range s.o.Server.Metrics() {
		if m.Kind < server.Summary {
			v[m.Name] = m.Value
		}
	}
	data, log := s.o.Server.Dirs()
	if v["max_client_response_size"] == int64(0) { // nothing was answered yet
		for _, k := range []string{"last", "min", "max"} {
			v[k+"_client_response_size"] = int64(-1)
		}
	}
	response := object{{"last_buffer_size", v["last_client_response_size"]}, {"min_buffer_size", v["min_client_response_size"]}, {"max_buffer_size", v["max_client_response_size"]}}
	return object{
		{"version", s.o.Server.Version()}, {"read_only", false},
		{"server_stats", object{
			{"packets_sent", v["packets_sent"]}, {"packets_received", v["packets_received"]}, {"max_latency", v["max_latency"]}, {"min_latency", v["min_latency"]},
			{"fsync_threshold_exceed_count", 0}, {"client_response_stats", response}, {"auth_failed_count", v["auth_failed_count"]},
			{"non_mtlsremote_conn_count", 0}, {"non_mtlslocal_conn_count", 0}, {"last_processed_zxid", s.o.Server.Zxid()}, {"server_state", s.o.Server.Mode()},
			{"provider_null", false}, {"avg_latency", v["avg_latency"]}, {"log_dir_size", log}, {"data_dir_size", data},
			{"outstanding_requests", v["outstanding_requests"]}, {"num_alive_client_connections", v["num_alive_connections"]}, {"uptime", v["uptime"]},
		}},
		{"client_response", response}, {"node_count", s.o.Server.Nodes()},
	}
}

func stats(s *Server) object { return append(serverStats(s), connectionLists(s)...) }

func watchesByPath(s *Server) object {
	paths := map[string][]int64{}
	for id, list := range s.o.Server.Watches() {
		for _, p := range list {
			paths[p] = append(paths[p], id)
		}
	}
	return object{{"path_to_session_ids", paths}}
}
