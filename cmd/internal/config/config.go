package config

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// Command is `ottla config`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show and change the configuration of topics and brokers", Args: cobra.NoArgs,
		Long: `Show and change the configuration of topics and brokers while they run. An ENTITY is topic/NAME, broker/ID, or broker for the
defaults of all brokers.`,
	}
	cmd.AddCommand(get(), set(), unset())
	return cmd
}

func with(cmd *cobra.Command, k *client.Kafka, f func(ctx context.Context, adm *kadm.Client) error) error {
	ctx, cancel := k.Context(cmd.Context())
	defer cancel()
	adm, err := k.Admin(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	return f(ctx, adm)
}

// entry is a key in JSON.
type entry struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"` // null: none, or not to be shown
	Source string  `json:"source"`
}

func get() *cobra.Command {
	var k client.Kafka
	var all bool
	cmd := &cobra.Command{
		Use: "get ENTITY [KEY]...", Short: "Show what is set, with keys or --all also defaults", Args: cobra.MinimumNArgs(1),
		Example: "  ottla config get topic/orders\n  ottla config get broker/0 log.retention.ms",
	}
	k.Flags(cmd.Flags())
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also what is not set")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := parseEntity(args[0])
		if err != nil {
			return output.UsageError{Err: err}
		}
		return with(cmd, &k, func(ctx context.Context, adm *kadm.Client) error {
			configs, err := e.read(ctx, adm, all || len(args) > 1)
			if err != nil {
				return e.hint(err)
			}
			rows, err := choose(e, configs, args[1:])
			if err != nil {
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
func choose(e entity, configs []kadm.Config, keys []string) ([]entry, error) {
	byKey := map[string]kadm.Config{}
	out := []entry{}
	add := func(c kadm.Config) { out = append(out, entry{c.Key, c.Value, strings.ToLower(c.Source.String())}) }
	for _, c := range configs {
		byKey[c.Key] = c
		if len(keys) == 0 {
			add(c)
		}
	}
	for _, key := range keys {
		c, ok := byKey[key]
		if !ok {
			return nil, fmt.Errorf("%s has no key %s; `ottla config get %s --all` shows the keys", e, key, e)
		}
		add(c)
	}
	return out, nil
}

func set() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use: "set ENTITY KEY=VALUE...", Short: "Set keys", Args: cobra.MinimumNArgs(2),
		Example: "  ottla config set topic/orders retention.ms=86400000",
	}
	k.Flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := parseEntity(args[0])
		if err != nil {
			return output.UsageError{Err: err}
		}
		values, err := tool.Pairs(args[1:])
		if err != nil {
			return output.UsageError{Err: err}
		}
		return with(cmd, &k, func(ctx context.Context, adm *kadm.Client) error {
			return e.hint(e.change(ctx, adm, values, nil))
		})
	}
	return cmd
}

func unset() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use: "unset ENTITY KEY...", Short: "Remove keys, so that defaults count again", Args: cobra.MinimumNArgs(2),
	}
	k.Flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := parseEntity(args[0])
		if err != nil {
			return output.UsageError{Err: err}
		}
		return with(cmd, &k, func(ctx context.Context, adm *kadm.Client) error {
			return e.hint(e.change(ctx, adm, nil, args[1:]))
		})
	}
	return cmd
}
