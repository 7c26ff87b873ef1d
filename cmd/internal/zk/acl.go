package zk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

type permission struct {
	letter byte
	bit    int32
}

// permissions are the letters of an ACL.
var permissions = []permission{{'c', zk.PermCreate}, {'d', zk.PermDelete}, {'r', zk.PermRead}, {'w', zk.PermWrite}, {'a', zk.PermAdmin}}

// letters are the permissions of an ACL's entry.
func letters(perms int32) string {
	var b strings.Builder
	for _, p := range permissions {
		if perms&p.bit != 0 {
			b.WriteByte(p.letter)
		}
	}
	return b.String()
}

// parseACL reads scheme:id:perms,scheme:id:perms; an id may hold colons. faults is what is wrong with it, as ZooKeeper's client
// says it before it uses the rest.
func parseACL(text string) (acl []zk.ACL, faults []string) {
	for part := range strings.SplitSeq(text, ",") {
		first, last := strings.IndexByte(part, ':'), strings.LastIndexByte(part, ':')
		if first == last {
			faults = append(faults, part+" does not have the form scheme:id:perm")
			continue
		}
		a := zk.ACL{Scheme: part[:first], ID: part[first+1 : last]}
		for _, r := range part[last+1:] {
			i := slices.IndexFunc(permissions, func(p permission) bool { return rune(p.letter) == r })
			if i < 0 {
				faults = append(faults, fmt.Sprintf("Unknown perm type: %c", r))
				continue
			}
			a.Perms |= permissions[i].bit
		}
		acl = append(acl, a)
	}
	return acl, faults
}

// strictACL is an ACL of which everything must be right.
func strictACL(text string) ([]zk.ACL, error) {
	acl, faults := parseACL(text)
	if len(faults) > 0 {
		return nil, output.Usagef("the ACL %q: %s; want scheme:id:perms,... with perms of c (create), d (delete), r (read), w (write), a (set ACLs)", text, strings.Join(faults, "; "))
	}
	return acl, nil
}

// texts are the entries of an ACL, as parseACL reads them.
func texts(acl []zk.ACL) []string {
	out := make([]string, len(acl))
	for i, a := range acl {
		out[i] = a.Scheme + ":" + a.ID + ":" + letters(a.Perms)
	}
	return out
}

func getACL() *cobra.Command {
	var z client.ZooKeeper
	var long bool
	cmd := &cobra.Command{Use: "getacl PATH", Aliases: []string{"getAcl"}, Short: "Show who may do what with a node", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	cmd.Flags().BoolVarP(&long, "stat", "s", false, "with the node's versions and times")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			acl, st, err := t.GetACL(at)
			if err != nil {
				return err
			}
			value := struct {
				ACL  []string `json:"acl"`
				Stat *stats   `json:"stat,omitempty"`
			}{ACL: texts(acl)}
			if long {
				s := newStats(st)
				value.Stat = &s
			}
			w := cmd.OutOrStdout()
			if err := format.Print(w, value, func() *output.Table {
				tab := &output.Table{Columns: []string{"SCHEME", "ID", "PERMISSIONS"}}
				for _, a := range acl {
					tab.Row(a.Scheme, a.ID, letters(a.Perms))
				}
				return tab
			}); err != nil || !long || *format == output.AsJSON {
				return err
			}
			return value.Stat.table().Write(w)
		})
	}
	return cmd
}

func setACL() *cobra.Command {
	var z client.ZooKeeper
	var version int32
	var recursive bool
	cmd := &cobra.Command{
		Use: "setacl PATH ACL", Aliases: []string{"setAcl"}, Short: "Say who may do what with a node", Args: cobra.ExactArgs(2),
		Long: `Say who may do what with a node: scheme:id:perms,... where perms are c (create children), d (delete children), r (read),
w (write) and a (set the ACL). auth::perms stands for whoever --auth, SASL or TLS says that you are. With --recursive each node is
changed on its own: when it fails halfway, those before stay changed.`,
		Example: "  ottla zk setacl /app auth::cdrwa,world:anyone:r --auth digest:admin:secret",
	}
	z.Flags(cmd.Flags())
	cmd.Flags().Int32VarP(&version, "version", "v", -1, "only if the ACL has this `version`")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "and all nodes below it")
	cmd.MarkFlagsMutuallyExclusive("version", "recursive")
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		acl, err := strictACL(args[1])
		if err != nil {
			return err
		}
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			all := []string{at}
			if recursive {
				if all, err = list(t, at); err != nil {
					return err
				}
			}
			for i := range all { // the deepest first: the new ACL may forbid what is still to be done
				at := all[len(all)-1-i]
				if _, err := t.SetACL(at, acl, version); err != nil && !(recursive && errors.Is(err, zk.ErrNoNode)) {
					return &failedAt{at, err}
				}
			}
			return nil
		})
	}
	return cmd
}

func whoAmI() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "whoami", Short: "Show who the server takes this client for", Args: cobra.NoArgs}
	z.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd, &z, "/", func(t *client.Tree, _ string) error {
			who, err := t.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			return format.Print(cmd.OutOrStdout(), who, func() *output.Table {
				tab := &output.Table{Columns: []string{"SCHEME", "USER"}}
				for _, i := range who {
					tab.Row(i.Scheme, i.User)
				}
				return tab
			})
		})
	}
	return cmd
}
