package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/controller/planner"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// Handlers serves what has to be asked of the controller.
type Handlers struct {
	Controller *Controller
	Topics     *Topics
	Metadata   Metadata
	Configs    TopicConfigs
	// DeleteTopics is delete.topic.enable.
	DeleteTopics bool
	Quotas       Quotas // nil: none
	Logger       zerolog.Logger
}

// Register adds CreateTopics v0-7, DeleteTopics v0-6, CreatePartitions v0-3, ControlledShutdown v0-3, AllocateProducerIds v0,
// ElectLeaders v0-2, ListPartitionReassignments v0, UpdateFeatures v0-1 and Envelope v0.
func (h *Handlers) Register(r *api.Registry) {
	api.Register(r, 0, 7, h.createTopics)
	api.Register(r, 0, 6, h.deleteTopics)
	api.Register(r, 0, 3, h.createPartitions)
	api.Register(r, 0, 3, h.controlledShutdown)
	api.Register(r, 0, 0, h.allocateProducerIDs)
	api.Register(r, 0, 2, h.electLeaders)
	api.Register(r, 0, 0, h.listReassignments)
	api.Register(r, 0, 1, h.updateFeatures)
	api.Register(r, 0, 0, envelope)
}

// clusterMetadataTopic is KRaft's log, which nobody may make.
const clusterMetadataTopic = "__cluster_metadata"

// text is an error's text as it goes on the wire: none for bare codes, and for what is not an error of the protocol.
func text(err error) *string {
	var code *kerr.Error
	if !errors.As(err, &code) || err.Error() == code.Error() {
		return nil
	}
	s := err.Error()
	return &s
}

// code is an error's code; one that is not of the protocol is logged.
func (h *Handlers) code(err error, what, name string) int16 {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return kerr.RequestTimedOut.Code
	case isSessionLost(err):
		return errNotController.Code // if it is not, it was when it was asked: the client looks for the controller anew
	}
	code := api.Code(err)
	if code == kerr.UnknownServerError.Code {
		h.Logger.Error().Err(err).Str("topic", name).Msg(what + " failed")
	}
	return code
}

// isSessionLost says whether a call failed because its session, or the controllership, was lost.
func isSessionLost(err error) bool {
	return errors.Is(err, znode.ErrSessionExpired) || errors.Is(err, znode.ErrClosed) || errors.Is(err, znode.ErrFenced)
}

// writing bounds the time for writes to ZooKeeper, which otherwise wait for it to come back.
func writing(ctx context.Context, r *api.Request, timeoutMillis int32) (context.Context, context.CancelFunc) {
	return awaiting(ctx, r, max(timeoutMillis, 30_000))
}

// awaiting bounds a wait by a request's timeout. The time that has passed since the request arrived counts.
func awaiting(ctx context.Context, r *api.Request, timeoutMillis int32) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, r.Received.Add(time.Duration(timeoutMillis)*time.Millisecond))
}

// CreateTopics: versions 0 to 7. From 1 there is a text and validate-only, from 4 the defaults (-1), from 5 the answer tells
// what was made, from 7 its id.
func (h *Handlers) createTopics(ctx context.Context, r *api.Request, q *kmsg.CreateTopicsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrCreateTopicsResponse()
	count := map[string]int{}
	for _, t := range q.Topics {
		count[t.Topic]++
	}
	write, cancel := writing(ctx, r, q.TimeoutMillis)
	defer cancel()
	budget := h.budget(r, r.Version >= 6)
	defer func() { resp.ThrottleMillis = budget.millis() }()
	active := h.Controller.IsActive()
	type wait struct{ answer, partitions int }
	var waits []wait
	for _, t := range q.Topics {
		a := kmsg.NewCreateTopicsResponseTopic()
		a.Topic, a.NumPartitions, a.ReplicationFactor, a.Configs = t.Topic, -1, -1, []kmsg.CreateTopicsResponseTopicConfig{}
		var err error
		var made Made
		switch {
		case !active:
			err = planner.Refuse(kerr.NotController, "")
		case count[t.Topic] > 1:
			err = planner.Refuse(kerr.InvalidRequest, "Found multiple entries for this topic.")
		case t.Topic == clusterMetadataTopic:
			err = planner.Refuse(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", t.Topic)
		case h.Metadata.HasTopic(t.Topic):
			err = alreadyExists(t.Topic)
		default:
			var n NewTopic
			if n, err = newTopic(t); err == nil {
				n.Permit = budget.take
				made, err = h.Topics.Create(write, n, q.ValidateOnly)
			}
			if err == nil {
				a.NumPartitions, a.ReplicationFactor, a.TopicID = int32(made.Partitions), int16(made.Replicas), made.ID
				a.Configs = h.Configs.Describe(n.Configs)
				waits = append(waits, wait{len(resp.Topics), made.Partitions})
			}
		}
		a.ErrorCode, a.ErrorMessage = h.code(err, "creation", t.Topic), text(err)
		resp.Topics = append(resp.Topics, a)
	}
	if q.ValidateOnly {
		return resp, nil
	}
	ctx, stop := awaiting(ctx, r, q.TimeoutMillis)
	defer stop()
	for _, w := range waits {
		a := &resp.Topics[w.answer]
		led := func() bool { return h.Metadata.IsLed(a.Topic, w.partitions) }
		if q.TimeoutMillis <= 0 || h.Metadata.Wait(ctx, led) != nil {
			a.ErrorCode = kerr.RequestTimedOut.Code
			a.NumPartitions, a.ReplicationFactor, a.Configs = -1, -1, []kmsg.CreateTopicsResponseTopicConfig{} // of an error, but the id
		}
	}
	return resp, nil
}

// newTopic reads a request's topic.
func newTopic(t kmsg.CreateTopicsRequestTopic) (NewTopic, error) {
	n := NewTopic{Name: t.Topic, Partitions: t.NumPartitions, Replicas: t.ReplicationFactor, Configs: map[string]string{}}
	for _, c := range t.Configs {
		if c.Value == nil {
			return n, planner.Refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", c.Name)
		}
		n.Configs[c.Name] = *c.Value
	}
	if len(t.ReplicaAssignment) == 0 {
		return n, nil
	}
	if n.Partitions != -1 || n.Replicas != -1 {
		return n, planner.Refuse(kerr.InvalidRequest, "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.")
	}
	n.Assignment = map[int32][]int32{}
	for _, a := range t.ReplicaAssignment {
		n.Assignment[a.Partition] = a.Replicas
	}
	if len(n.Assignment) < len(t.ReplicaAssignment) {
		return n, planner.Refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
	}
	return n, nil
}

// DeleteTopics: versions 0 to 6. From 6 topics may be named by id.
func (h *Handlers) deleteTopics(ctx context.Context, r *api.Request, q *kmsg.DeleteTopicsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	asked := q.Topics
	for _, name := range q.TopicNames {
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	write, cancel := writing(ctx, r, q.TimeoutMillis)
	defer cancel()
	budget := h.budget(r, r.Version >= 5)
	defer func() { resp.ThrottleMillis = budget.millis() }()
	remove := func(name string) error {
		if err := budget.take(h.Metadata.Partitions(name)); err != nil {
			return err
		}
		return h.Topics.Delete(write, name)
	}
	active := h.Controller.IsActive()
	// One topic that is named twice over makes the whole request wrong.
	wrong := active && h.DeleteTopics && slices.ContainsFunc(asked, func(t kmsg.DeleteTopicsRequestTopic) bool { return t.Topic != nil && t.TopicID != topic.ID{} })
	var waits []string
	for _, t := range asked {
		a := kmsg.NewDeleteTopicsResponseTopic()
		a.Topic, a.TopicID = t.Topic, t.TopicID
		var err error
		switch {
		case !active:
			err = errNotController
		case !h.DeleteTopics:
			err = kerr.TopicDeletionDisabled
			if r.Version < 3 {
				err = kerr.InvalidRequest
			}
		case wrong:
			err = kerr.InvalidRequest
		case t.Topic == nil:
			name, known := h.Metadata.TopicName(t.TopicID)
			if !known {
				err = kerr.UnknownTopicID
				break
			}
			a.Topic = &name
			err = remove(name)
		case !h.Metadata.HasTopic(*t.Topic):
			err = kerr.UnknownTopicOrPartition // what brokers have forgotten is gone, though its znode may be there for a moment
		default:
			err = remove(*t.Topic)
		}
		name := ""
		if a.Topic != nil {
			name = *a.Topic
		}
		a.ErrorCode, a.ErrorMessage = h.code(err, "deletion", name), text(err)
		if err == nil {
			waits = append(waits, name)
		}
		resp.Topics = append(resp.Topics, a)
	}
	ctx, stop := awaiting(ctx, r, q.TimeoutMillis)
	defer stop()
	for _, name := range waits {
		gone := func() bool { return !h.Metadata.HasTopic(name) }
		if q.TimeoutMillis > 0 && h.Metadata.Wait(ctx, gone) == nil {
			continue
		}
		for i := range resp.Topics {
			if t := &resp.Topics[i]; t.ErrorCode == 0 && *t.Topic == name {
				t.ErrorCode = kerr.RequestTimedOut.Code
			}
		}
	}
	return resp, nil
}

// CreatePartitions: versions 0 to 3, all alike but for their encoding.
func (h *Handlers) createPartitions(ctx context.Context, r *api.Request, q *kmsg.CreatePartitionsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	count := map[string]int{}
	for _, t := range q.Topics {
		count[t.Topic]++
	}
	write, cancel := writing(ctx, r, q.TimeoutMillis)
	defer cancel()
	budget := h.budget(r, r.Version >= 3)
	defer func() { resp.ThrottleMillis = budget.millis() }()
	active := h.Controller.IsActive()
	answered := map[string]bool{}
	type wait struct{ answer, partitions int }
	var waits []wait
	for _, t := range q.Topics {
		if answered[t.Topic] {
			continue
		}
		answered[t.Topic] = true
		a := kmsg.NewCreatePartitionsResponseTopic()
		a.Topic = t.Topic
		var err error
		switch {
		case !active:
			err = errNotController
		case count[t.Topic] > 1:
			err = planner.Refuse(kerr.InvalidRequest, "Duplicate topic in request.")
		default:
			err = h.grow(write, t, q.ValidateOnly, budget)
			if err == nil && !q.ValidateOnly {
				waits = append(waits, wait{len(resp.Topics), int(t.Count)})
			}
		}
		a.ErrorCode, a.ErrorMessage = h.code(err, "growth", t.Topic), text(err)
		resp.Topics = append(resp.Topics, a)
	}
	ctx, stop := awaiting(ctx, r, q.TimeoutMillis)
	defer stop()
	for _, w := range waits {
		a := &resp.Topics[w.answer]
		led := func() bool { return h.Metadata.IsLed(a.Topic, w.partitions) }
		if q.TimeoutMillis <= 0 || h.Metadata.Wait(ctx, led) != nil {
			a.ErrorCode = kerr.RequestTimedOut.Code
		}
	}
	return resp, nil
}

func (h *Handlers) grow(ctx context.Context, t kmsg.CreatePartitionsRequestTopic, validateOnly bool, b *budget) error {
	var deleting bool
	if err := h.Controller.inOffice(ctx, func(term *term) error {
		deleting = term.plan.IsDeleting(t.Topic)
		return nil
	}); err != nil {
		return err
	}
	if deleting {
		return planner.Refuse(kerr.InvalidTopicException, "The topic is queued for deletion.")
	}
	var assignment [][]int32
	for _, a := range t.Assignment {
		assignment = append(assignment, a.Replicas)
	}
	return h.Topics.Grow(ctx, t.Topic, t.Count, assignment, validateOnly, b.take)
}

// ControlledShutdown: versions 0 to 3. From 2 there is the broker's epoch.
func (h *Handlers) controlledShutdown(ctx context.Context, r *api.Request, q *kmsg.ControlledShutdownRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrControlledShutdownResponse()
	epoch := int64(-1)
	if r.Version >= 2 {
		epoch = q.BrokerEpoch
	}
	var done *planner.Shutdown
	err := h.Controller.inOffice(ctx, func(t *term) (err error) {
		done, err = t.shutdown(q.BrokerID, epoch)
		return err
	})
	switch {
	case errors.Is(err, kerr.NotController):
		// Kafka's exception for a controller that has moved has this code.
		resp.ErrorCode = kerr.StaleControllerEpoch.Code
	case err != nil:
		resp.ErrorCode = h.code(err, "controlled shutdown", "")
	case done.Outcome == planner.ShutdownUnknownBroker && epoch >= 0:
		// Kafka looks the epoch up first, which fails without a name of its own.
		resp.ErrorCode = kerr.UnknownServerError.Code
	case done.Outcome == planner.ShutdownUnknownBroker:
		resp.ErrorCode = kerr.BrokerNotAvailable.Code
	case done.Outcome == planner.ShutdownStaleEpoch:
		resp.ErrorCode = kerr.StaleBrokerEpoch.Code
	default:
		for _, tp := range done.Remaining {
			p := kmsg.NewControlledShutdownResponsePartitionsRemaining()
			p.Topic, p.Partition = tp.Topic, tp.Partition
			resp.PartitionsRemaining = append(resp.PartitionsRemaining, p)
		}
	}
	return resp, nil
}

// AllocateProducerIds: version 0 (KIP-730).
func (h *Handlers) allocateProducerIDs(ctx context.Context, _ *api.Request, q *kmsg.AllocateProducerIDsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrAllocateProducerIDsResponse()
	err := h.Controller.inOffice(ctx, func(t *term) (err error) {
		resp.ProducerIDStart, resp.ProducerIDLen, err = t.allocate(q.BrokerID, q.BrokerEpoch)
		return err
	})
	resp.ErrorCode = h.code(err, "allocation of producer ids", "")
	return resp, nil
}
