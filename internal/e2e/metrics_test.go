//go:build unix

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"
)

// httpGet reads a page of a server's HTTP rim.
func httpGet(address, path string) (int, string, error) {
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + address + path)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// scrape reads the metrics at an address as Prometheus does.
func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	code, text, err := httpGet(address, "/metrics")
	if err != nil || code != 200 {
		t.Fatalf("metrics: %d %v", code, err)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of the metric with exactly these labels, names and values in turn; -1 if there is none.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, m := range families[name].GetMetric() {
		if len(m.Label)*2 != len(labels) {
			continue
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] })
		}
		if match {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return -1
}

// TestMetrics compares what is measured with what is done, and the names and labels with those of a real Kafka.
func TestMetrics(t *testing.T) {
	t.Parallel()
	coord := Coordinator(t)
	at := fmt.Sprint("127.0.0.1:", FreePort(t))
	dir := t.TempDir()
	b := BrokerOn(t, dir, 0, coord.Address, "ottla.metrics.listener="+at)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	Await(t, 20*time.Second, "broker is ready", func() error {
		code, text, err := httpGet(at, "/readyz")
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, text)
		}
		return err
	})

	cl := Client(t, b.Address, kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ConsumeTopics("measured"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for i := range 10 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "measured", Value: []byte(strings.Repeat("x", 100+i))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 10; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}

	m := scrape(t, at)
	for _, x := range []struct {
		name     string
		labels   string
		low, top float64
	}{
		{"kafka_server_kafkaserver_brokerstate", "", 3, 3},
		{"kafka_controller_kafkacontroller_activecontrollercount", "", 1, 1},
		{"kafka_controller_kafkacontroller_globaltopiccount", "", 2, 2},
		{"kafka_controller_kafkacontroller_globalpartitioncount", "", 51, 51},
		{"kafka_controller_kafkacontroller_offlinepartitionscount", "", 0, 0},
		{"kafka_server_replicamanager_partitioncount", "", 51, 51},
		{"kafka_server_replicamanager_leadercount", "", 51, 51},
		{"kafka_server_replicamanager_underreplicatedpartitions", "", 0, 0},
		{"kafka_cluster_partition_replicascount", "topic measured partition 0", 1, 1},
		{"kafka_cluster_partition_insyncreplicascount", "topic measured partition 0", 1, 1},
		{"kafka_server_brokertopicmetrics_messagesin_total", "topic measured", 10, 10},
		{"kafka_server_brokertopicmetrics_messagesin_total", "", 11, 1000},
		{"kafka_server_brokertopicmetrics_bytesin_total", "topic measured", 1045, 3000},
		{"kafka_server_brokertopicmetrics_bytesout_total", "topic measured", 1045, 6000},
		{"kafka_server_brokertopicmetrics_totalproducerequests_total", "topic measured", 10, 10},
		{"kafka_server_brokertopicmetrics_totalfetchrequests_total", "topic measured", 1, 100},
		{"kafka_log_log_logendoffset", "topic measured partition 0", 10, 10},
		{"kafka_log_log_numlogsegments", "topic measured partition 0", 1, 1},
		{"kafka_log_log_size", "topic measured partition 0", 1045, 3000},
		{"kafka_network_requestmetrics_requests_total", "request Produce version 11", 10, 10},
		{"kafka_network_requestmetrics_totaltimems_count", "request Produce", 10, 10},
		{"kafka_network_requestmetrics_totaltimems", "request Produce quantile 0.50", .001, 1000},
		{"kafka_network_requestmetrics_requestbytes", "request Produce quantile 0.99", 100, 400},
		{"kafka_network_requestmetrics_errors_total", "request Produce error NONE", 10, 10},
		{"kafka_network_requestmetrics_errors_total", "request JoinGroup error MEMBER_ID_REQUIRED", 1, 1},
		{"kafka_coordinator_group_groupmetadatamanager_numgroups", "", 1, 1},
		{"kafka_coordinator_group_groupmetadatamanager_numgroupsstable", "", 1, 1},
		{"kafka_coordinator_group_groupmetadatamanager_numoffsets", "", 1, 1},
		{"kafka_server_delayedoperationpurgatory_purgatorysize", "delayedOperation Heartbeat", 1, 1},
		{"kafka_server_fetchsessioncache_numincrementalfetchsessions", "", 1, 1},
		{"kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "", 1, 1},
		{"kafka_server_sessionexpirelistener_zookeepersyncconnects_total", "", 1, 1},
		{"kafka_server_zookeeperclientmetrics_zookeeperrequestlatencyms_count", "", 20, 10_000},
		{"kafka_server_socket_server_metrics_connection_count", "listener PLAINTEXT networkProcessor 0", 2, 20},
		{"kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "", .1, 1},
		{"kafka_log_logmanager_offlinelogdirectorycount", "", 0, 0},
		{"kafka_log_logmanager_logdirectoryoffline", "logDirectory " + filepath.Join(dir, "data"), 0, 0},
		{"process_open_fds", "", 10, 10_000},
		{"go_goroutines", "", 10, 10_000},
	} {
		var labels []string
		if x.labels != "" {
			labels = strings.Split(x.labels, " ")
		}
		if v := value(m, x.name, labels...); v < x.low || v > x.top {
			t.Errorf("%s{%s} is %v, not within %v and %v", x.name, x.labels, v, x.low, x.top)
		}
	}
	compareNames(t, m)

	b.Signal(syscall.SIGTERM)
	Await(t, 10*time.Second, "broker says that it stops", func() error {
		code, text, err := httpGet(at, "/readyz")
		if err == nil && code != 503 {
			err = fmt.Errorf("%d %s", code, text)
		}
		if err != nil && !b.Running() {
			err = nil // it was faster
		}
		return err
	})
}

// compareNames holds the names, types and labels of metrics against testdata/metrics.
func compareNames(t *testing.T, m map[string]*dto.MetricFamily) {
	t.Helper()
	var absent []string
	testdataLines(t, "metrics/absent.txt", func(line string) {
		name, why, _ := strings.Cut(line, " ")
		if absent = append(absent, name); len(why) < 4 {
			t.Errorf("no reason why %s is absent", name)
		}
	})
	used := map[string]bool{}
	isAbsent := func(name string) bool {
		for _, a := range absent {
			prefix, whole := strings.CutSuffix(a, "*")
			if name == a || whole && strings.HasPrefix(name, prefix) {
				used[a] = true
				return true
			}
		}
		return false
	}
	testdataLines(t, "metrics/kafka-3.9.2.txt", func(line string) {
		f := strings.Split(line, " ")
		name, kind := f[0], f[1]
		want := ""
		if len(f) > 2 {
			parts := strings.Split(f[2], ",")
			slices.Sort(parts)
			want = strings.Join(parts, ",")
		}
		if name == "kafka_network_requestchannel_responsequeuesize" && want == "processor" {
			return // there are no network threads
		}
		family := m[name]
		switch {
		case isAbsent(name) && family != nil:
			t.Errorf("%s is there, though it is said to be absent", name)
		case isAbsent(name):
		case family == nil:
			t.Errorf("%s is missing", name)
		default:
			if got := strings.ToLower(family.GetType().String()); got != kind {
				t.Errorf("%s is a %s, Kafka's is a %s", name, got, kind)
			}
			for _, metric := range family.Metric {
				var labels []string
				for _, l := range metric.Label {
					labels = append(labels, l.GetName())
				}
				slices.Sort(labels)
				if strings.Join(labels, ",") == want {
					return
				}
			}
			t.Errorf("%s: none has the labels %q", name, want)
		}
	})
	for _, a := range absent {
		if !used[a] {
			t.Errorf("%s is said to be absent, and Kafka does not have it either", a)
		}
	}
}

// testdataLines calls f for each line of a file of testdata that is no comment.
func testdataLines(t *testing.T, name string, f func(line string)) {
	t.Helper()
	file, err := os.Open(filepath.Join(Root, "testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for sc := bufio.NewScanner(file); sc.Scan(); {
		if line := sc.Text(); line != "" && line[0] != '#' {
			f(line)
		}
	}
}

// TestReadiness: a broker that has logs to load is alive and not ready, then ready, and `ottla up` shows both of its servers.
func TestReadiness(t *testing.T) {
	t.Parallel()
	at := fmt.Sprint("127.0.0.1:", FreePort(t))
	kafka, zk := FreePort(t), FreePort(t)
	dir := t.TempDir()
	p := Start(t, dir, "up", Binary(t), "up", "--dir", dir, "--kafka-port", strconv.Itoa(kafka), "--zookeeper-port", strconv.Itoa(zk), "--metrics", at)
	Await(t, 30*time.Second, "ready", func() error {
		code, text, err := httpGet(at, "/readyz")
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, text)
		}
		return err
	})
	if err := serves(fmt.Sprint("localhost:", kafka)); err != nil {
		t.Errorf("it is ready, but %v", err)
	}
	m := scrape(t, at)
	if m["kafka_server_kafkaserver_brokerstate"] == nil || m["znode_count"] == nil || m["go_goroutines"] == nil {
		t.Errorf("%d metrics, some are missing", len(m))
	}
	p.Stop(t)
}
