package metrics

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Writer gives metrics to Prometheus. Labels are names and values in turn. Not safe for concurrent use.
type Writer struct {
	ch    chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

// NewWriter writes to ch, in the Collect of a prometheus.Collector.
func NewWriter(ch chan<- prometheus.Metric) *Writer {
	return &Writer{ch, map[string]*prometheus.Desc{}}
}

// Gauge writes a value that goes up and down.
func (w *Writer) Gauge(name, help string, v float64, labels ...string) {
	w.write(prometheus.GaugeValue, name, help, v, labels)
}

// Counter writes a value that only grows.
func (w *Writer) Counter(name, help string, v float64, labels ...string) {
	w.write(prometheus.CounterValue, name, help, v, labels)
}

func (w *Writer) write(t prometheus.ValueType, name, help string, v float64, labels []string) {
	names, values := make([]string, 0, 4), make([]string, 0, 4)
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, strings.ToValidUTF8(labels[i+1], "?"))
	}
	key := name + "\x00" + strings.Join(names, "\x00")
	desc := w.descs[key]
	if desc == nil {
		desc = prometheus.NewDesc(name, help, names, nil)
		w.descs[key] = desc
	}
	w.ch <- prometheus.MustNewConstMetric(desc, t, v, values...)
}

// quantiles are those that Kafka's histograms have.
var quantiles = []struct {
	text string
	q    float64
}{{"0.50", .5}, {"0.75", .75}, {"0.95", .95}, {"0.98", .98}, {"0.99", .99}, {"0.999", .999}}

// Distribution writes a histogram as the JMX exporter does: quantiles and a count. Values are multiplied by scale.
func (w *Writer) Distribution(name, help string, d *Distribution, scale float64, labels ...string) {
	n := len(labels)
	for _, q := range quantiles {
		w.Gauge(name, help, d.Quantile(q.q)*scale, append(labels[:n:n], "quantile", q.text)...)
	}
	w.Counter(name+"_count", help+" (number of values)", float64(d.Count), labels...)
}

// Int is n as a label.
func Int[N ~int | ~int16 | ~int32 | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
