package metadata

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/topic"
)

// Operations that may be authorised on a cluster and on a topic, as bits by their codes: what a broker without an
// authorizer answers (KIP-430).
const (
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	operationsOmitted = -1 << 31
)

// Query serves Metadata and DescribeCluster.
type Query struct {
	Store     *Store
	ClusterID string
	// AutoCreate makes a topic that a client asked for, with the broker's defaults, and returns once the request to make it
	// is recorded: nil also if somebody else made it meanwhile. A nil func means that auto.create.topics.enable is false.
	AutoCreate func(ctx context.Context, name string) error
}

// Register adds Metadata v0-12 and DescribeCluster v0-1.
func (q *Query) Register(r *api.Registry) {
	api.Register(r, 0, 12, q.serve)
	api.Register(r, 0, 1, q.describeCluster)
}

func (q *Query) serve(ctx context.Context, r *api.Request, req *kmsg.MetadataRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrMetadataResponse()
	if r.Version < 12 && refusesIDs(req, resp) {
		return resp, nil
	}
	im := q.known(ctx)
	resp.ClusterID = &q.ClusterID
	resp.ControllerID = im.Controller()
	resp.AuthorizedOperations = operationsOmitted
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	for i := range im.brokers {
		b := &im.brokers[i]
		if e, ok := b.Endpoint(r.Conn.Listener); ok {
			rb := kmsg.NewMetadataResponseBroker()
			rb.NodeID, rb.Host, rb.Port, rb.Rack = b.ID, e.Host, e.Port, b.Rack
			resp.Brokers = append(resp.Brokers, rb)
		}
	}
	v := view{im: im, listener: r.Conn.Listener, version: r.Version, operations: operationsOmitted}
	if req.IncludeTopicAuthorizedOperations {
		v.operations = topicOperations
	}
	if req.Topics == nil || r.Version == 0 && len(req.Topics) == 0 {
		all := slices.SortedFunc(im.Topics(), func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
		for _, t := range all {
			resp.Topics = append(resp.Topics, v.topic(t))
		}
		return resp, nil
	}
	autoCreate := r.Version < 4 || req.AllowAutoTopicCreation
	asked := make(map[string]bool, len(req.Topics))
	byID := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	for _, t := range req.Topics {
		if byID && t.TopicID == [16]byte{} {
			continue // as in Apache Kafka: where there are ids, names do not count
		}
		if t.Topic == nil || t.TopicID != [16]byte{} {
			resp.Topics = append(resp.Topics, v.byID(t.TopicID))
			continue
		}
		if asked[*t.Topic] {
			continue
		}
		asked[*t.Topic] = true
		if known, ok := im.Topic(*t.Topic); ok {
			resp.Topics = append(resp.Topics, v.topic(known))
			continue
		}
		err := q.unknown(ctx, *t.Topic, autoCreate)
		resp.Topics = append(resp.Topics, v.failed(*t.Topic, err))
	}
	return resp, nil
}

// firstImagePatience bounds how long an answer waits for the controller's first word.
const firstImagePatience = 5 * time.Second

// known is the current image. A broker that has just started waits for the controller's first word, a matter of milliseconds:
// an answer without brokers says that topics do not exist and that none can be made, which clients take for final.
func (q *Query) known(ctx context.Context) *Image {
	im := q.Store.Load()
	if len(im.brokers) > 0 {
		return im
	}
	ctx, cancel := context.WithTimeout(ctx, firstImagePatience)
	defer cancel()
	im, _ = q.Store.Wait(ctx, func(im *Image) bool { return len(im.brokers) > 0 })
	return im
}

// refusesIDs fills in the answer to topic ids or missing names in versions that have the fields and not the meaning.
func refusesIDs(req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) bool {
	refused := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.Topic == nil || t.TopicID != [16]byte{} })
	if !refused {
		return false
	}
	resp.ControllerID = -1
	resp.AuthorizedOperations = operationsOmitted
	for _, t := range req.Topics {
		rt := kmsg.NewMetadataResponseTopic()
		rt.ErrorCode, rt.Topic, rt.TopicID, rt.AuthorizedOperations = kerr.InvalidRequest.Code, t.Topic, t.TopicID, operationsOmitted
		if rt.Topic == nil {
			rt.Topic = new(string)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return true
}

// unknown is the error for a topic that the image does not have. A topic just made has no leader yet: clients ask again.
func (q *Query) unknown(ctx context.Context, name string, autoCreate bool) error {
	if topic.Validate(name) != nil {
		return kerr.InvalidTopicException
	}
	if !autoCreate || q.AutoCreate == nil {
		return kerr.UnknownTopicOrPartition
	}
	if err := q.AutoCreate(ctx, name); err != nil {
		return err
	}
	return kerr.LeaderNotAvailable
}

// view is an image as one request sees it.
type view struct {
	im         *Image
	listener   string
	version    int16
	operations int32
}

func (v view) failed(name string, err error) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	rt.ErrorCode, rt.Topic, rt.IsInternal, rt.AuthorizedOperations = api.Code(err), &name, topic.IsInternal(name), v.operations
	return rt
}

func (v view) byID(id topic.ID) kmsg.MetadataResponseTopic {
	if t, ok := v.im.TopicByID(id); ok {
		return v.topic(t)
	}
	rt := kmsg.NewMetadataResponseTopic()
	rt.ErrorCode, rt.TopicID, rt.AuthorizedOperations = kerr.UnknownTopicID.Code, id, operationsOmitted
	return rt
}

func (v view) topic(t *Topic) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.TopicID, rt.IsInternal, rt.AuthorizedOperations = &t.Name, t.ID, topic.IsInternal(t.Name), v.operations
	rt.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		rt.Partitions[i] = v.partition(&t.Partitions[i])
	}
	return rt
}

func (v view) partition(p *Partition) kmsg.MetadataResponseTopicPartition {
	rp := kmsg.NewMetadataResponseTopicPartition()
	rp.Partition, rp.Leader, rp.LeaderEpoch = p.ID, p.Leader, p.LeaderEpoch
	rp.Replicas, rp.ISR, rp.OfflineReplicas = p.Replicas, p.ISR, p.OfflineReplicas
	if err := v.reachable(p.Leader); err != nil {
		rp.ErrorCode, rp.Leader = api.Code(err), NoLeader
	}
	if v.version == 0 { // the only version that leaves dead replicas out, and says so
		rp.Replicas, rp.ISR = v.alive(p.Replicas), v.alive(p.ISR)
		if rp.ErrorCode == 0 && (len(rp.Replicas) < len(p.Replicas) || len(rp.ISR) < len(p.ISR)) {
			rp.ErrorCode = kerr.ReplicaNotAvailable.Code
		}
	}
	return rp
}

// reachable says why a client on this listener cannot be sent to the leader.
func (v view) reachable(leader int32) error {
	b, alive := v.im.Broker(leader)
	if !alive {
		return kerr.LeaderNotAvailable
	}
	if _, ok := b.Endpoint(v.listener); !ok {
		if v.version >= 6 {
			return kerr.ListenerNotFound
		}
		return kerr.LeaderNotAvailable
	}
	return nil
}

func (v view) alive(ids []int32) []int32 {
	live := make([]int32, 0, len(ids))
	for _, id := range ids {
		if b, ok := v.im.Broker(id); ok {
			if _, ok := b.Endpoint(v.listener); ok {
				live = append(live, id)
			}
		}
	}
	return live
}
