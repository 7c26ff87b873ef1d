package dataplane

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/semaphore"

	"ottla/broker/commitlog"
	"ottla/broker/partition"
	"ottla/broker/purgatory"
	"ottla/broker/topic"
)

// fetch is one Fetch request and its answer. Pooled: from the decoder to Close.
type fetch struct {
	version  int16
	replica  int32 // -1: a consumer
	maxWait  int32 // ms
	minBytes int32
	maxBytes int32
	view     partition.View
	session  int32
	epoch    int32
	listener string

	names     []string // of the topics, kept from use to use (see intern)
	parts     []fetchPart
	forgotten []forgotten
	code      *kerr.Error   // of the whole request
	throttle  time.Duration // of the client, as the answer says
	waited    time.Duration // for records

	weighed *semaphore.Weighted // that the fetch has memory of; nil: it is small
	weight  int64

	s      *session // the session that the answer belongs to; nil: none
	full   bool     // the answer names every partition
	places []purgatory.Place
	total  int // bytes of records read
	answer
}

// asked is what a client asks of one partition: what a session keeps.
type asked struct {
	name  string
	id    topic.ID
	index int32
	max   int32 // partition max bytes
	q     partition.Fetch
}

// fetchPart is one partition to read.
type fetchPart struct {
	asked
	cached *cachedPart // its place in the session

	p    *partition.Partition
	code *kerr.Error
	// early says that the partition was refused before anybody looked for it: Apache Kafka's answer then has an empty
	// list of aborted transactions instead of none.
	early     bool
	r         partition.Fetched
	converted []byte // instead of r.Slice, for an old client
	size      int    // bytes of records
	aborted   []commitlog.AbortedTxn

	// What was to be seen before the last read: the waiter compares.
	role    *partition.Role
	limit   int64
	written int64
	hidden  bool // there was something behind limit
}

// forgotten is a partition that leaves the session.
type forgotten struct {
	name  string
	id    topic.ID
	index int32
}

var fetches = sync.Pool{New: func() any { return new(fetch) }}

// decode reads the body of a request of the version.
func (f *fetch) decode(body []byte, version int16) error {
	d := decoder{b: body, flexible: version >= 12}
	f.version, f.replica, f.maxBytes, f.epoch = version, -1, 1<<31-1, -1
	if version <= 14 {
		f.replica = d.int32()
	}
	f.maxWait = d.int32()
	f.minBytes = d.int32()
	if version >= 3 {
		f.maxBytes = d.int32()
	}
	var isolation int8
	if version >= 4 {
		isolation = d.int8()
	}
	if version >= 7 {
		f.session = d.int32()
		f.epoch = d.int32()
	}
	for i := range d.count(2) {
		name, id := f.topic(&d, i)
		n := d.count(16)
		if len(f.parts)+n > partitionsMax || len(f.names) > partitionsMax {
			return errMany
		}
		for range n {
			f.parts = append(f.parts, f.part(&d, name, id))
		}
		d.tags(nil)
	}
	if version >= 7 {
		known := len(f.names)
		for i := range d.count(2) {
			name, id := f.topic(&d, known+i)
			n := d.count(4)
			if len(f.forgotten)+n > partitionsMax || len(f.names) > partitionsMax {
				return errMany
			}
			for range n {
				f.forgotten = append(f.forgotten, forgotten{name, id, d.int32()})
			}
			d.tags(nil)
		}
	}
	if version >= 11 {
		d.text() // rack: nobody reads from followers yet
	}
	d.tags(func(tag uint64, d *decoder) {
		if tag == 1 && version >= 15 { // replica state: id and broker epoch, which a ZooKeeper-mode leader does not check
			f.replica = d.int32()
		}
	})
	if d.bad {
		return errCut
	}
	switch {
	case f.replica >= 0: // other negative ids are those of consumers, too
		f.view = partition.Everything
	case isolation == 1:
		f.view = partition.Stable
	}
	for i := range f.parts {
		f.parts[i].q.Replica, f.parts[i].q.View = max(f.replica, -1), f.view
	}
	return nil
}

// topic reads what names a topic in the version; i counts the topics of the request.
func (f *fetch) topic(d *decoder, i int) (string, topic.ID) {
	if f.version >= 13 {
		var id topic.ID
		copy(id[:], d.take(len(id)))
		return "", id
	}
	b, _ := d.text()
	if i < cap(f.names) {
		f.names = f.names[:i+1]
		f.names[i] = intern(f.names[i], b)
	} else {
		f.names = append(f.names, string(b))
	}
	return f.names[i], topic.ID{}
}

func (f *fetch) part(d *decoder, name string, id topic.ID) fetchPart {
	part := fetchPart{asked: asked{name: name, id: id, index: d.int32(), q: partition.Fetch{LeaderEpoch: -1, LastEpoch: -1, LogStart: -1}}}
	if f.version >= 9 {
		part.q.LeaderEpoch = d.int32()
	}
	part.q.Offset = d.int64()
	if f.version >= 12 {
		part.q.LastEpoch = d.int32()
	}
	if f.version >= 5 {
		part.q.LogStart = d.int64()
	}
	part.max = d.int32()
	d.tags(nil)
	return part
}

// free gives everything back: log segments first of all.
func (f *fetch) free() {
	f.release()
	f.unweigh()
	f.answer.free()
	if cap(f.parts) > pooledMax || cap(f.names) > pooledMax || cap(f.forgotten) > pooledMax {
		return
	}
	clear(f.parts)
	clear(f.places)
	clear(f.forgotten)
	*f = fetch{names: f.names[:0], parts: f.parts[:0], forgotten: f.forgotten[:0], places: f.places[:0], answer: f.answer}
	fetches.Put(f)
}

// release lets go of what the last read has planned.
func (f *fetch) release() {
	for i := range f.parts {
		part := &f.parts[i]
		part.r.Slice.Release()
		part.converted, part.size = nil, 0
	}
	f.total = 0
}
