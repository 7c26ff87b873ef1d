package dataplane

import (
	"errors"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
	"ottla/broker/partition"
	"ottla/broker/record"
)

// countRefused counts records of size bytes that were not appended. As in Apache Kafka, what happens in the ordinary course of things
// (another leader, records that are too large) is not a failed request.
func countRefused(t *partition.Traffic, size int, err error) {
	switch code := api.Code(err); code {
	case kerr.MessageTooLarge.Code:
		t.BytesRejected.Add(int64(size))
	case kerr.CorruptMessage.Code:
		t.InvalidCRC.Add(1)
	case kerr.UnknownTopicOrPartition.Code, kerr.NotLeaderForPartition.Code, kerr.RecordListTooLarge.Code, kerr.KafkaStorageError.Code:
	default:
		t.FailedProduces.Add(1)
		if r := new(record.Rejection); code == kerr.InvalidRecord.Code && errors.As(err, &r) {
			t.MissingKey.Add(int64(len(r.Records))) // of a compacted topic: nothing else is found in single records
		}
	}
}

// isFault says whether a read failed for a reason that lies with the broker.
func isFault(code *kerr.Error) bool { return code == kerr.UnknownServerError }

// number is an error's code.
func number(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

// Plane is what Register has set up, to be counted.
type Plane struct {
	fetcher           *fetcher
	produces, deletes atomic.Int64 // requests that wait
}

// Counts are the numbers of a data plane at a moment.
type Counts struct {
	Fetches, Produces, Deletes                   int64 // requests that wait
	ExpiredConsumers, ExpiredFollowers           int64 // fetches whose time was over before there was enough
	Sessions, SessionPartitions, EvictedSessions int64
}

// Counts counts.
func (p *Plane) Counts() Counts {
	f := p.fetcher
	n := Counts{
		Fetches: f.waiting.Load(), Produces: p.produces.Load(), Deletes: p.deletes.Load(),
		ExpiredConsumers: f.expired[0].Load(), ExpiredFollowers: f.expired[1].Load(),
	}
	f.sessions.mu.Lock()
	defer f.sessions.mu.Unlock()
	n.Sessions, n.EvictedSessions = int64(len(f.sessions.byID)), f.sessions.evicted
	for _, s := range f.sessions.byID {
		n.SessionPartitions += int64(s.size)
	}
	return n
}

// class is 1 for a follower's fetch, 0 for a consumer's.
func (f *fetch) class() int {
	if f.replica >= 0 {
		return 1
	}
	return 0
}
