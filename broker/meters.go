package broker

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/controller/planner"
	"ottla/broker/metrics"
)

// state is Kafka's BrokerState.
type state int32

const (
	notRunning                state = 0
	starting                  state = 1
	recovering                state = 2
	running                   state = 3
	pendingControlledShutdown state = 6
	shuttingDown              state = 7
)

// meters are what is measured while things happen; what can be asked for when somebody wants to know is in collect.go.
type meters struct {
	requests *metrics.Requests
	flushes  *metrics.Histograms // µs
	zk       *metrics.Histograms // µs
	queue    *metrics.Histograms // of the controller's events, µs
	events   map[string]*metrics.Histograms
	born     time.Time
	state    atomic.Int32
	ready    atomic.Bool
}

// eventMetrics are the names of Kafka's ControllerStats, by the planner's events. What we have no event for has no values.
var eventMetrics = []string{
	"autoleaderbalance", "controlledshutdown", "controllerchange", "controllershutdown", "isrchange", "leaderandisrresponsereceived", "leaderelection",
	"listpartitionreassignment", "logdirchange", "manualleaderbalance", "partitionreassignment", "topicchange", "topicdeletion",
	"topicuncleanleaderelectionenable", "uncleanleaderelectionenable", "updatefeatures",
}

func eventMetric(ev planner.Event) string {
	switch ev := ev.(type) {
	case planner.Loaded:
		return "controllerchange"
	case planner.BrokersChanged:
		return "leaderelection"
	case planner.TopicsChanged, planner.TopicChanged:
		return "topicchange"
	case planner.DeletionRequested, planner.ReplicasStopped:
		return "topicdeletion"
	case planner.ReplicasStarted:
		return "leaderandisrresponsereceived"
	case planner.LogDirsFailed:
		return "logdirchange"
	case planner.Rebalance:
		return "autoleaderbalance"
	case planner.PreferredElection, planner.UncleanElection:
		return "manualleaderbalance"
	case planner.ShutdownRequested:
		return "controlledshutdown"
	case planner.UncleanAllowed:
		if len(ev.Topics) > 0 {
			return "topicuncleanleaderelectionenable"
		}
		return "uncleanleaderelectionenable"
	}
	return ""
}

func newMeters() *meters {
	m := &meters{
		flushes: metrics.NewHistograms(1), zk: metrics.NewHistograms(1), queue: metrics.NewHistograms(1), events: map[string]*metrics.Histograms{}, born: time.Now(),
	}
	for _, name := range eventMetrics {
		m.events[name] = metrics.NewHistograms(1)
	}
	m.state.Store(int32(starting))
	return m
}

func (m *meters) now() time.Duration { return time.Since(m.born) + 1 }

func (m *meters) took(h *metrics.Histograms) func(time.Duration) {
	return func(d time.Duration) { h.Add(m.now(), int64(d/time.Microsecond)) }
}

func (m *meters) handled(ev planner.Event, took time.Duration) {
	if h := m.events[eventMetric(ev)]; h != nil {
		h.Add(m.now(), int64(took/time.Microsecond))
	}
}

// slowLines is how many slow requests are logged a second.
const slowLines = 10

// observe makes what the network tells of requests. elapsed is the network's clock.
func (s *Server) observe(elapsed func() time.Duration) *metrics.Requests {
	c := s.config.Config()
	log := &metrics.RequestLog{
		Requests: s.loggers.Logger(logRequests), Arrivals: s.loggers.Logger(logArrivals), Security: c.Network.Security,
		Burst: &zerolog.BurstSampler{Burst: slowLines, Period: time.Second},
	}
	log.SetSlow(c.SlowRequest)
	return metrics.NewRequests(log, elapsed, int16(kmsg.Produce), int16(kmsg.Metadata), int16(kmsg.ApiVersions))
}

// Metrics are the broker's, for Prometheus. They may be collected at any time.
func (s *Server) Metrics() prometheus.Collector { return collector{s} }

// collector collects a broker's metrics.
type collector struct{ s *Server }

// Describe implements prometheus.Collector: what there is depends on topics.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	w := metrics.NewWriter(ch)
	st := state(c.s.meters.state.Load())
	w.Gauge("kafka_server_kafkaserver_brokerstate", "1 starting, 2 recovering its logs, 3 running, 6 handing over its partitions, 7 shutting down", float64(st))
	if st < running {
		return // there is not all of it yet
	}
	c.s.collect(w)
}
