package dataplane

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/partition"
	"ottla/broker/purgatory"
	"ottla/broker/topic"
)

const deleteRecordsMax = 2

// deletes serves DeleteRecords: each partition's log start moves at once, and the answer waits until all replicas that are alive have
// followed, at most for the request's timeout (REQUEST_TIMED_OUT).
type deletes struct {
	cfg     Config
	waiting *atomic.Int64 // requests
}

// deletion is one partition of a request.
type deletion struct {
	p      *partition.Partition
	offset int64 // that the low watermark must reach
	answer *kmsg.DeleteRecordsResponseTopicPartition
}

// done says whether the deletion is over, well or not, and puts that into the answer.
func (d *deletion) done() bool {
	low, err := d.p.LowWatermark()
	if err == nil && low < d.offset {
		return false
	}
	if d.answer.ErrorCode = api.Code(err); err != nil {
		low = -1
	}
	d.answer.LowWatermark = low
	return true
}

func (h *deletes) handle(ctx context.Context, _ *api.Request, q *kmsg.DeleteRecordsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDeleteRecordsResponse()
	var waiting []*deletion
	for _, t := range byTopic(q.Topics) {
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			r := &rt.Partitions[i]
			r.Default()
			r.Partition, r.LowWatermark = p.Partition, -1
			d, err := h.begin(t.Topic, p.Partition, p.Offset)
			if r.ErrorCode = api.Code(err); err != nil {
				continue
			}
			if d.answer = r; !d.done() {
				r.LowWatermark, _ = d.p.LowWatermark()
				waiting = append(waiting, d)
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	return resp, wait(ctx, waiting, time.Duration(q.TimeoutMillis)*time.Millisecond)
}

// byTopic puts together what a request says about a topic that it names more than once: each is answered once.
func byTopic(asked []kmsg.DeleteRecordsRequestTopic) []kmsg.DeleteRecordsRequestTopic {
	at := make(map[string]int, len(asked))
	merged := asked[:0]
	for _, t := range asked {
		if i, again := at[t.Topic]; again {
			merged[i].Partitions = append(merged[i].Partitions, t.Partitions...)
			continue
		}
		at[t.Topic] = len(merged)
		merged = append(merged, t)
	}
	return merged
}

// begin moves one partition's log start.
func (h *deletes) begin(name string, number int32, offset int64) (*deletion, error) {
	if !h.cfg.Metadata.Knows(name, number) {
		return nil, kerr.UnknownTopicOrPartition
	}
	if topic.IsInternal(name) {
		return nil, kerr.InvalidTopicException
	}
	p, err := h.cfg.lookup(name, number)
	if err != nil {
		return nil, err
	}
	offset, err = p.DeleteRecords(offset)
	return &deletion{p: p, offset: offset}, err
}

// wait waits for all deletions.
func wait(ctx context.Context, all []*deletion, timeout time.Duration) error {
	if len(all) == 0 {
		return nil
	}
	places := make([]purgatory.Place, len(all))
	for i, d := range all {
		d.answer.ErrorCode = kerr.RequestTimedOut.Code
		places[i] = purgatory.Place{Key: &d.p.Starts, Need: d.offset}
	}
	w := purgatory.Watch(places, max(timeout, 0), nil, func() bool {
		for _, d := range all {
			if low, err := d.p.LowWatermark(); err == nil && low < d.offset {
				return false
			}
		}
		return true
	})
	defer w.Forget()
	defer api.Waiting(ctx)()
	select {
	case <-w.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, d := range all {
		d.done()
	}
	return nil
}
