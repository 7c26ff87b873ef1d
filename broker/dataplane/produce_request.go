package dataplane

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/metrics"
	"ottla/broker/partition"
	"ottla/broker/purgatory"
	"ottla/broker/record"
)

// produce is one Produce request and its answer. Pooled; whoever ends it calls free.
type produce struct {
	handler  *Produce
	version  int16
	acks     int16
	timeout  int32 // ms
	listener string
	txn      bool // it has a transactional id
	meter    meter
	throttle time.Duration // of the client, as the answer says

	topics []produceTopic
	parts  []producePart
	err    error // ends the connection

	waiter *purgatory.Waiter // nil: nothing is waited for
	places []purgatory.Place
}

// meter is what quotas are told of a request; conn is nil when there are none.
type meter struct {
	conn   *api.Conn
	client string
	size   int
	took   time.Duration
}

// produceTopic is parts[first:first+n].
type produceTopic struct {
	name     string
	first, n int
}

// producePart is one partition of a request. It stays where it is until the answer is written: the log holds on to &set.
type producePart struct {
	index int32
	null  bool
	waits bool // appended, and not acknowledged yet when the sweep ended
	// appended: there is an error, but the records are in the log.
	appended bool
	records  []byte
	p        *partition.Partition

	set    commitlog.AppendSet
	header [1]record.Header // room for set.Batches
	epoch  int32            // leader epoch of the append

	code     *kerr.Error
	message  string
	rejected []record.RecordError
	leader   Leader // if led: with NOT_LEADER_OR_FOLLOWER, from version 10
	led      bool
	start    int64 // log start offset of the answer
}

var produces = sync.Pool{New: func() any { return new(produce) }}

func (q *produce) free() {
	if cap(q.parts) > pooledMax || cap(q.topics) > pooledMax {
		return
	}
	for i := range q.parts {
		q.parts[i] = producePart{}
	}
	clear(q.places)
	*q = produce{topics: q.topics[:0], parts: q.parts[:0], places: q.places[:0]}
	produces.Put(q)
}

// decode reads the body of a request of the version. Strings are copied, records alias the body.
func (q *produce) decode(body []byte, version int16) error {
	d := decoder{b: body, flexible: version >= 9}
	q.version = version
	if version >= 3 {
		_, q.txn = d.text()
	}
	q.acks = d.int16()
	q.timeout = d.int32()
	known := q.topics[:cap(q.topics)]
	for range d.count(2) {
		name, _ := d.text()
		t := produceTopic{first: len(q.parts)}
		if i := len(q.topics); i < len(known) {
			t.name = intern(known[i].name, name)
		} else {
			t.name = string(name)
		}
		n := d.count(5)
		if most := partitionsFree + len(body)/partitionBytes; len(q.parts)+n > most || len(q.topics) > most {
			return errMany
		}
		for range n {
			part := producePart{index: d.int32()}
			var ok bool
			part.records, ok = d.bytes()
			part.null = !ok
			d.tags(nil)
			q.parts = append(q.parts, part)
		}
		d.tags(nil)
		t.n = len(q.parts) - t.first
		q.topics = append(q.topics, t)
	}
	d.tags(nil)
	if d.bad {
		return errCut
	}
	return nil
}

// ErrorCodes counts the codes of the answer, one for each partition.
func (q *produce) ErrorCodes(to metrics.Counter) {
	for i := range q.parts {
		to.Count(number(q.parts[i].code))
	}
}

// AppendTo implements api.Response. It ends the request.
func (q *produce) AppendTo(dst []byte) []byte {
	e := encoder{b: dst, flexible: q.version >= 9}
	var to leaders
	e.count(len(q.topics))
	for _, t := range q.topics {
		e.text(t.name)
		e.count(t.n)
		for i := range q.parts[t.first : t.first+t.n] {
			q.encodePart(&e, &q.parts[t.first+i], &to)
		}
		e.noTags()
	}
	if q.version >= 1 {
		e.int32(int32(q.throttle.Milliseconds()))
	}
	if q.version >= 9 {
		to.encodeTag(&e)
	}
	q.free()
	return e.b
}

func (q *produce) encodePart(e *encoder, part *producePart, to *leaders) {
	base, appended := int64(-1), int64(-1)
	code := int16(0)
	if part.code != nil {
		code = part.code.Code
	}
	if part.code == nil || part.appended {
		base, appended = part.set.FirstOffset, part.set.LogAppendTime
	}
	e.int32(part.index)
	e.int16(code)
	e.int64(base)
	if q.version >= 2 {
		e.int64(appended)
	}
	if q.version >= 5 {
		e.int64(part.start)
	}
	if q.version >= 8 {
		e.count(len(part.rejected))
		for _, r := range part.rejected {
			e.int32(r.Index)
			e.nullableText(&r.Message)
			e.noTags()
		}
		if part.message == "" {
			e.nullableText(nil)
		} else {
			e.nullableText(&part.message)
		}
	}
	if part.led {
		to.add(part.leader)
		e.uvarint(1)
		encodeLeader(e, 0, part.leader)
		return
	}
	e.noTags()
}
