package znode

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"ottla/broker/topic"
)

type partitionsJSON struct {
	Partitions []struct {
		Topic     string  `json:"topic"`
		Partition int32   `json:"partition"`
		Replicas  []int32 `json:"replicas"`
	} `json:"partitions"`
}

// PreferredElection reads the partitions for which a tool asked for a preferred leader election; exists is false if none did.
func (s *Session) PreferredElection(ctx context.Context) (partitions []topic.Partition, exists bool, err error) {
	data, _, err := s.Get(ctx, PreferredElectionPath)
	if isNoNode(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var j partitionsJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, true, fmt.Errorf("%s: %w", PreferredElectionPath, err)
	}
	for _, p := range j.Partitions {
		partitions = append(partitions, topic.Partition{Topic: p.Topic, Partition: p.Partition})
	}
	return partitions, true, nil
}

// Reassignments reads what a tool asked to be moved where; exists is false if none did.
func (s *Session) Reassignments(ctx context.Context) (targets map[topic.Partition][]int32, exists bool, err error) {
	data, _, err := s.Get(ctx, ReassignPath)
	if isNoNode(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var j partitionsJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, true, fmt.Errorf("%s: %w", ReassignPath, err)
	}
	targets = make(map[topic.Partition][]int32, len(j.Partitions))
	for _, p := range j.Partitions {
		targets[topic.Partition{Topic: p.Topic, Partition: p.Partition}] = p.Replicas
	}
	return targets, true, nil
}

// logDirFailure is the only event there is.
const logDirFailure = 1

type logDirJSON struct {
	Version int   `json:"version"`
	Broker  int32 `json:"broker"`
	Event   int   `json:"event"`
}

// NotifyLogDirFailure tells the controller to ask this broker anew which of its replicas are usable.
func (s *Session) NotifyLogDirFailure(ctx context.Context, broker int32) error {
	data := encode(logDirJSON{Version: 1, Broker: broker, Event: logDirFailure})
	_, err := s.Write(ctx, Fence{}, CreateSequential(LogDirEventsPath+"/"+logDirEventPrefix, data))
	return err
}

// LogDirEvents lists the brokers that reported a log directory failure, each once, and the nodes in which they did.
func (s *Session) LogDirEvents(ctx context.Context) (brokers []int32, nodes []string, err error) {
	names, err := s.Children(ctx, LogDirEventsPath)
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		nodes = append(nodes, LogDirEventsPath+"/"+name)
	}
	reads, err := s.GetAll(ctx, nodes)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range reads {
		var j logDirJSON
		if r.Err == nil && json.Unmarshal(r.Data, &j) == nil && j.Event == logDirFailure && !slices.Contains(brokers, j.Broker) {
			brokers = append(brokers, j.Broker)
		}
	}
	return brokers, nodes, nil
}

// ChildPaths lists the paths of a node's children.
func (s *Session) ChildPaths(ctx context.Context, path string) ([]string, error) {
	names, err := s.Children(ctx, path)
	slices.Sort(names)
	for i, name := range names {
		names[i] = path + "/" + name
	}
	return names, err
}

// DeleteNodes removes childless nodes; missing ones are fine.
func (s *Session) DeleteNodes(ctx context.Context, fence Fence, paths []string) error {
	ops := make([]Op, len(paths))
	for i, p := range paths {
		ops[i] = Delete(p, -1)
	}
	results, err := s.Batch(ctx, fence, ops)
	for _, r := range results {
		if err == nil && r.Err != nil && !isNoNode(r.Err) {
			err = r.Err
		}
	}
	return err
}

// ConsumerOffset reads an offset that OffsetCommit version 0, or a client of 0.8, left in ZooKeeper; found is false if there
// is none.
func (s *Session) ConsumerOffset(ctx context.Context, group, topic string, partition int32) (offset int64, found bool, err error) {
	path := ConsumerOffsetPath(group, topic, partition)
	data, _, err := s.Get(ctx, path)
	if isNoNode(err) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, err
	}
	offset, err = strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return -1, false, fmt.Errorf("%s holds %q, which is not an offset", path, data)
	}
	return offset, true, nil
}

// SetConsumerOffset keeps an offset in ZooKeeper.
func (s *Session) SetConsumerOffset(ctx context.Context, group, topic string, partition int32, offset int64) error {
	path, data := ConsumerOffsetPath(group, topic, partition), []byte(strconv.FormatInt(offset, 10))
	for {
		_, err := s.Write(ctx, Fence{}, Set(path, data, -1))
		if !isNoNode(err) {
			return err
		}
		if made, err := s.CreateAll(ctx, path, data); made || err != nil {
			return err
		}
	}
}
