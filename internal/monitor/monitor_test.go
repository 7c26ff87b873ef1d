package monitor

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	r, err := http.Get("http://" + s.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	s, err := Listen("127.0.0.1:0", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	expect := func(path string, status int, text string) {
		t.Helper()
		if code, body := get(t, s, path); code != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	expect("/healthz", 200, "ok\n")
	expect("/readyz", 503, "starting\n")
	expect("/metrics", 200, "\ngo_goroutines ")
	expect("/metrics", 200, "\nprocess_cpu_seconds_total ")
	expect("/", 404, "")

	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "answer"})
	g.Set(42)
	var why atomic.Pointer[error]
	no := errors.New("2 of 3 partitions have no leader")
	why.Store(&no)
	s.Add(Part{Name: "coordinator"})
	s.Add(Part{Name: "broker", Metrics: g, Ready: func() error { return *why.Load() }})
	expect("/readyz", 503, "broker: 2 of 3 partitions have no leader\n")
	expect("/metrics", 200, "\nanswer 42\n")
	why.Store(new(error))
	expect("/readyz", 200, "ready\n")
	g2 := prometheus.NewGauge(prometheus.GaugeOpts{Name: "answer"})
	s.Add(Part{Name: "broker", Metrics: g2})
	expect("/metrics", 200, "\nanswer 0\n")
	s.Stopping()
	expect("/readyz", 503, "stopping\n")
	expect("/healthz", 200, "ok\n")

	if _, err := Listen(s.Addr().String(), zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "stop what has the address") {
		t.Error(err)
	}
}
