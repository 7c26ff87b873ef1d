package server

import (
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"ottla/coord/fsm"
	"ottla/coord/wire"
)

// Kind is the kind of a Metric.
type Kind uint8

// Kinds.
const (
	Gauge Kind = iota
	Counter
	Summary
	Quantiles // a Summary with quantiles
)

// Metric is one of ZooKeeper's. Value is an int64 or float64 of a Gauge or Counter; Summary is that of the other kinds.
type Metric struct {
	Name    string
	Kind    Kind
	Value   any
	Summary Figures
}

// Figures are what a summary knows. For times all of it is in ms.
type Figures struct {
	Count, Sum, Min, Max int64
	Avg                  float64
	P50, P95, P99, P999  int64
}

// Times makes Figures of durations; the quantiles stay 0.
func Times(count int64, sum, least, most time.Duration) Figures {
	f := Figures{Count: count, Sum: sum.Milliseconds(), Min: least.Milliseconds(), Max: most.Milliseconds()}
	if count > 0 {
		f.Avg = float64(sum) / float64(time.Millisecond) / float64(count)
	}
	return f
}

//go:embed metrics.txt
var metricsText string

// metricNames are the metrics in their order.
var metricNames = sync.OnceValue(func() (list []Metric) {
	kinds := map[string]Kind{"gauge": Gauge, "counter": Counter, "summary": Summary, "quantiles": Quantiles}
	for l := range strings.Lines(metricsText) {
		if kind, name, ok := strings.Cut(strings.TrimSpace(l), " "); ok && kind != "#" {
			list = append(list, Metric{Name: name, Kind: kinds[kind]})
		}
	}
	return list
})

// Metrics are all metrics of ZooKeeper 3.9 in the order of mntr. Those of things that this server does not have (a request cache, followers, a
// throttle, stages of another pipeline) are zero, because monitoring asks for them.
func (s *Server) Metrics() []Metric {
	values, summaries := s.values()
	list := append([]Metric(nil), metricNames()...)
	for i := range list {
		m := &list[i]
		if m.Kind >= Summary {
			m.Summary = summaries[m.Name]
			continue
		}
		if m.Value = values[m.Name]; m.Value == nil {
			m.Value = int64(0)
		}
	}
	return list
}

func (s *Server) values() (map[string]any, map[string]Figures) {
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
	values := map[string]any{
		"ephemerals_count": int64(ephemerals), "num_alive_connections": int64(s.numConns()), "avg_latency": all.avg,
		"outstanding_requests": s.outstanding.Load(), "znode_count": int64(nodes), "global_sessions": int64(sessions),
		"last_client_response_size": st.lastSize.Load(), "packets_sent": st.sent.Load(), "packets_received": st.received.Load(),
		"max_client_response_size": st.maxSize.Load(), "connection_drop_probability": float64(0), "watch_count": int64(watches),
		"auth_failed_count": st.authFailed.Load(), "min_latency": all.min, "max_file_descriptor_count": int64(limit),
		"approximate_data_size": data, "open_file_descriptor_count": int64(open), "uptime": s.since().Milliseconds(), "max_latency": all.max,
		"min_client_response_size": minSize, "connection_rejected": st.rejected.Load(), "sessionless_connections_expired": st.sessionless.Load(),
		"connection_drop_count": st.dropped.Load(), "bytes_received_count": st.bytesIn.Load(), "response_bytes": st.bytesOut.Load(),
		"connection_revalidate_count": st.revalidated.Load(), "large_requests_rejected": st.largeRejected.Load(),
		"connection_request_count": st.connects.Load(), "stale_sessions_expired": st.expired.Load(),
		"prep_processor_request_queued": updates.count, "sync_processor_request_queued": updates.count,
	}
	summaries := map[string]Figures{"readlatency": reads.figures(), "updatelatency": updates.figures()}
	for name, event := range map[string]int32{
		"node_created_watch_count": wire.EventNodeCreated, "node_deleted_watch_count": wire.EventNodeDeleted,
		"node_changed_watch_count": wire.EventNodeDataChanged, "node_children_watch_count": wire.EventNodeChildrenChanged,
	} {
		n := int64(fired[event])
		f := Figures{Count: n, Sum: n}
		if n > 0 {
			f.Avg, f.Min, f.Max, f.P50, f.P95, f.P99, f.P999 = 1, 1, 1, 1, 1, 1, 1
		}
		summaries[name] = f
	}
	if s.cfg.Figures != nil {
		s.cfg.Figures(values, summaries)
	}
	return values, summaries
}

func (s *summary) figures() Figures {
	return Figures{Count: s.count, Sum: s.sum.Milliseconds(), Min: s.min, Max: s.max, Avg: s.avg, P50: s.p50, P95: s.p95, P99: s.p99, P999: s.p999}
}

// Each calls f with the names and values of a metric as mntr has them.
func (m *Metric) Each(f func(name string, value any)) {
	if m.Kind < Summary {
		f(m.Name, m.Value)
		return
	}
	s := &m.Summary
	f("avg_"+m.Name, s.Avg)
	f("min_"+m.Name, s.Min)
	f("max_"+m.Name, s.Max)
	f("cnt_"+m.Name, s.Count)
	f("sum_"+m.Name, s.Sum)
	if m.Kind == Quantiles {
		f("p50_"+m.Name, s.P50)
		f("p95_"+m.Name, s.P95)
		f("p99_"+m.Name, s.P99)
		f("p999_"+m.Name, s.P999)
	}
}

// writeMonitor is mntr.
func (s *Server) writeMonitor(w io.Writer) {
	fmt.Fprintf(w, "zk_version\t%s\nzk_server_state\t%s\n", s.Version(), s.cfg.Mode())
	for _, m := range s.Metrics() {
		m.Each(func(name string, value any) {
			if v, ok := value.(float64); ok {
				value = Decimal(v)
			}
			fmt.Fprintf(w, "zk_%s\t%v\n", name, value)
		})
	}
}

// Version is what tools take for ZooKeeper's.
func (s *Server) Version() string { return s.cfg.Version + versionBuilt }

// Decimal prints as Java prints a double that was rounded to four places.
func Decimal(v float64) string {
	s := strconv.FormatFloat(v, 'f', 4, 64)
	s = strings.TrimRight(s, "0")
	if strings.HasSuffix(s, ".") {
		s += "0"
	}
	return s
}
