package partition

import "sync/atomic"

// Traffic counts what goes in and out of a topic's partitions on one broker, as Kafka's BrokerTopicMetrics do. The partitions of a
// topic share one. Safe for concurrent use.
type Traffic struct {
	MessagesIn, BytesIn atomic.Int64 // appended as the leader
	BytesOut            atomic.Int64 // sent to consumers
	ReplicatedOut       atomic.Int64 // bytes sent to followers
	BytesRejected       atomic.Int64 // of batches that are too large

	Produces, FailedProduces atomic.Int64 // one for each partition of a request
	Fetches, FailedFetches   atomic.Int64

	ProduceConversions, FetchConversions atomic.Int64 // partitions of requests whose records were converted

	InvalidCRC, MissingKey atomic.Int64 // records that were refused for that
}

// Add adds what another one has counted.
func (t *Traffic) Add(o *Traffic) {
	for _, c := range []struct{ to, from *atomic.Int64 }{
		{&t.MessagesIn, &o.MessagesIn}, {&t.BytesIn, &o.BytesIn}, {&t.BytesOut, &o.BytesOut}, {&t.ReplicatedOut, &o.ReplicatedOut},
		{&t.BytesRejected, &o.BytesRejected}, {&t.Produces, &o.Produces}, {&t.FailedProduces, &o.FailedProduces},
		{&t.Fetches, &o.Fetches}, {&t.FailedFetches, &o.FailedFetches}, {&t.ProduceConversions, &o.ProduceConversions},
		{&t.FetchConversions, &o.FetchConversions}, {&t.InvalidCRC, &o.InvalidCRC}, {&t.MissingKey, &o.MissingKey},
	} {
		c.to.Add(c.from.Load())
	}
}
