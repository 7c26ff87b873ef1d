package serve

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"ottla/cmd/internal/output"
	"ottla/internal/loggers"
	"ottla/internal/monitor"
)

// grace is how long a server may take to stop after the first signal; a second one ends it at once.
const grace = 30 * time.Second

// run runs a server until it ends or a signal comes, which ends ctx. A second signal ends the process at once.
func run(parent context.Context, serve func(ctx context.Context, log zerolog.Logger) error) error {
	if os.Getenv("GOMAXPROCS") == "" {
		// A P in fdatasync is handed on only when sysmon notices: two more keep the cores busy meanwhile.
		runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	}
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on, signals have their usual effect again
	return serve(ctx, logger())
}

// logger writes to standard error: for people on a terminal, as JSON elsewhere. OTTLA_LOG sets its level, else
// KAFKA_LOG4J_ROOT_LOGLEVEL, which Kafka's images know; it is info.
func logger() zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	level := zerolog.InfoLevel
	for _, name := range []string{"KAFKA_LOG4J_ROOT_LOGLEVEL", "OTTLA_LOG"} {
		if l, ok := loggers.ParseLevel(os.Getenv(name)); ok {
			level = l
		}
	}
	log := zerolog.New(os.Stderr)
	if output.IsTerminal(os.Stderr) {
		log = zerolog.New(zerolog.ConsoleWriter{
			Out: os.Stderr, TimeFormat: "15:04:05.000", NoColor: os.Getenv("NO_COLOR") != "", FieldsExclude: []string{loggers.Field},
		})
	}
	return log.Level(level).With().Timestamp().Logger()
}

// levels reads KAFKA_LOG4J_LOGGERS, which Kafka's images know: NAME=LEVEL, separated by commas.
func levels(text string) map[string]string {
	levels := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, level, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			levels[name] = level
		}
	}
	return levels
}

// metricsUsage describes --metrics.
const metricsUsage = "answer HTTP at `host:port`: /metrics for Prometheus, /healthz, /readyz"

// monitored shows a server's metrics and health at an address until stop is called; with "" there is no m. From the end of
// ctx on it is not ready.
func monitored(ctx context.Context, address string, log zerolog.Logger, parts ...monitor.Part) (m *monitor.Server, stop func(), err error) {
	if address == "" {
		return nil, func() {}, nil
	}
	if m, err = monitor.Listen(address, log); err != nil {
		return nil, nil, err
	}
	for _, p := range parts {
		m.Add(p)
	}
	forget := context.AfterFunc(ctx, m.Stopping)
	return m, func() { forget(); m.Close() }, nil
}

// overrideUsage describes --override.
const overrideUsage = "set a `key=value` above file and environment; may be repeated"
