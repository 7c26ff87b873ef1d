package serve

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/coord/zkdata"
)

// place is where a coordinator's data is, by its configuration.
type place struct {
	file      string
	overrides []string
}

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "config", "", "the coordinator's zoo.cfg, which says where its data is")
	cmd.Flags().StringArrayVar(&p.overrides, "override", nil, overrideUsage)
}

func (p *place) load() (*config.Config, error) {
	c, _, err := config.Load(config.Source{File: p.file, Env: os.Environ(), Overrides: p.overrides})
	if err != nil {
		return nil, fmt.Errorf("configuration of the coordinator:\n%w", err)
	}
	return c, nil
}

// Import is `ottla coordinator import`.
func Import() *cobra.Command {
	var (
		p   place
		o   zkdata.Options
		dry bool
	)
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Take over the data of an Apache ZooKeeper",
		Long: `Take over the data of an Apache ZooKeeper that is stopped: znodes with all of their stat and access control, sessions, and the zxid, above which the
coordinator goes on. Clients connect to it and go on with their sessions. DIR, the ZooKeeper's dataDir or its version-2, is only read; the coordinator's own
dataDir may be the same.

Snapshots of ZooKeeper 3.4 to 3.9 are read, compressed ones too, and the logs behind the newest, as ZooKeeper does at its start.`,
		Example: `  ottla coordinator import /var/lib/zookeeper --config zoo.cfg --dry-run
  ottla coordinator import /var/lib/zookeeper --override dataDir=/var/lib/ottla/coordinator`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.load()
			if err != nil {
				return err
			}
			o.Dir = args[0]
			start := time.Now()
			db, rep, err := zkdata.Read(o)
			out := cmd.OutOrStdout()
			if rep != nil {
				printReport(out, rep)
			}
			if err != nil {
				return err
			}
			printTotals(out, db)
			if dry {
				fmt.Fprintf(out, "nothing was written: without --dry-run it becomes the data in %s\n", c.DataDir)
				return nil
			}
			if err := coord.Import(db, c.DataDir, c.DataLogDir); err != nil {
				return err
			}
			fmt.Fprintf(out, "imported into %s in %v\n", c.DataDir, time.Since(start).Round(time.Millisecond))
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&o.LogDir, "log-dir", "", "the ZooKeeper's dataLogDir, if it has one")
	cmd.Flags().BoolVar(&o.TrustEmpty, "trust-empty", false, "accept logs without any snapshot, as snapshot.trust.empty does")
	cmd.Flags().BoolVar(&o.Salvage, "salvage", false, "give up a damaged transaction and all after it")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only read and report")
	return cmd
}

func printReport(w io.Writer, r *zkdata.Report) {
	if r.Snapshot != "" {
		fmt.Fprintf(w, "snapshot      %s\n", r.Snapshot)
	}
	for _, l := range r.Logs {
		fmt.Fprintf(w, "log           %s\n", l)
	}
	if r.Transactions > 0 {
		fmt.Fprintf(w, "replayed      %d transactions, the last of %s\n", r.Transactions, r.Last.UTC().Format(time.RFC3339))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note          %s\n", n)
	}
}

func printTotals(w io.Writer, db *zkdata.Database) {
	var bytes int64
	ephemeral, containers, ttl := 0, 0, 0
	for path, n := range db.Nodes {
		bytes += int64(len(path) + len(n.Data))
		switch n.Kind() {
		case zkdata.Ephemeral:
			ephemeral++
		case zkdata.Container:
			containers++
		case zkdata.TTL:
			ttl++
		}
	}
	fmt.Fprintf(w, "zxid          0x%x\n", db.Zxid)
	fmt.Fprintf(w, "znodes        %d (%d ephemeral, %d containers, %d with a time to live), %d bytes\n", len(db.Nodes), ephemeral, containers, ttl, bytes)
	fmt.Fprintf(w, "sessions      %d\n", len(db.Sessions))
}

// Export is `ottla coordinator export`.
func Export() *cobra.Command {
	var (
		p   place
		dry bool
	)
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the data as a directory on which an Apache ZooKeeper starts",
		Long: `Write the data of a stopped coordinator as a snapshot in DIR/version-2, on which an Apache ZooKeeper 3.5 to 3.9 starts with dataDir=DIR: znodes with all
of their stat and access control, sessions, and the zxid. DIR must not hold data of a ZooKeeper. The coordinator's own data stays as it is.

Clients whose session began on a ZooKeeper go on with it. Sessions that began here have another password than ZooKeeper would give them: their clients
get a new session, and the old one ends with its timeout.`,
		Example: `  ottla coordinator export /var/lib/zookeeper --config zoo.cfg`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.load()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			off, err := coord.OpenOffline(c.DataDir, c.DataLogDir)
			if err != nil {
				return err
			}
			printOffline(out, off)
			if dry {
				fmt.Fprintln(out, "nothing was written")
				return nil
			}
			path, err := off.Export(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "exported      %s\n", path)
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only read and report")
	return cmd
}

func printOffline(w io.Writer, off *coord.Offline) {
	m := off.Machine
	fmt.Fprintf(w, "checkpoint    entry %d\n", off.Checkpoint)
	fmt.Fprintf(w, "log           entries to %d, term %d: %d requests behind the checkpoint, %d bytes in %d files\n", off.Last, off.Term, off.Requests, off.Log.Bytes, off.Log.Segments)
	if off.Log.TornFile != "" {
		fmt.Fprintf(w, "note          an unfinished group at offset %d, the end of %s, was never acknowledged; the next start cuts it off\n", off.Log.TornAt, off.Log.TornFile)
	}
	fmt.Fprintf(w, "zxid          0x%x\n", m.Zxid())
	fmt.Fprintf(w, "znodes        %d (%d ephemeral), %d bytes\n", m.Tree().Len(), m.Tree().Ephemerals(), m.Tree().DataBytes())
	fmt.Fprintf(w, "sessions      %d\n", m.Sessions())
}

// Check is `ottla coordinator check`.
func Check() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the data of a stopped coordinator",
		Long:  `Read all data of a stopped coordinator as a start would, every checksum and count included, and say what is there. Nothing is changed.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.load()
			if err != nil {
				return err
			}
			off, err := coord.OpenOffline(c.DataDir, c.DataLogDir)
			if err != nil {
				return fmt.Errorf("%w\n`ottla coordinator repair` says what can be saved", err)
			}
			printOffline(cmd.OutOrStdout(), off)
			fmt.Fprintln(cmd.OutOrStdout(), "no damage")
			return nil
		},
	}
	p.flags(cmd)
	return cmd
}
