package serve

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"ottla/cmd/internal/output"
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

// logger writes to standard error: for people on a terminal, as JSON elsewhere. OTTLA_LOG sets its level, which is info.
func logger() zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	level, err := zerolog.ParseLevel(os.Getenv("OTTLA_LOG"))
	if err != nil || level == zerolog.NoLevel {
		level = zerolog.InfoLevel
	}
	log := zerolog.New(os.Stderr)
	if output.IsTerminal(os.Stderr) {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05.000", NoColor: os.Getenv("NO_COLOR") != ""})
	}
	return log.Level(level).With().Timestamp().Logger()
}

// overrideUsage describes --override.
const overrideUsage = "set a `key=value` above file and environment; may be repeated"
