package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/controller/planner"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// TopicsConfig is what Topics needs.
type TopicsConfig struct {
	Partitions  int32 // num.partitions
	Replicas    int16 // default.replication.factor, as it counts here
	Replication bool  // as in Config
	Random      func([]byte) (int, error)
	Logger      zerolog.Logger
}

// Topics makes, grows and deletes topics by writing znodes. Every broker has one: auto-creation does not ask the controller.
// Safe for concurrent use.
type Topics struct {
	client   *znode.Client
	metadata Metadata
	configs  TopicConfigs
	cfg      TopicsConfig

	mu      sync.Mutex
	making  map[string]*making // by Ensure
	noticed bool               // that more replicas were asked for by the broker itself than there will be
}

type making struct {
	done chan struct{}
	err  error
}

// NewTopics returns a service on the client's sessions.
func NewTopics(client *znode.Client, metadata Metadata, configs TopicConfigs, cfg TopicsConfig) *Topics {
	return &Topics{client: client, metadata: metadata, configs: configs, cfg: cfg, making: map[string]*making{}}
}

// NewTopic is a topic to be made.
type NewTopic struct {
	Name       string
	Partitions int32             // -1: the broker's default
	Replicas   int16             // -1: the broker's default
	Assignment map[int32][]int32 // in place of the two, if not nil
	Configs    map[string]string
	Internal   bool                       // made by the broker itself: its configs are not judged
	Permit     func(partitions int) error // asked before it is made, if not nil
}

// Made is a topic that was made, or could be.
type Made struct {
	ID         topic.ID // zero if it was only validated
	Partitions int
	Replicas   int
}

// Create makes a topic, or only checks that it could be made. Errors wrap a *kerr.Error and have Kafka's text.
func (t *Topics) Create(ctx context.Context, n NewTopic, validateOnly bool) (Made, error) {
	if t.metadata.HasTopic(n.Name) {
		return Made{}, alreadyExists(n.Name)
	}
	assignment, err := t.assign(n)
	if err != nil {
		return Made{}, err
	}
	s, err := t.client.Session(ctx)
	if err != nil {
		return Made{}, err
	}
	if err := t.checkName(ctx, s, n.Name); err != nil {
		return Made{}, err
	}
	if err := checkAssignment(assignment); err != nil {
		return Made{}, err
	}
	made := Made{Partitions: len(assignment), Replicas: len(assignment[0])}
	if made.Replicas > 1 && !t.cfg.Replication {
		return Made{}, planner.Refuse(kerr.InvalidReplicationFactor,
			"Replication factor: %d is not available: this version keeps one copy of each partition. Use replication factor 1.", made.Replicas)
	}
	if !n.Internal {
		if err := t.configs.Validate(n.Name, n.Configs); err != nil {
			return Made{}, err
		}
	}
	if validateOnly {
		return made, nil
	}
	if n.Permit != nil {
		if err := n.Permit(made.Partitions); err != nil {
			return Made{}, err
		}
	}
	node := znode.Topic{Name: n.Name, Partitions: map[int32]znode.Assignment{}}
	for id, replicas := range assignment {
		node.Partitions[id] = znode.Assignment{Replicas: replicas}
	}
	if node.ID, err = topic.NewID(t.cfg.Random); err != nil {
		return Made{}, err
	}
	// The configuration first: once the topic is there, brokers make its logs.
	if err := s.SetEntity(ctx, "topics", n.Name, n.Configs); err != nil {
		return Made{}, err
	}
	err = s.CreateTopic(ctx, node)
	if errors.Is(err, znode.ErrNodeExists) {
		return Made{}, alreadyExists(n.Name)
	}
	made.ID = node.ID
	return made, err
}

func alreadyExists(name string) error {
	return planner.Refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
}

func (t *Topics) assign(n NewTopic) (map[int32][]int32, error) {
	if n.Assignment != nil {
		return n.Assignment, nil
	}
	if n.Partitions == -1 {
		n.Partitions = t.cfg.Partitions
	}
	if n.Replicas == -1 {
		n.Replicas = t.cfg.Replicas
	}
	places := planner.WithoutMixedRacks(t.metadata.Places())
	var at planner.Placement
	if len(places) > 0 {
		at.First, at.Shift = rand.IntN(len(places)), rand.IntN(len(places))
	}
	lists, err := planner.Assign(places, int(n.Partitions), int(n.Replicas), at)
	if err != nil {
		return nil, err
	}
	assignment := make(map[int32][]int32, len(lists))
	for i, replicas := range lists {
		assignment[int32(i)] = replicas
	}
	return assignment, nil
}

// checkName says whether a topic of this name can be made.
func (t *Topics) checkName(ctx context.Context, s *znode.Session, name string) error {
	if err := topic.Validate(name); err != nil {
		return planner.Refuse(kerr.InvalidTopicException, "%s", err)
	}
	deleting, err := s.IsDeletionRequested(ctx, name)
	if err != nil {
		return err
	}
	if deleting {
		return planner.Refuse(kerr.TopicAlreadyExists, "Topic '%s' is marked for deletion.", name)
	}
	_, exists, err := s.Exists(ctx, znode.TopicPath(name))
	if err != nil {
		return err
	}
	if exists {
		return alreadyExists(name)
	}
	if !strings.ContainsAny(name, "._") {
		return nil
	}
	names, err := s.TopicNames(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(names, name) {
		return alreadyExists(name)
	}
	if colliding := slices.DeleteFunc(names, func(other string) bool { return !topic.Collides(name, other) }); len(colliding) > 0 {
		return planner.Refuse(kerr.InvalidTopicException, "Topic '%s' collides with existing topics: %s", name, strings.Join(colliding, ", "))
	}
	return nil
}

func checkAssignment(assignment map[int32][]int32) error {
	for id := range int32(len(assignment)) {
		replicas, ok := assignment[id]
		switch {
		case !ok:
			return planner.Refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		case len(replicas) != len(assignment[0]):
			return planner.Refuse(kerr.InvalidReplicaAssignment, "All partitions should have the same number of replicas")
		case hasDuplicate(replicas):
			return planner.Refuse(kerr.InvalidReplicaAssignment, "Duplicate replica assignment found: %v", assignment)
		case slices.ContainsFunc(replicas, func(b int32) bool { return b < 0 }):
			return planner.Refuse(kerr.InvalidReplicaAssignment, "Negative broker id in replica assignment of partition %d: %v", id, replicas)
		}
	}
	if len(assignment) == 0 || len(assignment[0]) == 0 {
		return planner.Refuse(kerr.InvalidReplicaAssignment, "Replica assignment is empty")
	}
	return nil
}

func hasDuplicate(ids []int32) bool {
	sorted := slices.Sorted(slices.Values(ids))
	return len(slices.Compact(sorted)) < len(ids)
}

// Ensure makes a topic that the broker itself needs, unless it exists, and returns once it is in ZooKeeper. Who comes second,
// here or on another broker, gets nil. More replicas than there can be count as one, with a warning.
func (t *Topics) Ensure(ctx context.Context, name string, partitions int32, replicas int16, configs map[string]string) error {
	if replicas > 1 && !t.cfg.Replication {
		t.mu.Lock()
		first := !t.noticed
		t.noticed = true
		t.mu.Unlock()
		if first {
			t.cfg.Logger.Warn().Str("topic", name).Int16("configured", replicas).Msg("internal topics are made with one replica: this version keeps one copy of each partition")
		}
		replicas = 1
	}
	return t.once(ctx, NewTopic{Name: name, Partitions: partitions, Replicas: replicas, Configs: configs, Internal: true})
}

// AutoCreate makes a topic that a client named, with the broker's defaults, as Ensure does.
func (t *Topics) AutoCreate(ctx context.Context, name string) error {
	return t.once(ctx, NewTopic{Name: name, Partitions: -1, Replicas: -1})
}

// once makes a topic; those who ask for it at the same time wait for the first.
func (t *Topics) once(ctx context.Context, n NewTopic) error {
	t.mu.Lock()
	m, running := t.making[n.Name]
	if !running {
		m = &making{done: make(chan struct{})}
		t.making[n.Name] = m
	}
	t.mu.Unlock()
	if running {
		select {
		case <-m.done:
			return m.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := t.Create(ctx, n, false)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		err = nil
	}
	switch {
	case isSessionLost(err):
		err = fmt.Errorf("make topic %s: %w: %w", n.Name, kerr.LeaderNotAvailable, err) // ask again
	case err != nil:
		err = fmt.Errorf("make topic %s: %w", n.Name, err)
	}
	t.mu.Lock()
	m.err = err
	delete(t.making, n.Name)
	t.mu.Unlock()
	close(m.done)
	return err
}

// Delete asks for a topic's deletion. Asking again is fine.
func (t *Topics) Delete(ctx context.Context, name string) error {
	s, err := t.client.Session(ctx)
	if err != nil {
		return err
	}
	_, exists, err := s.Exists(ctx, znode.TopicPath(name))
	if err != nil {
		return err
	}
	if !exists {
		return kerr.UnknownTopicOrPartition
	}
	_, err = s.RequestDeletion(ctx, name)
	return err
}

// Grow raises the number of a topic's partitions to count. assignment is one list of replicas for each added partition, or nil. permit is asked
// before they are added.
func (t *Topics) Grow(ctx context.Context, name string, count int32, assignment [][]int32, validateOnly bool, permit func(partitions int) error) error {
	s, err := t.client.Session(ctx)
	if err != nil {
		return err
	}
	node, err := s.Topic(ctx, name)
	if errors.Is(err, znode.ErrNoNode) {
		return planner.Refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", name)
	}
	if err != nil {
		return err
	}
	existing := int32(len(node.Partitions))
	p0, ok := node.Partitions[0]
	switch {
	case !ok:
		return fmt.Errorf("Unexpected existing replica assignment for topic '%s', partition id 0 is missing.", name)
	case slices.ContainsFunc(slices.Collect(maps.Values(node.Partitions)), func(a znode.Assignment) bool { return len(a.Adding)+len(a.Removing) > 0 }):
		return planner.Refuse(kerr.ReassignmentInProgress, "A partition reassignment is in progress for the topic '%s'.", name)
	case count < existing:
		return planner.Refuse(kerr.InvalidPartitions, "Topic currently has %d partitions, which is higher than the requested %d.", existing, count)
	case count == existing:
		return planner.Refuse(kerr.InvalidPartitions, "Topic already has %d partitions.", existing)
	}
	places := planner.WithoutMixedRacks(t.metadata.Places())
	if assignment == nil {
		at := planner.Extend(places, p0.Replicas, int(existing))
		if assignment, err = planner.Assign(places, int(count-existing), len(p0.Replicas), at); err != nil {
			return err
		}
	} else if err := checkAdded(assignment, places, int(count-existing), existing, len(p0.Replicas)); err != nil {
		return err
	}
	if validateOnly {
		return nil
	}
	if err := permit(len(assignment)); err != nil {
		return err
	}
	for i, replicas := range assignment {
		node.Partitions[existing+int32(i)] = znode.Assignment{Replicas: replicas}
	}
	return s.SetTopic(ctx, node)
}

// checkAdded judges the assignment that a request gives to added partitions.
func checkAdded(assignment [][]int32, places []planner.Place, added int, existing int32, factor int) error {
	alive := map[int32]bool{}
	for _, p := range places {
		alive[p.ID] = true
	}
	var unknown []int32
	for _, replicas := range assignment {
		for _, b := range replicas {
			if !alive[b] && !slices.Contains(unknown, b) {
				unknown = append(unknown, b)
			}
		}
	}
	refuse := func(format string, args ...any) error {
		return planner.Refuse(kerr.InvalidReplicaAssignment, format, args...)
	}
	switch {
	case len(unknown) > 0:
		return refuse("Unknown broker(s) in replica assignment: %s.", join(unknown))
	case len(assignment) != added:
		return refuse("Increasing the number of partitions by %d but %d assignments provided.", added, len(assignment))
	}
	var odd, factors []int32
	for i, replicas := range assignment {
		id := existing + int32(i)
		switch {
		case len(replicas) == 0:
			return refuse("Cannot have replication factor of 0 for partition id %d.", id)
		case hasDuplicate(replicas):
			return refuse("Duplicate brokers not allowed in replica assignment: %s for partition id %d.", join(replicas), id)
		case len(replicas) != factor:
			odd, factors = append(odd, id), append(factors, int32(len(replicas)))
		}
	}
	if len(odd) > 0 {
		return refuse("Inconsistent replication factor between partitions, partition 0 has %d while partitions [%s] have replication factors [%s], respectively.",
			factor, join(odd), join(factors))
	}
	return nil
}

func join(ids []int32) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(ids), "[]"), " ", ", ")
}
