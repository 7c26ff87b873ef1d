package bench

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ottla/cmd/internal/output"
)

// Command is `ottla bench`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure any Kafka or ZooKeeper server", Args: cobra.NoArgs,
		Long: `Measure throughput and latency of any Kafka or ZooKeeper server. Without --rate each connection keeps its outstanding requests, and
the server sets the pace. With --rate requests are sent at fixed times, and latency counts from the time at which a request was
due, so that a stall shows in every request that it delayed.`,
	}
	cmd.AddCommand(produce(), consume(), roundtrip(), requestCommand(), zooKeeper())
	return cmd
}

// load is what all runs have in common.
type load struct {
	seconds     float64
	warmup      float64
	rate        float64
	connections int
	outstanding int
	json        bool
}

func (l *load) flags(f *pflag.FlagSet, outstanding int) {
	f.Float64VarP(&l.seconds, "seconds", "s", 5, "how long to measure")
	f.Float64Var(&l.warmup, "warmup", 1, "how many seconds to run before that")
	f.Float64VarP(&l.rate, "rate", "r", 0, "operations per second over all connections; 0: as fast as the server answers")
	f.IntVarP(&l.connections, "connections", "c", 4, "`number` of connections")
	if outstanding > 0 {
		f.IntVarP(&l.outstanding, "outstanding", "n", outstanding, "`requests` without an answer on each connection (without --rate)")
	} else {
		l.outstanding = 1
	}
	f.BoolVar(&l.json, "json", false, "print the result as JSON")
}

func (l *load) check() error {
	switch {
	case l.seconds <= 0 || l.warmup < 0:
		return output.Usagef("--seconds must be above 0 and --warmup not below")
	case l.connections < 1 || l.connections > 10_000:
		return output.Usagef("--connections must be from 1 to 10000")
	case l.outstanding < 1 || l.outstanding > backlog:
		return output.Usagef("--outstanding must be from 1 to %d", backlog)
	case l.rate < 0:
		return output.Usagef("--rate must not be below 0")
	}
	return nil
}

func (l *load) span() span {
	return newSpan(time.Duration(l.warmup*float64(time.Second)), time.Duration(l.seconds*float64(time.Second)))
}

// context ends with a signal, so that what was made for a run is removed.
func (l *load) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

// report prints what the pipes did, if anything.
func (l *load) report(cmd *cobra.Command, s span, t *tally, r Result) error {
	r.Connections, r.Outstanding, r.Rate = l.connections, l.outstanding, l.rate
	r.Seconds, r.Operations = s.seconds(), t.operations
	r.PerSecond = float64(t.operations) / r.Seconds
	r.Records, r.Bytes = float64(t.records)/r.Seconds, float64(t.bytes)/r.Seconds
	r.measured(&t.Histogram)
	if t.Count() == 0 {
		return fmt.Errorf("nothing was answered in %v seconds; --seconds measures longer", l.seconds)
	}
	return r.print(cmd.OutOrStdout(), l.json)
}

// run drives the pipes and reports, unless a signal ends it before.
func (l *load) run(ctx context.Context, cmd *cobra.Command, pipes []*pipe, r Result) error {
	stop := context.AfterFunc(ctx, func() {
		for _, p := range pipes {
			p.conn.Close()
		}
	})
	defer stop()
	s := l.span()
	t, err := drive(pipes, l.rate, s)
	if ctx.Err() != nil {
		return output.Status(130)
	}
	if err != nil {
		return err
	}
	return l.report(cmd, s, t, r)
}
