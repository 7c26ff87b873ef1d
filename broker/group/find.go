package group

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/topic"
)

// Kinds of coordinators.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

// findWait is how long FindCoordinator waits for an internal topic that it has made to get its leaders. Kafka answers
// COORDINATOR_NOT_AVAILABLE at once, which some old clients give up on.
const findWait = 3 * time.Second

// NoTransactions is what clients are told that want to use a transactional id.
const NoTransactions = "Transactions are not supported by this version of the broker."

// found is the answer for one key.
type found struct {
	broker  Broker
	err     *kerr.Error
	message string
}

// findCoordinator serves versions 0 to 6: one key, from 4 on many. From 1 on a kind comes with it; 6 allows share groups, which this
// broker has not.
func (c *Coordinator) findCoordinator(ctx context.Context, r *api.Request, req *kmsg.FindCoordinatorRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	ctx, cancel := context.WithTimeout(ctx, findWait) // for all keys together
	defer cancel()
	if req.Version >= 4 {
		made := true
		for _, key := range req.CoordinatorKeys {
			f := c.find(ctx, req.CoordinatorType, key, r.Conn.Listener, made)
			made = made && f.err != kerr.CoordinatorNotAvailable
			if req.CoordinatorType == shareCoordinator {
				// As Apache Kafka 3.9, which has none either. A kind that it does not know has a text; what it knows has none.
				f.message = ""
				if req.Version >= 6 {
					f.err = kerr.CoordinatorNotAvailable
				}
			}
			resp.Coordinators = append(resp.Coordinators, kmsg.FindCoordinatorResponseCoordinator{
				Key: key, NodeID: f.broker.ID, Host: f.broker.Host, Port: f.broker.Port, ErrorCode: code(f.err), ErrorMessage: &f.message,
			})
		}
		return resp, nil
	}
	f := c.find(ctx, req.CoordinatorType, req.CoordinatorKey, r.Conn.Listener, true)
	if f.err == nil {
		f.message = "NONE"
	}
	resp.NodeID, resp.Host, resp.Port = f.broker.ID, f.broker.Host, f.broker.Port
	resp.ErrorCode, resp.ErrorMessage = code(f.err), &f.message
	return resp, nil
}

// find names the broker that coordinates a key, with its address on the listener that the client uses. create lets it make the
// topic, and wait for it.
func (c *Coordinator) find(ctx context.Context, kind int8, key, listener string, create bool) found {
	fail := func(err *kerr.Error, message string) found {
		return found{broker: Broker{ID: -1, Port: -1}, err: err, message: message}
	}
	switch kind {
	case groupCoordinator:
	case transactionCoordinator:
		return fail(kerr.TransactionalIDAuthorizationFailed, NoTransactions)
	default:
		return fail(kerr.InvalidRequest, kerr.InvalidRequest.Description)
	}
	var b Broker
	led := func() (ok bool) {
		if c.metadata.PartitionCount(topic.ConsumerOffsets) > 0 {
			b, ok = c.metadata.Leader(topic.ConsumerOffsets, topic.CoordinatorPartition(key, c.partitionCount()), listener)
		}
		return ok
	}
	if led() {
		return found{broker: b}
	}
	if create && c.metadata.PartitionCount(topic.ConsumerOffsets) == 0 {
		err := c.topics.Ensure(ctx, topic.ConsumerOffsets, c.cfg.OffsetsTopicPartitions, c.cfg.OffsetsTopicReplicas, c.offsetsTopicConfigs())
		if err == nil && c.await(ctx, led) {
			return found{broker: b}
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.Warn().Err(err).Str("topic", topic.ConsumerOffsets).Msg("group coordinator could not make its topic")
		}
	}
	return fail(kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable.Description)
}

// await waits until done says true, asking whenever the metadata changes; false when ctx ends first.
func (c *Coordinator) await(ctx context.Context, done func() bool) bool {
	defer api.Waiting(ctx)()
	for {
		changed := c.metadata.Changed()
		if done() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-c.ctx.Done():
			return false
		}
	}
}

// offsetsTopicConfigs is what __consumer_offsets is made with.
func (c *Coordinator) offsetsTopicConfigs() map[string]string {
	return map[string]string{
		"cleanup.policy":   "compact",
		"compression.type": "producer",
		"segment.bytes":    strconv.Itoa(int(c.cfg.OffsetsTopicSegmentBytes)),
	}
}
