package dataplane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
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

// Bounds of what is converted for old clients, in bytes of log: a partition's share (a larger first batch still comes whole) and
// an answer's. The rest comes with the next fetch.
const (
	convertPartitionMax = 256 << 10
	convertMax          = 8 << 20
)

// fetcher serves Fetch requests.
type fetcher struct {
	cfg      Config
	sessions *sessions
	scale    scale
	// gate lets fetches that were woken together read in turn, so that the producer that woke them is not last in line.
	gate *purgatory.Turnstile

	waiting atomic.Int64    // requests
	expired [2]atomic.Int64 // of consumers, and of followers
}

func newFetcher(cfg Config) *fetcher {
	return &fetcher{cfg: cfg, sessions: newSessions(cfg), scale: newScale(), gate: purgatory.NewTurnstile(max(1, runtime.GOMAXPROCS(0)/2))}
}

func (h *fetcher) handle(ctx context.Context, req *api.Request) (api.Response, error) {
	f := fetches.Get().(*fetch)
	f.listener = req.Conn.Listener
	if err := f.decode(req.Body, req.Version); err != nil {
		f.free()
		return nil, fmt.Errorf("decode Fetch v%d: %w", req.Version, err)
	}
	req.Follower = f.replica >= 0
	if err := h.scale.weigh(ctx, f, max(len(f.parts), h.sessions.size(f.session))); err != nil {
		f.free()
		return nil, err
	}
	var began time.Time
	if metered := h.cfg.Quotas != nil && f.replica < 0 && h.cfg.Quotas.Active(); metered {
		began = time.Now()
		if most, ok := h.cfg.Quotas.FetchMost(req.Conn, req.ClientID); ok {
			f.maxBytes = min(f.maxBytes, int32(most)) // more would be throttled for at any time
		}
	}
	if f.code = h.sessions.begin(f); f.code != nil {
		f.parts = f.parts[:0] // the whole request is refused: nothing is said of its partitions
	} else {
		h.find(f)
		h.read(f)
		if !f.enough() {
			h.wait(ctx, f)
		}
		f.findAborted()
		h.sessions.end(f)
	}
	f.layOut(&h.cfg)
	if began.IsZero() {
		return f, nil
	}
	const length = 4 // of the frame, which Apache Kafka counts, too
	if f.throttle = h.cfg.Quotas.Fetched(req.Conn, req.ClientID, int(f.size)+length, time.Since(began)-f.waited); f.throttle > 0 {
		h.sessions.undo(f)
		f.empty()
		f.layOut(&h.cfg)
	}
	return f, nil
}

// find resolves the partitions.
func (h *fetcher) find(f *fetch) {
	for i := range f.parts {
		part := &f.parts[i]
		if f.version >= 13 {
			name, ok := h.cfg.Metadata.TopicName(part.id)
			if !ok {
				part.code, part.early = kerr.UnknownTopicID, true
				continue
			}
			part.name = name
		}
		p, err := h.cfg.lookup(part.name, part.index)
		switch {
		case err != nil:
			part.code = code(err)
			part.early = part.code == kerr.UnknownTopicOrPartition
		case part.id != topic.ID{} && p.Log().TopicID() != topic.ID{} && p.Log().TopicID() != part.id:
			part.code = kerr.InconsistentTopicID
		default:
			part.p = p
			p.Traffic().Fetches.Add(1)
		}
	}
}

// code is the protocol's error in err's chain.
func code(err error) *kerr.Error {
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		return kerr.UnknownServerError
	}
	return ke
}

// read plans reads of all partitions in order, within the limits. The first one that has something gives at least a whole batch,
// however large (from version 3 on): a client must get on.
func (h *fetcher) read(f *fetch) {
	left := int(min(f.maxBytes, int32(h.cfg.FetchMaxBytes)))
	if f.version < 3 {
		left = int(f.maxBytes)
	}
	convert := convertMax
	one := f.version >= 3
	for i := range f.parts {
		part := &f.parts[i]
		if part.p == nil {
			continue
		}
		part.role, part.written, part.limit = part.p.Role(), part.p.Written(), part.p.Limit(f.view)
		part.hidden = part.limit < part.p.Log().LogEnd()
		part.q.MaxBytes, part.q.MinOne = max(0, min(int(part.max), left)), one
		if err := part.p.Read(&part.q, &part.r); err != nil {
			part.drop() // also what an earlier read had found
			if part.code = code(err); isFault(part.code) {
				part.p.Traffic().FailedFetches.Add(1)
			}
			continue
		}
		part.code = nil
		part.size = part.r.Slice.Len
		if f.version < 10 && isZstdOnly(part.p) {
			part.drop()
			part.code = kerr.UnsupportedCompressionType
			continue
		}
		if part.size > 0 && f.version <= 3 {
			h.convert(f, part, &convert)
		} else if part.size > 0 && part.size == part.q.MaxBytes && firstBatch(&part.r.Slice) > part.size {
			part.drop() // from version 3 on half a batch is of no use
		}
		if part.size > 0 {
			one = false
		}
		left -= part.size
		f.total += part.size
	}
}

// isZstdOnly says whether the topic has compression.type=zstd. Clients before version 10 may not know the codec. What producers themselves compressed with it
// is not looked for, here as in Apache Kafka: that would take reading every batch.
func isZstdOnly(p *partition.Partition) bool {
	c := p.Settings().Compression
	return c.Forced && c.Codec == record.Zstd
}

// drop reads nothing from the partition this time.
func (part *fetchPart) drop() {
	part.r.Slice.Release()
	part.converted, part.size = nil, 0
}

// firstBatch is the size of the first batch of the planned read, which may be cut off in it; if even that cannot be told, more than
// there is.
func firstBatch(s *commitlog.Slice) int {
	var head [record.LogOverhead]byte
	if n, _ := s.ReadAt(head[:], 0); n < len(head) {
		return math.MaxInt32
	}
	return record.LogOverhead + int(int32(binary.BigEndian.Uint32(head[8:])))
}

// convert replaces what was planned by what a client of version 0 to 3 understands. left is what the answer may still convert. When
// nothing is left of it (control batches are dropped), what comes behind is converted instead, or the client would ask for the
// same for ever.
func (h *fetcher) convert(f *fetch, part *fetchPart, left *int) {
	magic := int8(0)
	if f.version >= 2 {
		magic = 1
	}
	q := part.q
	for {
		n := part.r.Slice.Len
		if n == 0 || *left <= 0 {
			part.drop()
			return
		}
		raw, err := readEntries(&part.r.Slice, min(n, *left, convertPartitionMax))
		*left -= len(raw)
		var next int64
		if err == nil {
			part.converted, next, err = downConvert(raw, magic, part)
		}
		if err != nil {
			part.drop()
			part.code = code(err)
			return
		}
		if part.size = len(part.converted); part.size > 0 || next <= q.Offset {
			part.p.Traffic().FetchConversions.Add(1)
			return
		}
		part.r.Slice.Release()
		q.Offset = next
		if err := part.p.Read(&q, &part.r); err != nil {
			part.drop()
			part.code = code(err)
			return
		}
	}
}

// readEntries reads n bytes of the slice, or its whole first batch if that is larger.
func readEntries(s *commitlog.Slice, n int) ([]byte, error) {
	if n < s.Len {
		n = min(max(n, firstBatch(s)), s.Len)
	}
	b := make([]byte, n)
	if m, err := s.ReadAt(b, 0); m < n {
		return nil, fmt.Errorf("%w: read of %d bytes got %d: %w", kerr.KafkaStorageError, n, m, err)
	}
	return b, nil
}

// downConvert converts raw and says which offset comes behind its last whole entry; -1: it has none.
func downConvert(raw []byte, magic int8, part *fetchPart) (out []byte, next int64, err error) {
	next = -1
	convert := false
	for rest := raw; ; {
		e, err := record.NextEntry(rest)
		if err != nil || e.Size > len(rest) {
			break // the end cuts an entry off
		}
		convert = convert || e.Magic > magic
		next, rest = e.NextOffset(), rest[e.Size:]
	}
	switch {
	case next < 0:
		return nil, next, nil
	case convert && part.p.Settings().NoDownConversion:
		return nil, next, kerr.UnsupportedVersion
	}
	out, err = record.DownConvert(raw, magic, part.q.Offset)
	return out, next, err
}

// findAborted looks up which of the transactions in what was read were aborted, for readers of committed data.
func (f *fetch) findAborted() {
	if f.view != partition.Stable || f.version < 4 {
		return
	}
	for i := range f.parts {
		part := &f.parts[i]
		if part.size == 0 {
			continue
		}
		var err error
		if part.aborted, err = part.p.Log().AbortedTxns(part.q.Offset, part.r.Slice.Upper); err != nil {
			part.drop()
			part.code = code(err)
		}
	}
}

// enough says whether the answer need not wait: there are enough bytes, or something to tell that the client should know.
func (f *fetch) enough() bool {
	if f.maxWait <= 0 || len(f.parts) == 0 || f.total >= int(min(f.minBytes, f.maxBytes)) {
		return true
	}
	for i := range f.parts {
		if f.parts[i].code != nil || f.parts[i].r.DivergingEpoch >= 0 {
			return true
		}
	}
	return false
}

// wait parks the fetch until there may be enough, and reads again, until there is or the time is over.
func (h *fetcher) wait(ctx context.Context, f *fetch) {
	deadline := time.Now().Add(f.patience())
	for h.waitOnce(ctx, f, time.Until(deadline)) && !f.enough() {
		continue
	}
}

// empty takes the records out of the answer of a throttled client. From version 7 on there are no partitions either, as in Apache
// Kafka; older clients get each that they asked for: some never come back from an empty list.
func (f *fetch) empty() {
	f.release()
	f.answer.free()
	if f.version >= 7 {
		clear(f.parts)
		f.parts = f.parts[:0]
	}
	for i := range f.parts {
		f.parts[i].aborted = nil
	}
}

// waitOnce parks the fetch once and reads again. It returns false when the fetch was not woken: its time is over, or the client gone.
func (h *fetcher) waitOnce(ctx context.Context, f *fetch, timeout time.Duration) bool {
	f.drop()
	f.choosePlaces()
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	w := purgatory.Watch(f.places, timeout, h.gate, f.mayHaveEnough)
	defer w.Forget() // also if the read panics: a turn that is not given back would be missing for ever
	begin := time.Now()
	select {
	case <-w.Ready():
	case <-ctx.Done():
	}
	waited := time.Since(begin)
	f.waited += waited
	api.Waited(ctx, waited)
	w.Detach() // a wake that is under way looks at what read changes
	h.read(f)
	w.Leave()
	if w.Outcome() == purgatory.Expired {
		h.expired[f.class()].Add(1)
	}
	return w.Outcome() == purgatory.Completed
}

// choosePlaces says where to wait, and from which progress on it is worth looking: with one partition the bytes that are
// missing must have been written; with several any of them may bring enough; and with bytes that were written but not to be
// seen yet, no more need be written at all.
func (f *fetch) choosePlaces() {
	f.places = f.places[:0]
	for i := range f.parts {
		part := &f.parts[i]
		need := part.written + 1
		switch {
		case part.hidden:
			need = 0
		case len(f.parts) == 1:
			need = part.written + max(1, int64(min(f.minBytes, f.maxBytes))-int64(part.size))
		}
		f.places = append(f.places, purgatory.Place{Key: &part.p.Fetches, Need: need})
	}
}

// drop lets go of the segments during a wait, keeping the sizes that mayHaveEnough counts from.
func (f *fetch) drop() {
	for i := range f.parts {
		f.parts[i].r.Slice.Release()
		f.parts[i].converted = nil
	}
	f.total = 0
}

// mayHaveEnough is the waiter's condition. It does not read: since the last read, has so much been written, and is any of it to be
// seen, that reading again is worth while? Then the reader may still find too little, and waits again.
func (f *fetch) mayHaveEnough() bool {
	bytes := int64(0)
	for i := range f.parts {
		part := &f.parts[i]
		if part.p.Role() != part.role {
			return true
		}
		have := int64(part.size)
		if part.p.Limit(f.view) > part.limit {
			if f.minBytes <= 1 || part.hidden {
				return true
			}
			have += part.p.Written() - part.written
		}
		bytes += min(have, int64(part.max))
	}
	return bytes >= int64(min(f.minBytes, f.maxBytes))
}
