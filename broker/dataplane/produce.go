package dataplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/partition"
	"ottla/broker/purgatory"
	"ottla/broker/record"
	"ottla/broker/topic"
)

// Versions served.
const (
	keyProduce, produceMax         = 0, 11
	keyFetch, fetchMax             = 1, 17
	keyListOffsets, listOffsetsMax = 2, 9
)

// adminClientID is the client id under which internal topics may be written to, as in Apache Kafka.
const adminClientID = "__admin_client"

const noTransactions = "Transactions are not supported by this version of the broker."

// Produce serves Produce requests.
type Produce struct {
	cfg     Config
	waiting *atomic.Int64 // requests
}

// Register adds Produce 0-11, Fetch 0-17, ListOffsets 0-9, DeleteRecords 0-2, OffsetForLeaderEpoch 0-4 and DescribeProducers 0.
func Register(r *api.Registry, cfg Config) *Plane {
	if cfg.FetchMaxBytes == 0 {
		cfg.FetchMaxBytes = 57671680
	}
	if cfg.FetchSessionsMax == 0 {
		cfg.FetchSessionsMax = 1000
	}
	if cfg.SyncTimeout == 0 {
		cfg.SyncTimeout = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := newFetcher(cfg)
	plane := &Plane{fetcher: f}
	p := &Produce{cfg: cfg, waiting: &plane.produces}
	r.Add(api.Entry{Key: keyProduce, Max: produceMax, Sweep: p.sweep})
	r.Add(api.Entry{Key: keyFetch, Max: fetchMax, Handle: f.handle})
	api.Register(r, 0, listOffsetsMax, (&offsets{cfg}).handle)
	api.Register(r, 0, deleteRecordsMax, (&deletes{cfg, &plane.deletes}).handle)
	api.Register(r, 0, 4, (&epochs{cfg}).handle)
	api.Register(r, 0, 0, (&producers{cfg}).handle)
	return plane
}

// round is the scratch space of one sweep.
type round struct {
	produces []*produce
	groups   []group
	index    map[*partition.Partition]int // of groups, once there are many
}

// group is what a sweep appends to one partition.
type group struct {
	p     *partition.Partition
	parts []*producePart
	sets  []*commitlog.AppendSet
	acks  []int16
}

var rounds = sync.Pool{New: func() any { return &round{index: map[*partition.Partition]int{}} }}

// groupsSearched is how many groups are searched one by one before the map takes over.
const groupsSearched = 8

// sweep serves the requests that arrived together: one append for each partition, one answer for each request.
func (h *Produce) sweep(_ context.Context, reqs []*api.Request) []api.Answer {
	r := rounds.Get().(*round)
	defer r.free()
	var begin time.Time
	if metered := h.cfg.Quotas != nil && h.cfg.Quotas.Active(); metered {
		begin = time.Now()
	}
	for _, req := range reqs {
		r.produces = append(r.produces, h.begin(req, r))
	}
	for i := range r.groups {
		g := &r.groups[i]
		epoch, _ := g.p.Append(g.sets, g.acks) // each set has its own error
		for _, part := range g.parts {
			part.epoch, part.start = epoch, part.set.LogStartOffset
			if part.set.Err != nil {
				countRefused(g.p.Traffic(), 0, part.set.Err)
				part.refuse(part.set.Err)
			}
		}
	}
	answers := make([]api.Answer, len(reqs))
	for i, q := range r.produces {
		q.forgetRecords()
		q.watch()
		answers[i] = q
		if !begin.IsZero() {
			q.meter = meter{reqs[i].Conn, reqs[i].ClientID, reqs[i].Size, time.Since(begin) / time.Duration(len(reqs))}
		}
	}
	return answers
}

func (r *round) free() {
	if cap(r.groups) > pooledMax {
		return
	}
	clear(r.produces)
	r.produces = r.produces[:0]
	for i := range r.groups {
		g := &r.groups[i]
		clear(g.parts)
		clear(g.sets)
		*g = group{parts: g.parts[:0], sets: g.sets[:0], acks: g.acks[:0]}
	}
	r.groups = r.groups[:0]
	clear(r.index)
	rounds.Put(r)
}

// add puts a part that may be appended into the group of its partition.
func (r *round) add(part *producePart, acks int16) {
	g := r.group(part.p)
	g.parts, g.sets, g.acks = append(g.parts, part), append(g.sets, &part.set), append(g.acks, acks)
}

func (r *round) group(p *partition.Partition) *group {
	if len(r.groups) <= groupsSearched {
		for i := range r.groups {
			if r.groups[i].p == p {
				return &r.groups[i]
			}
		}
	} else if i, ok := r.index[p]; ok {
		return &r.groups[i]
	}
	if len(r.groups) == cap(r.groups) {
		r.groups = slices.Grow(r.groups, 1)
	}
	r.groups = r.groups[:len(r.groups)+1] // a freed group's slices are still there
	g := &r.groups[len(r.groups)-1]
	g.p = p
	if len(r.groups) == groupsSearched+1 {
		for i := range r.groups {
			r.index[r.groups[i].p] = i
		}
	} else if len(r.groups) > groupsSearched+1 {
		r.index[p] = len(r.groups) - 1
	}
	return g
}

// begin decodes a request and judges each of its partitions up to the append.
func (h *Produce) begin(req *api.Request, r *round) *produce {
	q := produces.Get().(*produce)
	q.handler, q.listener = h, req.Conn.Listener
	if q.err = q.decode(req.Body, req.Version); q.err != nil {
		q.err = fmt.Errorf("decode Produce v%d: %w", req.Version, q.err)
		return q
	}
	if q.isTransactional() {
		for i := range q.parts {
			q.parts[i].refuse(kerr.TransactionalIDAuthorizationFailed)
			q.parts[i].message = noTransactions
		}
		return q
	}
	admin := req.ClientID == adminClientID
	for _, t := range q.topics {
		for i := range q.parts[t.first : t.first+t.n] {
			part := &q.parts[t.first+i]
			if err := h.judge(q, t.name, part, admin); err != nil {
				part.refuse(err)
				continue
			}
			if len(part.set.Batches) > 0 {
				r.add(part, q.acks)
			}
		}
	}
	return q
}

// isTransactional says whether the request belongs to a transaction, by its id or by a batch.
func (q *produce) isTransactional() bool {
	if q.txn {
		return true
	}
	for i := range q.parts {
		if h, err := record.ParseHeader(q.parts[i].records); err == nil && h.IsTransactional() {
			return true
		}
	}
	return false
}

// judge finds the partition and prepares part.set; with an error nothing is appended. A set without batches is a success.
func (h *Produce) judge(q *produce, name string, part *producePart, admin bool) error {
	p, err := h.cfg.lookup(name, part.index)
	switch {
	case p == nil && api.Code(err) == kerr.UnknownTopicOrPartition.Code:
		return err
	case part.null && q.version >= 3:
		return kerr.InvalidRecord // Apache Kafka never answers
	case q.acks < partition.AcksAll || q.acks > 1:
		return kerr.InvalidRequiredAcks
	case topic.IsInternal(name) && !admin:
		return kerr.InvalidTopicException
	case err != nil:
		return err
	case !p.Role().Leads:
		part.p = p
		return kerr.NotLeaderForPartition
	}
	part.p = p
	p.Traffic().Produces.Add(1)
	o := p.ValidateOptions(q.version)
	o.Batches = part.header[:0]
	v, err := record.Validate(part.records, o)
	if err != nil {
		countRefused(p.Traffic(), len(part.records), err)
		return err
	}
	if v.Converted {
		p.Traffic().ProduceConversions.Add(1)
	}
	part.set = commitlog.AppendSet{Records: v.Records, Batches: v.Batches, ClientOrigin: true, LogAppendTime: v.LogAppendTime}
	if len(v.Batches) == 0 { // old messages, and none of them
		part.set.FirstOffset, part.set.LastOffset, part.start = -1, -1, p.Log().LogStart()
	}
	return nil
}

// refuse answers the partition with the error. Where Apache Kafka has got as far as looking at the log, the answer has the log's
// start, else -1.
func (part *producePart) refuse(err error) {
	if !errors.As(err, &part.code) {
		part.code = kerr.UnknownServerError
	}
	looked := part.p != nil
	var r *record.Rejection
	if errors.As(err, &r) {
		part.rejected, part.message = r.Records, r.Message()
		looked = looked && !r.BeforeLog
	}
	switch part.code {
	case kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage, kerr.KafkaStorageError:
		looked = false
	}
	part.start = -1
	if looked {
		part.start = part.p.Log().LogStart()
	}
}

// forgetRecords lets go of the connection's buffer: an answer may be pending for long, and the buffer's memory is given back, to be
// used by others, when the sweep ends.
func (q *produce) forgetRecords() {
	for i := range q.parts {
		q.parts[i].records, q.parts[i].set.Records = nil, nil
	}
}

// watch decides whether the answer is there, and begins to wait if it is not.
func (q *produce) watch() {
	timeout := time.Duration(max(q.timeout, 0)) * time.Millisecond
	for i := range q.parts {
		part := &q.parts[i]
		if part.code != nil || len(part.set.Batches) == 0 || q.acks == 0 {
			continue
		}
		if !part.settle(q.acks) {
			part.waits = true
			q.places = append(q.places, part.p.AckPlace(q.acks, &part.set))
			if q.acks == 1 || len(part.p.Role().ISR) <= 1 {
				timeout = max(timeout, q.handler.cfg.SyncTimeout) // for our own disk, not for others
			}
		}
	}
	if len(q.places) > 0 {
		q.handler.waiting.Add(1)
		q.waiter = purgatory.Watch(q.places, timeout, nil, q.acknowledged)
	}
}

// settle takes the outcome if there is one.
func (part *producePart) settle(acks int16) bool {
	done, err := part.p.Acked(part.epoch, acks, &part.set)
	if done && err != nil {
		part.fail(err)
	}
	return done
}

// fail answers the partition with an error after its records were appended: the answer keeps their place.
func (part *producePart) fail(err error) {
	part.appended = true
	if !errors.As(err, &part.code) {
		part.code = kerr.UnknownServerError
	}
}

// acknowledged is the waiter's condition: every partition that is waited for has an outcome. It changes nothing.
func (q *produce) acknowledged() bool {
	for i := range q.parts {
		if part := &q.parts[i]; part.waits {
			if done, _ := part.p.Acked(part.epoch, q.acks, &part.set); !done {
				return false
			}
		}
	}
	return true
}

// Ready implements api.Answer.
func (q *produce) Ready() <-chan struct{} {
	if q.waiter == nil {
		return nil
	}
	return q.waiter.Ready()
}

// Result implements api.Answer.
func (q *produce) Result() (api.Response, error) {
	if q.waiter != nil {
		q.waiter.Forget()
		q.handler.waiting.Add(-1)
		for i := range q.parts {
			if part := &q.parts[i]; part.waits && !part.settle(q.acks) {
				part.fail(kerr.RequestTimedOut)
			}
		}
	}
	if q.err != nil {
		return nil, q.err
	}
	if m := &q.meter; m.conn != nil {
		q.throttle = q.handler.cfg.Quotas.Produced(m.conn, m.client, m.size, m.took, q.acks != 0)
	}
	if q.acks != 0 {
		q.findLeaders()
		return q, nil
	}
	// Without an answer, closing the connection is the only way to tell.
	var failed error
	for _, t := range q.topics {
		for i := range q.parts[t.first : t.first+t.n] {
			if part := &q.parts[t.first+i]; part.code != nil && failed == nil {
				failed = fmt.Errorf("produce to %s-%d with acks=0: %w", t.name, part.index, part.code)
			}
		}
	}
	q.free()
	return nil, failed
}

// findLeaders tells a client of version 10 or later where the partitions are that are not here.
func (q *produce) findLeaders() {
	if q.version < 10 {
		return
	}
	for _, t := range q.topics {
		for i := range q.parts[t.first : t.first+t.n] {
			if part := &q.parts[t.first+i]; part.code == kerr.NotLeaderForPartition {
				part.leader, part.led = q.handler.cfg.leader(t.name, part.index, q.listener, part.p)
			}
		}
	}
}

// lookup finds a partition here, or says why not.
func (c *Config) lookup(name string, number int32) (*partition.Partition, error) {
	p, err := c.Replicas.Lookup(name, number)
	switch {
	case err != nil:
		return nil, err
	case p != nil:
		return p, nil
	case c.Metadata.Knows(name, number):
		return nil, kerr.NotLeaderForPartition
	default:
		return nil, kerr.UnknownTopicOrPartition
	}
}

// leader tells where a client should go instead: what the partition knows if it is hosted here, else the metadata.
func (c *Config) leader(name string, number int32, listener string, p *partition.Partition) (Leader, bool) {
	l, ok := c.Metadata.Leader(name, number, listener)
	if p == nil {
		return l, ok
	}
	role := p.Role()
	if !ok || l.ID != role.Leader {
		l = Leader{} // the metadata is older or newer than the partition's own state
	}
	l.ID, l.Epoch = role.Leader, role.LeaderEpoch
	return l, true
}
