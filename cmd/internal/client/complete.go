package client

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// completion bounds what a shell waits for names.
const completion = 2 * time.Second

// A Completer suggests arguments to a shell.
type Completer func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// CompleteTopics suggests the cluster's topics, each with a word before it.
func (k *Kafka) CompleteTopics(before string) Completer {
	return k.complete(func(ctx context.Context, adm *kadm.Client) ([]string, error) {
		all, err := adm.ListTopics(ctx)
		names := all.Names()
		for i := range names {
			names[i] = before + names[i]
		}
		return names, err
	})
}

// CompleteGroups suggests the cluster's groups.
func (k *Kafka) CompleteGroups() Completer {
	return k.complete(func(ctx context.Context, adm *kadm.Client) ([]string, error) {
		all, err := adm.ListGroups(ctx)
		return all.Groups(), err
	})
}

// complete asks the cluster that the flags name, and suggests nothing if that takes too long or fails.
func (k *Kafka) complete(ask func(ctx context.Context, adm *kadm.Client) ([]string, error)) Completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completion)
		defer cancel()
		quick := *k
		quick.Timeout = completion
		cl, err := quick.Open(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer cl.Close()
		names, err := ask(ctx, kadm.NewClient(cl))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
