package dataplane

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/topic"
)

// sessionIdle is after how long without a fetch a session may be evicted by any other.
const sessionIdle = 120 * time.Second

// sessions are the incremental fetch sessions (KIP-227): the broker remembers what a client reads, the client sends changes
// only, and the answer holds changes only. A session is one client's; the epoch, which counts its requests, keeps a lost or
// doubled request from going unnoticed.
//
// Sessions are bounded in number, and in bytes together: those of consumers and those of followers each have sessionBytesMax.
type sessions struct {
	max    int
	now    func() time.Time
	random func([]byte) (int, error)

	mu    sync.Mutex
	byID  map[int32]*session
	bytes [2]int // of all sessions; of followers in the second

	evicted int64
}

// sessionBytesMax bounds what sessions remember; a partition takes partBytes and its topic's name.
const (
	sessionBytesMax = 128 << 20
	partBytes       = 320
)

// session is what one client reads.
type session struct {
	id       int32
	byTopic  bool // by topic id (version 13 on), not by name
	follower bool
	created  time.Time

	// Guarded by sessions.mu.
	used  time.Time
	size  int
	bytes int

	mu    sync.Mutex
	epoch int32 // the next one
	parts map[cacheKey]*cachedPart
	order []*cachedPart // of the answer; those that had data go to the end, so that all get their turn
	holes int           // removed parts that are still in order
	grown int           // bytes of parts
	moved []*cachedPart // scratch of rotateLocked
}

type cacheKey struct {
	name  string
	id    topic.ID
	index int32
}

// cachedPart is one partition of a session, with what the client was told last.
type cachedPart struct {
	asked   asked
	hw      int64 // as the client knows it; -1: tell it in any case
	start   int64 // likewise the log start offset
	removed bool
	hadData bool // in this answer
}

func newSessions(cfg Config) *sessions {
	return &sessions{max: cfg.FetchSessionsMax, now: cfg.Now, random: cfg.Random, byID: map[int32]*session{}}
}

// begin finds the session of the request and completes f.parts from it.
func (ss *sessions) begin(f *fetch) *kerr.Error {
	if f.epoch <= 0 { // a full fetch: 0 asks for a session, -1 wants none; an old one ends
		f.full = true
		ss.remove(f.session)
		return nil
	}
	ss.mu.Lock()
	s := ss.byID[f.session]
	if s != nil {
		s.used = ss.now()
	}
	ss.mu.Unlock()
	if s == nil {
		return kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != f.epoch:
		return kerr.InvalidFetchSessionEpoch
	case s.byTopic != (f.version >= 13):
		return kerr.FetchSessionTopicIDError
	}
	s.epoch = nextEpoch(s.epoch)
	s.updateLocked(f)
	f.parts = f.parts[:0]
	for _, c := range s.order {
		if !c.removed {
			f.parts = append(f.parts, fetchPart{asked: c.asked, cached: c})
		}
	}
	if !ss.resized(s) {
		return kerr.FetchSessionIDNotFound // the client begins anew, without a session
	}
	if len(s.parts) == 0 {
		ss.remove(s.id) // nothing left to remember
		f.full = true
		return nil
	}
	f.s = s
	return nil
}

// nextEpoch counts 1, 2, … and after the largest begins again at 1.
func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// updateLocked applies what the request changes.
func (s *session) updateLocked(f *fetch) {
	for i := range f.parts {
		part := &f.parts[i]
		key := cacheKey{part.name, part.id, part.index}
		if c := s.parts[key]; c != nil {
			c.asked = part.asked
			continue
		}
		s.addLocked(key, part.asked)
	}
	for _, gone := range f.forgotten {
		key := cacheKey(gone)
		if c := s.parts[key]; c != nil {
			c.removed = true
			s.grown -= partBytes + len(key.name)
			delete(s.parts, key)
			s.holes++
		}
	}
	s.compactLocked()
}

func (s *session) addLocked(key cacheKey, a asked) *cachedPart {
	c := &cachedPart{asked: a, hw: -1, start: -1}
	s.parts[key] = c
	s.order = append(s.order, c)
	s.grown += partBytes + len(key.name)
	return c
}

// compactLocked takes removed parts out of the order once they are half of it.
func (s *session) compactLocked() {
	if s.holes*2 > len(s.order) {
		s.order = slices.DeleteFunc(s.order, func(c *cachedPart) bool { return c.removed })
		s.holes = 0
	}
}

// end remembers what the answer tells and leaves out of it what an incremental answer need not say; a full fetch that asked for
// a session gets one if there is room.
func (ss *sessions) end(f *fetch) {
	if f.full {
		if f.epoch == 0 && len(f.parts) > 0 {
			f.s = ss.create(f)
		}
		return
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	told, moved := f.parts[:0], false
	for i := range f.parts {
		part := &f.parts[i]
		c := part.cached
		if !c.changed(part) {
			part.r.Slice.Release()
			continue
		}
		c.hadData = part.size > 0
		moved = moved || c.hadData
		told = append(told, *part)
	}
	clear(f.parts[len(told):])
	f.parts = told
	if moved {
		s.rotateLocked()
	}
}

// undo takes back what end has remembered of an answer that is not sent: a new session, or what was told.
func (ss *sessions) undo(f *fetch) {
	switch {
	case f.s == nil:
	case f.full:
		ss.remove(f.s.id)
		f.s = nil
	default:
		f.s.mu.Lock()
		defer f.s.mu.Unlock()
		for i := range f.parts {
			f.parts[i].cached.hw = -1
		}
	}
}

// changed says whether the answer must name the partition, and remembers what it says.
func (c *cachedPart) changed(part *fetchPart) bool {
	if part.code != nil || part.r.DivergingEpoch >= 0 {
		c.hw = -1 // so that the end of the error is told, too
		return true
	}
	told := part.size > 0 || part.r.HW != c.hw || part.r.LogStart != c.start
	c.hw, c.start = part.r.HW, part.r.LogStart
	return told
}

// rotateLocked moves the partitions that had data to the end of the order.
func (s *session) rotateLocked() {
	rest := s.order[:0]
	s.moved = s.moved[:0]
	for _, c := range s.order {
		if c.hadData {
			c.hadData = false
			s.moved = append(s.moved, c)
		} else {
			rest = append(rest, c)
		}
	}
	s.order = append(rest, s.moved...)
}

// create makes a session of a full fetch and its answer; nil when there is no room for it.
func (ss *sessions) create(f *fetch) *session {
	s := &session{byTopic: f.version >= 13, follower: f.replica >= 0, created: ss.now(), epoch: 1, parts: make(map[cacheKey]*cachedPart, len(f.parts)), size: len(f.parts)}
	s.used = s.created
	for i := range f.parts {
		part := &f.parts[i]
		key := cacheKey{index: part.index, id: part.id}
		if !s.byTopic {
			key.name = part.name
		}
		if s.parts[key] == nil {
			a := part.asked
			a.name = key.name // of an id it is found anew each time
			s.addLocked(key, a).changed(part)
		}
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for len(ss.byID) >= ss.max || ss.bytes[s.class()]+s.grown > sessionBytesMax {
		if !ss.evictLocked(s) {
			return nil
		}
		ss.evicted++
	}
	for s.id <= 0 || ss.byID[s.id] != nil {
		var b [4]byte
		if _, err := ss.random(b[:]); err != nil {
			return nil // no session is always allowed
		}
		s.id = int32(binary.BigEndian.Uint32(b[:]) & math.MaxInt32)
	}
	ss.byID[s.id] = s
	s.bytes = s.grown
	ss.bytes[s.class()] += s.bytes
	return s
}

// evictLocked makes room for s: by a session that has been idle for long, else by the least worthy one that has had its time or,
// if s is a follower's, is not. Worth is being a follower's, then size; s must be worth more.
func (ss *sessions) evictLocked(s *session) bool {
	var idlest, least *session
	for _, o := range ss.byID {
		if idlest == nil || o.used.Before(idlest.used) {
			idlest = o
		}
		if (s.follower && !o.follower || s.created.Sub(o.created) > sessionIdle) && (least == nil || o.less(least)) {
			least = o
		}
	}
	switch {
	case idlest != nil && s.created.Sub(idlest.used) > sessionIdle:
		ss.removeLocked(idlest.id)
	case least != nil && least.less(s):
		ss.removeLocked(least.id)
	default:
		return false
	}
	return true
}

func (s *session) less(o *session) bool {
	if s.follower != o.follower {
		return o.follower
	}
	return s.size < o.size
}

// resized counts what an update has made of a session, whose mutex is held. A session that there is no room for ends: false.
func (ss *sessions) resized(s *session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.byID[s.id] != s {
		return true // it ended meanwhile, and is answered a last time
	}
	ss.bytes[s.class()] += s.grown - s.bytes
	s.size, s.bytes = len(s.parts), s.grown
	if ss.bytes[s.class()] > sessionBytesMax {
		ss.removeLocked(s.id)
		return false
	}
	return true
}

func (s *session) class() int {
	if s.follower {
		return 1
	}
	return 0
}

// size is how many partitions a session has; 0 if there is none.
func (ss *sessions) size(id int32) int {
	if id == 0 {
		return 0
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.byID[id]; s != nil {
		return s.size
	}
	return 0
}

func (ss *sessions) remove(id int32) {
	if id == 0 {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.removeLocked(id)
}

func (ss *sessions) removeLocked(id int32) {
	if s := ss.byID[id]; s != nil {
		ss.bytes[s.class()] -= s.bytes
		delete(ss.byID, id)
	}
}

// answerSession is the session id of the answer.
func (f *fetch) answerSession() int32 {
	if f.s == nil || f.code != nil {
		return 0
	}
	return f.s.id
}
