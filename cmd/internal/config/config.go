package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// Command is `ottla config`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show and change the configuration of topics, brokers, clients and users", Args: cobra.NoArgs,
		Long: `Show and change configuration while brokers run. An ENTITY is one of

  topic/NAME             a topic
  broker/ID, broker      a broker; the defaults of all brokers
  logger/ID              the log levels of a broker
  user/NAME, user        quotas and SCRAM credentials of a user; quotas of users without their own
  client/ID, client      quotas of a client; of clients without their own
  user/NAME/client/ID    quotas of a client of a user
  ip/ADDRESS, ip         quotas of connections from an address; from addresses without their own
  client-metrics/NAME    which metrics clients are to send`,
	}
	cmd.AddCommand(get(), set(), unset())
	return cmd
}

// subject is what has a configuration.
type subject interface {
	fmt.Stringer
	entries(s client.Session, all bool) ([]entry, error)
	alter(s client.Session, set map[string]string, unset []string) error
}

func parseSubject(text string) (subject, error) {
	if o, ok := parseOwner(text); ok {
		return o, nil
	}
	return parseEntity(text)
}

// entry is a key in JSON.
type entry struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"` // null: none, or not to be shown
	Source string  `json:"source"`
}

func (e entity) entries(s client.Session, all bool) ([]entry, error) {
	configs, err := e.read(s, all)
	out := []entry{}
	for _, c := range configs {
		out = append(out, entry{c.Key, c.Value, strings.ToLower(c.Source.String())})
	}
	return out, err
}

func (e entity) alter(s client.Session, set map[string]string, unset []string) error {
	return e.change(s, set, unset)
}

func (o owner) entries(s client.Session, _ bool) ([]entry, error) {
	out := []entry{}
	quotas, err := o.quotas(s)
	if err != nil {
		return nil, err
	}
	for _, q := range quotas {
		for _, v := range q.values {
			text := fmt.Sprint(v.Value)
			out = append(out, entry{v.Key, &text, "quota"})
		}
	}
	if len(o) != 1 || o[0].kind != "users" || o[0].name == "" {
		return out, nil
	}
	all, err := scrams(s, o[0].name)
	for _, u := range all {
		for _, c := range u.has {
			text := fmt.Sprintf("iterations=%d", c.Iterations)
			out = append(out, entry{c.Mechanism.String(), &text, "credential"})
		}
	}
	return out, err
}

func (o owner) alter(s client.Session, set map[string]string, unset []string) error {
	_, creds, _ := parted(slices.Collect(maps.Keys(set)))
	_, dropped, _ := parted(unset)
	switch n := len(creds) + len(dropped); {
	case n == 0:
		return o.setQuotas(s, set, unset)
	case len(o) != 1 || o[0].kind != "users" || o[0].name == "":
		return output.Usagef("only user/NAME has SCRAM credentials")
	case n != len(set)+len(unset):
		return output.Usagef("change quotas and SCRAM credentials in two calls, since the broker takes them in two")
	}
	return setScram(s, o[0].name, set, unset)
}

func get() *cobra.Command {
	var k client.Kafka
	var all bool
	cmd := &cobra.Command{
		Use: "get ENTITY [KEY]...", Short: "Show what is set, with keys or --all also defaults", Args: cobra.MinimumNArgs(1),
		Example: "  ottla config get topic/orders\n  ottla config get broker/0 log.retention.ms\n  ottla config get user/alice",
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("topic/")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also what is not set")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := parseSubject(args[0])
		if err != nil {
			return output.UsageError{Err: err}
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			rows, err := e.entries(s, all || len(args) > 1)
			if err != nil {
				return hint(e, err)
			}
			if rows, err = choose(e, rows, args[1:]); err != nil {
				return err
			}
			return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
				t := &output.Table{Columns: []string{"KEY", "VALUE", "SOURCE"}}
				for _, r := range rows {
					v := "-"
					if r.Value != nil {
						v = *r.Value
					}
					t.Row(r.Key, v, r.Source)
				}
				return t
			})
		})
	}
	return cmd
}

// choose picks the keys asked for, or all.
func choose(e subject, rows []entry, keys []string) ([]entry, error) {
	if len(keys) == 0 {
		return rows, nil
	}
	out := []entry{}
	for _, key := range keys {
		i := slices.IndexFunc(rows, func(r entry) bool { return r.Key == key })
		if i < 0 {
			return nil, fmt.Errorf("%s has no key %s; `ottla config get %s --all` shows the keys", e, key, e)
		}
		out = append(out, rows[i])
	}
	return out, nil
}

func set() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use: "set ENTITY KEY=VALUE...", Short: "Set keys", Args: cobra.MinimumNArgs(2),
		Example: `  ottla config set topic/orders retention.ms=86400000
  ottla config set user/alice producer_byte_rate=1048576
  ottla config set user/alice SCRAM-SHA-256=password=secret
  ottla config set logger/0 root=DEBUG`,
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("topic/")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := parseSubject(args[0])
		if err != nil {
			return output.UsageError{Err: err}
		}
		values, err := tool.Pairs(args[1:])
		if err != nil {
			return output.UsageError{Err: err}
		}
		return k.With(cmd.Context(), func(s client.Session) error { return hint(e, e.alter(s, values, nil)) })
	}
	return cmd
}

func unset() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use: "unset ENTITY KEY...", Short: "Remove keys, so that defaults count again", Args: cobra.MinimumNArgs(2),
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("topic/")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := parseSubject(args[0])
		if err != nil {
			return output.UsageError{Err: err}
		}
		return k.With(cmd.Context(), func(s client.Session) error { return hint(e, e.alter(s, nil, args[1:])) })
	}
	return cmd
}
