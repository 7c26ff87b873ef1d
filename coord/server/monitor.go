package server

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"ottla/coord/fsm"
	"ottla/coord/wire"
)

// decimal prints as Java prints a double that was rounded to four places.
func decimal(v float64) string {
	s := strconv.FormatFloat(v, 'f', 4, 64)
	s = strings.TrimRight(s, "0")
	if strings.HasSuffix(s, ".") {
		s += "0"
	}
	return s
}

// writeMonitor is mntr: ZooKeeper's keys in its order. Counters of things that this server does not have (a request cache, followers, a
// throttle) are there as zeros, because monitoring asks for them.
func (s *Server) writeMonitor(w io.Writer) {
	put := func(key string, value any) { fmt.Fprintf(w, "zk_%s\t%v\n", key, value) }
	zeros := func(keys ...string) {
		for _, k := range keys {
			put(k, 0)
		}
	}
	var nodes, ephemerals, sessions int
	var data int64
	s.state.View(func(m *fsm.Machine) {
		nodes, ephemerals, sessions, data = nodeCount(m), m.Tree().Ephemerals(), m.Sessions(), m.Tree().DataBytes()
	})
	_, _, watches, fired := s.state.WatchCounts()
	reads, updates := s.stats.reads.summary(), s.stats.updates.summary()
	all := merge(reads, updates)
	st := &s.stats
	minSize := st.minSize.Load()
	if st.maxSize.Load() == 0 {
		minSize = 0
	}
	open, limit := descriptors()

	put("version", s.cfg.Version+versionBuilt)
	put("server_state", s.cfg.Mode())
	put("ephemerals_count", ephemerals)
	put("num_alive_connections", s.numConns())
	put("avg_latency", decimal(all.avg))
	put("outstanding_requests", s.outstanding.Load())
	put("znode_count", nodes)
	put("global_sessions", sessions)
	put("non_mtls_remote_conn_count", 0)
	put("last_client_response_size", st.lastSize.Load())
	put("packets_sent", st.sent.Load())
	put("packets_received", st.received.Load())
	put("max_client_response_size", st.maxSize.Load())
	put("connection_drop_probability", "0.0")
	put("watch_count", watches)
	put("auth_failed_count", st.authFailed.Load())
	put("min_latency", all.min)
	put("max_file_descriptor_count", limit)
	put("approximate_data_size", data)
	put("open_file_descriptor_count", open)
	put("local_sessions", 0)
	put("uptime", s.since().Milliseconds())
	put("max_latency", all.max)
	put("outstanding_tls_handshake", 0)
	put("min_client_response_size", minSize)
	put("non_mtls_local_conn_count", 0)
	zeros("watch_bytes", "stale_requests_dropped", "throttled_ops", "insecure_admin_count")
	put("connection_rejected", st.rejected.Load())
	put("sessionless_connections_expired", st.sessionless.Load())
	zeros("dead_watchers_queued", "stale_requests")
	put("connection_drop_count", st.dropped.Load())
	put("response_packet_cache_hits", 0)
	put("bytes_received_count", st.bytesIn.Load())
	zeros("add_dead_watcher_stall_time", "request_throttle_wait_count", "requests_not_forwarded_to_commit_processor",
		"response_packet_cache_misses", "prep_processor_request_queued", "stale_replies")
	put("response_bytes", st.bytesOut.Load())
	zeros("ensemble_auth_fail", "diff_count")
	put("connection_revalidate_count", st.revalidated.Load())
	zeros("quit_leading_due_to_disloyal_voter", "unrecoverable_error_count", "unsuccessful_handshake", "commit_count",
		"outstanding_changes_queued", "request_commit_queued", "ensemble_auth_skip", "skip_learner_request_to_next_processor_count",
		"proposal_count")
	put("large_requests_rejected", st.tooLarge.Load())
	zeros("outstanding_changes_removed", "restore_error_count", "cnxn_closed_without_zk_server_running", "looking_count",
		"snapshot_rate_limited_count", "learner_proposal_received_count", "digest_mismatches_count", "dead_watchers_cleared",
		"ensemble_auth_success", "learner_commit_received_count", "snapshot_error_count")
	put("connection_request_count", st.connects.Load())
	zeros("response_packet_get_children_cache_misses", "snap_count")
	put("stale_sessions_expired", st.expired.Load())
	zeros("restore_rate_limited_count", "response_packet_get_children_cache_hits", "sync_processor_request_queued",
		"tls_handshake_exceeded", "revalidate_count")
	put("sum_node_created_watch_count", fired[wire.EventNodeCreated])
	put("sum_node_deleted_watch_count", fired[wire.EventNodeDeleted])
	put("sum_node_changed_watch_count", fired[wire.EventNodeDataChanged])
	put("sum_node_children_watch_count", fired[wire.EventNodeChildrenChanged])
	writeSummary(put, "updatelatency", &updates)
	writeSummary(put, "readlatency", &reads)
}

func writeSummary(put func(string, any), name string, s *summary) {
	put("avg_"+name, decimal(s.avg))
	put("min_"+name, s.min)
	put("max_"+name, s.max)
	put("cnt_"+name, s.count)
	put("sum_"+name, s.sum.Milliseconds())
	put("p50_"+name, s.p50)
	put("p95_"+name, s.p95)
	put("p99_"+name, s.p99)
	put("p999_"+name, s.p999)
}
