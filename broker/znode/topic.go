package znode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"ottla/broker/topic"
)

// Assignment is where a partition's replicas are. While it is being reassigned, Replicas holds the old and the new ones.
type Assignment struct {
	Replicas []int32 // the first is the preferred leader
	Adding   []int32
	Removing []int32
}

// Topic is the node of a topic.
type Topic struct {
	Name       string
	ID         topic.ID // zero in nodes that tools before 2.8 wrote
	Partitions map[int32]Assignment
}

// PartitionIDs lists the partitions in ascending order.
func (t Topic) PartitionIDs() []int32 { return slices.Sorted(maps.Keys(t.Partitions)) }

type topicJSON struct {
	Partitions map[string][]int32 `json:"partitions"`
	ID         string             `json:"topic_id,omitempty"`
	Adding     map[string][]int32 `json:"adding_replicas"`
	Removing   map[string][]int32 `json:"removing_replicas"`
	Version    int                `json:"version"`
}

// Encode is the node's data in version 3.
func (t Topic) Encode() []byte {
	j := topicJSON{Partitions: map[string][]int32{}, Adding: map[string][]int32{}, Removing: map[string][]int32{}, Version: 3}
	if !t.ID.IsZero() {
		j.ID = t.ID.String()
	}
	for id, a := range t.Partitions {
		key := strconv.Itoa(int(id))
		j.Partitions[key] = a.Replicas
		if len(a.Adding) > 0 {
			j.Adding[key] = a.Adding
		}
		if len(a.Removing) > 0 {
			j.Removing[key] = a.Removing
		}
	}
	return encode(j)
}

// DecodeTopic reads a topic's node of version 1 to 3. Like Apache Kafka it takes what is there, whatever the version says;
// what brokers could not act on is refused: partitions without replicas, numbers that are none.
func DecodeTopic(name string, data []byte) (Topic, error) {
	var j topicJSON
	fail := func(err error) (Topic, error) { return Topic{}, fmt.Errorf("znode of topic %s: %w", name, err) }
	if err := json.Unmarshal(data, &j); err != nil {
		return fail(err)
	}
	t := Topic{Name: name, Partitions: make(map[int32]Assignment, len(j.Partitions))}
	if j.ID != "" {
		id, err := topic.ParseID(j.ID)
		if err != nil {
			return fail(err)
		}
		t.ID = id
	}
	for key, replicas := range j.Partitions {
		id, err := strconv.ParseInt(key, 10, 32)
		switch {
		case err != nil || id < 0:
			return fail(fmt.Errorf("%q is not a partition number", key))
		case len(replicas) == 0:
			return fail(fmt.Errorf("partition %d has no replicas", id))
		case slices.Min(replicas) < 0:
			return fail(fmt.Errorf("partition %d has a negative replica", id))
		}
		t.Partitions[int32(id)] = Assignment{Replicas: replicas, Adding: j.Adding[key], Removing: j.Removing[key]}
	}
	return t, nil
}

// TopicNames lists the topics.
func (s *Session) TopicNames(ctx context.Context) ([]string, error) {
	names, err := s.Children(ctx, TopicsPath)
	slices.Sort(names)
	return names, err
}

// Topic reads a topic's node; ErrNoNode if there is none.
func (s *Session) Topic(ctx context.Context, name string) (Topic, error) {
	data, _, err := s.Get(ctx, TopicPath(name))
	if err != nil {
		return Topic{}, err
	}
	return DecodeTopic(name, data)
}

// Topics reads topics. Those that vanished meanwhile are left out; those that cannot be understood are in skipped.
func (s *Session) Topics(ctx context.Context, names []string) (topics []Topic, skipped []error, err error) {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = TopicPath(name)
	}
	reads, err := s.GetAll(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	for i, r := range reads {
		if r.Err != nil {
			if !isNoNode(r.Err) {
				return nil, nil, r.Err
			}
			continue
		}
		t, err := DecodeTopic(names[i], r.Data)
		if err != nil {
			skipped = append(skipped, err)
			continue
		}
		topics = append(topics, t)
	}
	return topics, skipped, nil
}

// CreateTopic makes a topic's node: ErrNodeExists if there is one.
func (s *Session) CreateTopic(ctx context.Context, t Topic) error {
	_, err := s.Write(ctx, Fence{}, Create(TopicPath(t.Name), t.Encode()))
	return err
}

// SetTopic replaces a topic's assignment, whatever its version, as tools and brokers do that add partitions.
func (s *Session) SetTopic(ctx context.Context, t Topic) error {
	_, err := s.Write(ctx, Fence{}, Set(TopicPath(t.Name), t.Encode(), -1))
	return err
}

// RequestDeletion asks the controller to delete a topic. asked is false if that was asked for before.
func (s *Session) RequestDeletion(ctx context.Context, name string) (asked bool, err error) {
	_, err = s.Write(ctx, Fence{}, Create(DeleteTopicPath(name), nil))
	if errors.Is(err, ErrNodeExists) {
		return false, nil
	}
	return err == nil, err
}

// IsDeletionRequested says whether a topic is waiting to be deleted.
func (s *Session) IsDeletionRequested(ctx context.Context, name string) (bool, error) {
	_, requested, err := s.Exists(ctx, DeleteTopicPath(name))
	return requested, err
}

// DeletionRequests lists the topics to be deleted.
func (s *Session) DeletionRequests(ctx context.Context) ([]string, error) {
	names, err := s.Children(ctx, DeleteTopicsPath)
	slices.Sort(names)
	return names, err
}
