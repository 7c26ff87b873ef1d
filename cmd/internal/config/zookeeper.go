package config

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ottla/broker/config/keys"
	"ottla/broker/znode"
	"ottla/cmd/internal/client"
)

// inZooKeeper reads and writes the znodes of topics, with the texts of the tool of 2.8.
func (c *call) inZooKeeper(kind string, entities []entity) error {
	if kind != "topics" {
		return fmt.Errorf("with --zookeeper this command does topics only; use --bootstrap-server for %s", kind)
	}
	w := c.OutOrStdout()
	fmt.Fprintln(w, "Warning: --zookeeper is deprecated and will be removed in a future version of Kafka.")
	fmt.Fprintln(w, "Use --bootstrap-server instead to specify a broker to connect to.")
	ctx, cancel := c.kafka.Context(c.Context())
	defer cancel()
	z := client.ZooKeeper{Connect: c.zookeeper}
	cl, s, err := z.Layout(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if c.on("alter") {
		return c.write(ctx, s, entities[0].name)
	}
	var names []string
	for _, e := range entities {
		names = append(names, e.name)
	}
	if len(entities) == 0 {
		if names, err = s.TopicNames(ctx); err != nil {
			return err
		}
		slices.Sort(names)
	}
	for _, name := range names {
		config, _, err := s.Entity(ctx, kind, name)
		if err != nil {
			return err
		}
		var pairs []string
		for k, v := range config {
			pairs = append(pairs, k+"="+v)
		}
		slices.Sort(pairs)
		fmt.Fprintf(w, "Configs for topic '%s' are %s\n", name, strings.Join(pairs, ","))
	}
	return nil
}

// write changes a topic's configuration and notifies the brokers.
func (c *call) write(ctx context.Context, s *znode.Session, name string) error {
	set, drop, err := c.changes()
	if err != nil {
		return err
	}
	now, _, err := s.Entity(ctx, "topics", name)
	if err != nil {
		return err
	}
	if err := missing(func(k string) bool { _, ok := now[k]; return ok }, drop); err != nil {
		return err
	}
	all, err := s.TopicNames(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(all, name) {
		return fmt.Errorf("Topic '%s' does not exist.", name)
	}
	for k, v := range set {
		key, ok := keys.Topic.Lookup(k)
		if !ok {
			return fmt.Errorf("Unknown topic config name: %s", k)
		}
		if _, err := key.Parse(v); err != nil {
			return err
		}
		now[k] = v
	}
	for _, k := range drop {
		delete(now, k)
	}
	if err := s.SetEntity(ctx, "topics", name, now); err != nil {
		return err
	}
	if err := s.NotifyEntity(ctx, "topics", name); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "Completed updating config for entity: topic '%s'.\n", name)
	return nil
}
