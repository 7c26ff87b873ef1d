package zk

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
	"ottla/cmd/internal/zk/xcheck"
)

func crossCheck() *cobra.Command {
	var p xcheck.Proxy
	var listen string
	cmd := &cobra.Command{
		Use: "xcheck", Short: "Hold two servers against each other with a real client's requests", Args: cobra.NoArgs,
		Long: `Listen for ZooKeeper clients, send each of their requests to the servers A and B, answer with what A says, and report every
difference of B: in replies, stats, errors, events and their order. Session ids, passwords, zxids and times cannot be the same: they
are mapped, and the mapping must hold. Requests go one at a time, so that both servers see them in one order; it is no load test.
Both servers must be empty, or hold the same nodes. Clients that log in with SASL cannot be checked.

It ends with an interrupt, and a summary. The exit status is 1 if there was a difference. With -o json each difference is a line of
JSON, and the summary the last.`,
		Example: "  ottla zk xcheck --a localhost:2181 --b localhost:2182 --listen localhost:2183",
	}
	f := cmd.Flags()
	f.StringVar(&p.A, "a", "", "the server whose answers count, `host:port`")
	f.StringVar(&p.B, "b", "", "the server that is held against it, `host:port`")
	f.StringVar(&listen, "listen", "localhost:2183", "where clients connect, `host:port`")
	_ = cmd.MarkFlagRequired("a")
	_ = cmd.MarkFlagRequired("b")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return fmt.Errorf("%w; choose another --listen", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "clients connect to %s\n", l.Addr())
		var failed error
		p.Report = func(d xcheck.Difference) {
			if *format == output.AsJSON {
				failed = firstOf(failed, encode(cmd, d))
			} else {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), d)
				failed = firstOf(failed, err)
			}
		}
		sum, err := p.Serve(ctx, l)
		if err = firstOf(err, failed); err != nil {
			return err
		}
		if *format == output.AsJSON {
			err = encode(cmd, sum)
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d connections, %d requests, %d events: %d differences\n", sum.Connections, sum.Requests, sum.Events, sum.Differences)
		}
		if err == nil && sum.Differences > 0 {
			err = output.Status(statusFailed)
		}
		return err
	}
	return cmd
}
