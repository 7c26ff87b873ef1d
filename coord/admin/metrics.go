package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ottla/coord/server"
)

// Collector gives a server's metrics to Prometheus.
func Collector(s *server.Server) prometheus.Collector { return collector{s} }

// collector gives the server's metrics to Prometheus at the moment of a scrape.
type collector struct{ s *server.Server }

// Describe implements prometheus.Collector: what it collects is not checked beforehand.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.s.Metrics() {
		desc := prometheus.NewDesc(m.Name, m.Name, nil, nil)
		if m.Kind >= server.Summary {
			f := &m.Summary
			quantiles := map[float64]float64{0.5: float64(f.P50)}
			if m.Kind == server.Quantiles {
				quantiles = map[float64]float64{0.5: float64(f.P50), 0.9: float64(f.P95), 0.99: float64(f.P99)}
			}
			out <- prometheus.MustNewConstSummary(desc, uint64(f.Count), float64(f.Sum), quantiles)
			continue
		}
		kind, value := prometheus.GaugeValue, 0.0
		if m.Kind == server.Counter {
			kind = prometheus.CounterValue
		}
		switch v := m.Value.(type) {
		case int64:
			value = float64(v)
		case float64:
			value = v
		}
		out <- prometheus.MustNewConstMetric(desc, kind, value)
	}
}

func metricsHandler(s *server.Server, runtime bool) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s})
	if runtime {
		r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
