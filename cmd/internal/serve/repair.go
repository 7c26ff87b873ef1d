package serve

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ottla/coord"
)

// in takes a directory named on the command line for dataDir.
func (p *place) in(args []string) {
	if len(args) > 0 {
		p.overrides = append(p.overrides, "dataDir="+args[0])
	}
}

// Repair is `ottla coordinator repair`.
func Repair() *cobra.Command {
	var p place
	var yes, all bool
	cmd := &cobra.Command{
		Use:   "repair [DIR]",
		Short: "Save what can be read of the damaged data of a stopped coordinator",
		Long: `Read what can be read of the damaged data of a stopped coordinator and say what is lost: which entries of the log, which znodes. Without --yes
nothing is changed. With it, what was saved becomes the data, and every file that was there stays beside it, renamed to NAME.damaged-N.

What loses nothing comes first: an older checkpoint if the log reaches back to it, or the log alone if it begins with the first entry. Entries behind one that cannot
be read are given up, since their outcome depended on it. A node whose access control cannot be read is for the super user only. The zxids go
on far above all that were ever given, as far as the files tell; clients that were promised more than is left must read again.`,
		Example: `  ottla coordinator repair /var/lib/ottla/coordinator
  ottla coordinator repair --config zoo.cfg --yes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.in(args)
			c, err := p.load()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			r, err := coord.PlanRepair(c.DataDir, c.DataLogDir)
			if errors.Is(err, coord.ErrNoDamage) {
				fmt.Fprintln(out, "no damage, nothing to repair")
				return nil
			}
			if err != nil {
				return err
			}
			defer r.Close()
			printRepair(out, r, all)
			if !yes {
				fmt.Fprintln(out, "nothing was changed: --yes does it, and keeps every file that is there under another name")
				return nil
			}
			kept, err := r.Run()
			for _, path := range kept {
				fmt.Fprintf(out, "kept          %s\n", path)
			}
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
			if _, err := coord.OpenOffline(c.DataDir, c.DataLogDir); err != nil {
				return fmt.Errorf("the repaired data cannot be read: %w", err)
			}
			fmt.Fprintln(out, "repaired")
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	cmd.Flags().BoolVar(&all, "all", false, "list everything that is given up, not only the first of each kind")
	return cmd
}

const listed = 20

func printRepair(w io.Writer, r *coord.Repair, all bool) {
	list := func(label string, items []string) {
		for i, item := range items {
			if i == listed && !all {
				fmt.Fprintf(w, "%-13s and %d more (--all)\n", label, len(items)-listed)
				return
			}
			fmt.Fprintf(w, "%-13s %s\n", label, item)
		}
	}
	list("damage", r.Damage)
	fmt.Fprintf(w, "saved         %s, and the log to entry %d\n", r.Source, r.Index)
	m := r.Machine
	fmt.Fprintf(w, "znodes        %d (%d ephemeral), %d bytes\n", m.Tree().Len(), m.Tree().Ephemerals(), m.Tree().DataBytes())
	fmt.Fprintf(w, "sessions      %d\n", m.Sessions())
	fmt.Fprintf(w, "zxid          goes on above 0x%x\n", m.Zxid())
	fmt.Fprintf(w, "gives up      every write behind entry %d\n", r.Index)
	if r.Lost > 0 {
		fmt.Fprintf(w, "gives up      entries %d to %d of the log: %d of them can be read, with %d requests\n", r.LostFrom, r.LostTo, r.Lost, r.Requests)
	}
	list("gives up", r.GivenUp)
	list("wrote to", r.Paths)
}
