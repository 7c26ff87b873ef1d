package dataplane

import (
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
	"ottla/broker/metrics"
	"ottla/broker/network"
	"ottla/broker/partition"
)

// answer is a Fetch answer laid out: head is everything but the records; at each cut a partition's records come in between.
type answer struct {
	head []byte
	cuts []cut
	size int64
	mem  *[]byte
}

type cut struct {
	at   int // in head
	part *fetchPart
}

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// headKept is the largest head that goes back to the pool.
const headKept = 64 << 10

var errTruncated = errors.New("the log was truncated under the answer")

// layOut makes the answer of what was read. The fetch must not change afterwards.
func (f *fetch) layOut(cfg *Config) {
	f.mem = heads.Get().(*[]byte)
	e := encoder{b: (*f.mem)[:0], flexible: f.version >= 12}
	if f.version >= 1 {
		e.int32(int32(f.throttle.Milliseconds()))
	}
	if f.version >= 7 {
		if f.code != nil {
			e.int16(f.code.Code)
		} else {
			e.int16(0)
		}
		e.int32(f.answerSession())
	}
	var to leaders
	e.count(f.countTopics())
	for i := 0; i < len(f.parts); {
		n := f.topicRun(i)
		if f.version >= 13 {
			e.b = append(e.b, f.parts[i].id[:]...)
		} else {
			e.text(f.parts[i].name)
		}
		e.count(n)
		for j := range f.parts[i : i+n] {
			f.encodePart(&e, &f.parts[i+j], cfg, &to)
		}
		e.noTags()
		i += n
	}
	if e.flexible {
		to.encodeTag(&e)
	}
	f.head = e.b
	f.size += int64(len(e.b))
}

// topicRun counts the partitions from i on that belong to one topic of the answer.
func (f *fetch) topicRun(i int) int {
	n := 1
	for i+n < len(f.parts) && f.parts[i+n].id == f.parts[i].id && f.parts[i+n].name == f.parts[i].name {
		n++
	}
	return n
}

func (f *fetch) countTopics() (topics int) {
	for i := 0; i < len(f.parts); i += f.topicRun(i) {
		topics++
	}
	return topics
}

func (f *fetch) encodePart(e *encoder, part *fetchPart, cfg *Config, to *leaders) {
	hw, stable, start, code := int64(-1), int64(-1), int64(-1), int16(0)
	if part.code != nil {
		code = part.code.Code
	} else {
		hw, stable, start = part.r.HW, part.r.Stable, part.r.LogStart
	}
	e.int32(part.index)
	e.int16(code)
	e.int64(hw)
	if f.version >= 4 {
		e.int64(stable)
	}
	if f.version >= 5 {
		e.int64(start)
	}
	if f.version >= 4 {
		f.encodeAborted(e, part)
	}
	if f.version >= 11 {
		e.int32(-1) // preferred read replica
	}
	e.count(part.size)
	if part.size > 0 {
		f.cuts = append(f.cuts, cut{len(e.b), part})
		f.size += int64(part.size)
	}
	if e.flexible {
		f.encodePartTags(e, part, cfg, to)
	}
}

// encodeAborted lists the aborted transactions that a reader of committed data must leave out.
func (f *fetch) encodeAborted(e *encoder, part *fetchPart) {
	switch {
	case part.code != nil && part.early:
		e.count(0)
	case part.code != nil || f.view != partition.Stable:
		e.count(-1)
	default:
		e.count(len(part.aborted))
		for _, a := range part.aborted {
			e.int64(a.ProducerID)
			e.int64(a.FirstOffset)
			e.noTags()
		}
	}
}

func (f *fetch) encodePartTags(e *encoder, part *fetchPart, cfg *Config, to *leaders) {
	var l Leader
	led := false
	if f.version >= 16 && (part.code == kerr.NotLeaderForPartition || part.code == kerr.FencedLeaderEpoch) {
		if l, led = cfg.leader(part.name, part.index, f.listener, part.p); led {
			to.add(l)
		}
	}
	diverging := part.code == nil && part.r.DivergingEpoch >= 0
	switch {
	case diverging:
		e.uvarint(1)
		e.tag(0, func(e *encoder) {
			e.int32(part.r.DivergingEpoch)
			e.int64(part.r.DivergingEnd)
			e.noTags()
		})
	case led:
		e.uvarint(1)
		encodeLeader(e, 1, l)
	default:
		e.noTags()
	}
}

// AppendTo implements api.Response. Network streams the answer instead.
func (f *fetch) AppendTo(dst []byte) []byte {
	w := appender{dst}
	_ = f.Stream(&w)
	return w.b
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) { a.b = append(a.b, p...); return len(p), nil }

// Size implements api.Streamed.
func (f *fetch) Size() int64 { return f.size }

// Stream implements api.Streamed.
func (f *fetch) Stream(w api.Writer) error {
	files, direct := w.(network.FileWriter)
	at := 0
	for _, c := range f.cuts {
		if _, err := w.Write(f.head[at:c.at]); err != nil {
			return err
		}
		at = c.at
		s := &c.part.r.Slice
		var err error
		switch {
		case c.part.converted != nil:
			_, err = w.Write(c.part.converted)
		case !s.Valid():
			err = errTruncated
		case direct:
			file, pos := s.File()
			err = files.SendFile(s, int64(c.part.size), file, pos)
		default:
			_, err = s.WriteTo(w)
		}
		if err != nil {
			return err
		}
		if t := c.part.p.Traffic(); f.replica < 0 {
			t.BytesOut.Add(int64(c.part.size))
		} else {
			t.ReplicatedOut.Add(int64(c.part.size))
		}
	}
	_, err := w.Write(f.head[at:])
	return err
}

// ErrorCodes counts the codes of the answer: its own, and one for each partition.
func (f *fetch) ErrorCodes(to metrics.Counter) {
	to.Count(number(f.code))
	for i := range f.parts {
		to.Count(number(f.parts[i].code))
	}
}

// Close implements api.Streamed.
func (f *fetch) Close() { f.free() }

// free gives the memory back.
func (a *answer) free() {
	if a.mem != nil {
		if cap(a.head) <= headKept {
			*a.mem = a.head[:0]
			heads.Put(a.mem)
		}
	}
	clear(a.cuts)
	*a = answer{cuts: a.cuts[:0]}
}
