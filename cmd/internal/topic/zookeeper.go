package topic

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/broker/config/keys"
	"ottla/broker/controller/planner"
	names "ottla/broker/topic"
	"ottla/broker/znode"
	"ottla/cmd/internal/client"
)

// inZooKeeper is kafka-topics with --zookeeper: the tool writes what a controller then acts on.
type inZooKeeper struct {
	*call
	client *znode.Client
	s      *znode.Session
}

func openZooKeeper(ctx context.Context, c *call) (backend, error) {
	z := client.ZooKeeper{Connect: c.zookeeper}
	cl, s, err := z.Layout(ctx)
	if err != nil {
		return nil, err
	}
	return &inZooKeeper{c, cl, s}, nil
}

func (z *inZooKeeper) close() { z.client.Close() }

const topicsKind = "topics" // of entities with a configuration

// validate refuses what a broker would only complain about in its log.
func validate(configs map[string]string) error {
	for name, value := range configs {
		k, ok := keys.Topic.Lookup(name)
		if !ok {
			return fmt.Errorf("Unknown topic config name: %s", name)
		}
		if _, err := k.Parse(value); err != nil {
			return err
		}
	}
	return nil
}

// create writes the configuration before the topic, so that the controller finds it, and no notification, since no broker
// hosts the topic yet.
func (z *inZooKeeper) create(ctx context.Context, assignment [][]int32, configs map[string]string) error {
	if err := validate(configs); err != nil {
		return err
	}
	if err := names.Validate(z.topic); err != nil {
		return err
	}
	all, err := z.s.TopicNames(ctx)
	if err != nil && !errors.Is(err, znode.ErrNoNode) {
		return err
	}
	if slices.Contains(all, z.topic) {
		if z.on("if-not-exists") {
			return errExists
		}
		return fmt.Errorf("Topic '%s' already exists.", z.topic)
	}
	if other := slices.DeleteFunc(all, func(n string) bool { return !names.Collides(n, z.topic) }); len(other) > 0 {
		return fmt.Errorf("Topic '%s' collides with existing topics: %s", z.topic, strings.Join(other, ", "))
	}
	if assignment == nil {
		if assignment, err = z.assign(ctx); err != nil {
			return err
		}
	}
	t := znode.Topic{Name: z.topic, Partitions: map[int32]znode.Assignment{}}
	if t.ID, err = names.NewID(rand.Read); err != nil {
		return err
	}
	for i, replicas := range assignment {
		t.Partitions[int32(i)] = znode.Assignment{Replicas: replicas}
	}
	if err := z.s.SetEntity(ctx, topicsKind, z.topic, configs); err != nil {
		return err
	}
	err = z.s.CreateTopic(ctx, t)
	if errors.Is(err, znode.ErrNodeExists) {
		return fmt.Errorf("Topic '%s' already exists.", z.topic)
	}
	return err
}

func (z *inZooKeeper) places(ctx context.Context) ([]planner.Place, error) {
	brokers, _, err := z.s.Brokers(ctx)
	if err != nil && !errors.Is(err, znode.ErrNoNode) {
		return nil, err
	}
	places := make([]planner.Place, len(brokers))
	for i, b := range brokers {
		places[i] = planner.Place{ID: b.ID, Rack: b.Rack}
	}
	if z.on("disable-rack-aware") {
		for i := range places {
			places[i].Rack = ""
		}
	}
	return places, nil
}

func (z *inZooKeeper) assign(ctx context.Context) ([][]int32, error) {
	places, err := z.places(ctx)
	if err != nil {
		return nil, err
	}
	n := max(1, len(places))
	return planner.Assign(places, int(z.partitions), int(z.replicas), planner.Placement{First: mathrand.IntN(n), Shift: mathrand.IntN(n)})
}

func (z *inZooKeeper) list(ctx context.Context) ([]string, error) {
	all, err := z.s.TopicNames(ctx)
	if err != nil && !errors.Is(err, znode.ErrNoNode) {
		return nil, err
	}
	slices.Sort(all)
	return all, nil
}

func (z *inZooKeeper) describe(ctx context.Context, topics []string) error {
	all, _, err := z.s.Topics(ctx, topics)
	if err != nil {
		return err
	}
	brokers, _, err := z.s.Brokers(ctx)
	if err != nil {
		return err
	}
	var live []int32
	for _, b := range brokers {
		live = append(live, b.ID)
	}
	for _, t := range all {
		if err := z.show(ctx, t, live); err != nil {
			return err
		}
	}
	return nil
}

// show prints a topic as the tool of 2.8 did.
func (z *inZooKeeper) show(ctx context.Context, t znode.Topic, live []int32) error {
	configs, _, err := z.s.Entity(ctx, topicsKind, t.Name)
	if err != nil {
		return err
	}
	deleting, err := z.s.IsDeletionRequested(ctx, t.Name)
	if err != nil {
		return err
	}
	ids := t.PartitionIDs()
	tps := make([]names.Partition, len(ids))
	for i, id := range ids {
		tps[i] = names.Partition{Topic: t.Name, Partition: id}
	}
	states, _, err := z.s.PartitionStates(ctx, tps)
	if err != nil {
		return err
	}
	mark := ""
	if deleting {
		mark = "\tMarkedForDeletion: true"
	}
	w := z.OutOrStdout()
	if !z.filtered() && (!z.on("topics-with-overrides") || len(configs) > 0) && len(ids) > 0 {
		head := "Topic: " + t.Name
		if !t.ID.IsZero() {
			head += "\tTopicId: " + t.ID.String()
		}
		fmt.Fprintf(w, "%s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s%s\n", head, len(ids), len(t.Partitions[ids[0]].Replicas), strings.Join(sortedPairs(configs), ","), mark)
	}
	if z.on("topics-with-overrides") {
		return nil
	}
	minISR, err := strconv.Atoi(configs["min.insync.replicas"])
	if err != nil {
		minISR = 1
	}
	for i, id := range ids {
		p := kadm.PartitionDetail{Partition: id, Leader: znode.NoLeader, Replicas: t.Partitions[id].Replicas}
		if st, ok := states[tps[i]]; ok {
			p.Leader, p.ISR = st.Leader, st.ISR
		}
		if z.filtered() && !z.troubled(described{live: live, minISR: minISR}, p) {
			continue
		}
		fmt.Fprintln(w, partitionLine(t.Name, p)+mark)
	}
	return nil
}

func (z *inZooKeeper) alter(ctx context.Context, topics []string, assignment [][]int32, configs map[string]string) error {
	w := z.OutOrStdout()
	if err := validate(configs); err != nil {
		return err
	}
	for _, name := range topics {
		if z.on("config") || z.on("delete-config") {
			fmt.Fprintln(w, "WARNING: Altering topic configuration from this script has been deprecated and may be removed in future releases.")
			fmt.Fprintln(w, "         Going forward, please use kafka-configs.sh for this functionality")
			if err := z.configure(ctx, name, configs); err != nil {
				return err
			}
			fmt.Fprintf(w, "Updated config for topic %s.\n", name)
		}
		if z.on("partitions") {
			if name == names.ConsumerOffsets {
				return fmt.Errorf("The number of partitions for the topic %s cannot be changed.", name)
			}
			fmt.Fprintln(w, "WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages will be affected")
			if err := z.grow(ctx, name, assignment); err != nil {
				return err
			}
			fmt.Fprintln(w, "Adding partitions succeeded!")
		}
	}
	return nil
}

func (z *inZooKeeper) configure(ctx context.Context, name string, configs map[string]string) error {
	now, _, err := z.s.Entity(ctx, topicsKind, name)
	if err != nil {
		return err
	}
	for k, v := range configs {
		now[k] = v
	}
	for _, k := range z.drops {
		delete(now, strings.TrimSpace(k))
	}
	if err := z.s.SetEntity(ctx, topicsKind, name, now); err != nil {
		return err
	}
	return z.s.NotifyEntity(ctx, topicsKind, name)
}

func (z *inZooKeeper) grow(ctx context.Context, name string, assignment [][]int32) error {
	t, err := z.s.Topic(ctx, name)
	if err != nil {
		return err
	}
	have := len(t.Partitions)
	add := int(z.partitions) - have
	if add <= 0 {
		return fmt.Errorf("The number of partitions for a topic can only be increased. Topic %s currently has %d partitions, %d would not be an increase.", name, have, z.partitions)
	}
	first := t.Partitions[0].Replicas
	if assignment == nil {
		places, err := z.places(ctx)
		if err != nil {
			return err
		}
		if assignment, err = planner.Assign(places, add, len(first), planner.Extend(places, first, have)); err != nil {
			return err
		}
	} else if assignment = assignment[min(have, len(assignment)):]; len(assignment) != add {
		return fmt.Errorf("Topic '%s' gets %d partitions, but --replica-assignment names brokers for %d", name, add, len(assignment))
	}
	for i, replicas := range assignment {
		t.Partitions[int32(have+i)] = znode.Assignment{Replicas: replicas}
	}
	return z.s.SetTopic(ctx, t)
}

func (z *inZooKeeper) remove(ctx context.Context, topics []string) error {
	for _, name := range topics {
		if names.IsInternal(name) {
			return fmt.Errorf("Topic %s is a kafka internal topic and is not allowed to be marked for deletion.", name)
		}
		asked, err := z.s.RequestDeletion(ctx, name)
		if err != nil {
			return err
		}
		if !asked {
			fmt.Fprintf(z.OutOrStdout(), "Topic %s is already marked for deletion.\n", name)
			continue
		}
		fmt.Fprintf(z.OutOrStdout(), "Topic %s is marked for deletion.\n", name)
		fmt.Fprintln(z.OutOrStdout(), "Note: This will have no impact if delete.topic.enable is not set to true.")
	}
	return nil
}
