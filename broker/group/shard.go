package group

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
	"ottla/broker/group/classic"
	"ottla/broker/group/offsetlog"
)

// shard is the groups of one partition of __consumer_offsets while this broker leads it, in one leader epoch.
type shard struct {
	c         *Coordinator
	partition int32
	epoch     int32
	logger    zerolog.Logger

	ctx    context.Context // ends when the shard is retired
	cancel context.CancelFunc
	loaded chan struct{} // closed when the shard is loaded, or retired

	mu      sync.Mutex
	retired *kerr.Error // why it no longer serves
	groups  map[string]*entry
	waiting map[classic.Ticket]chan any
	queue   []queued
	writing bool // the writer runs
}

// entry is a group in its shard.
type entry struct {
	shard *shard
	group *classic.Group
	timer deadline
}

// queued is a write that the writer has not come to yet.
type queued struct {
	entry *entry
	write classic.Write
}

func newShard(c *Coordinator, partition, epoch int32) *shard {
	s := &shard{
		c: c, partition: partition, epoch: epoch,
		logger: c.cfg.Logger.With().Int32("partition", partition).Int32("epoch", epoch).Logger(),
		loaded: make(chan struct{}), groups: map[string]*entry{}, waiting: map[classic.Ticket]chan any{},
	}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	return s
}

func (s *shard) isLoaded() bool {
	select {
	case <-s.loaded:
		return true
	default:
		return false
	}
}

// load reads the partition, trying again until it succeeds or the shard is retired.
func (s *shard) load() {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, loadRetryMax) {
		select {
		case s.c.loads <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		began := time.Now()
		var l offsetlog.Loader
		err := s.c.log.Scan(s.ctx, s.partition, s.epoch, max(s.c.cfg.LoadBufferBytes, 1), func(entries []byte) error {
			l.Add(entries)
			return nil
		})
		<-s.c.loads
		if err == nil {
			s.open(&l, time.Since(began))
			return
		}
		if s.ctx.Err() != nil {
			return
		}
		s.logger.Warn().Err(err).Dur("retry_in", pause).Msg("group coordinator could not load its partition")
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return
		}
	}
}

// open begins to serve what was loaded.
func (s *shard) open(l *offsetlog.Loader, took time.Duration) {
	loaded := l.Groups()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired != nil {
		return
	}
	for _, g := range loaded {
		e := s.addLocked(classic.Load(g, s.c.settings))
		s.stepLocked(e, classic.Opened{})
	}
	records, skipped, cause := l.Stats()
	if skipped > 0 {
		s.logger.Warn().Err(cause).Int64("skipped", skipped).Msg("group coordinator met records that it does not understand; shown is the first")
	}
	s.logger.Info().Int("groups", len(loaded)).Int64("records", records).Dur("took", took).Msg("group coordinator serves partition")
	close(s.loaded)
}

// retire ends the shard: what is parked is answered with err. Called once.
func (s *shard) retire(err *kerr.Error) {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = err
	for _, e := range s.groups {
		s.stepLocked(e, classic.Unloaded{Err: err})
	}
	if !s.isLoaded() {
		close(s.loaded)
	}
}

// do steps the group with the event that is made for a ticket, and waits for the ticket's answer. A group that does not exist is
// created if create says so; else do returns nil without stepping.
func (s *shard) do(ctx context.Context, id string, create bool, event func(classic.Ticket) classic.Event) (any, error) {
	a, err := s.ask(id, create, event)
	if a == nil || err != nil {
		return nil, err
	}
	return a.wait(ctx)
}

// asked is an answer that is to come.
type asked struct {
	entry  *entry
	ticket classic.Ticket
	answer chan any
}

// ask is do that does not wait. Whoever asks must wait.
func (s *shard) ask(id string, create bool, event func(classic.Ticket) classic.Event) (*asked, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.retired; err != nil {
		return nil, err
	}
	e := s.groups[id]
	if e == nil {
		if !create {
			return nil, nil
		}
		e = s.addLocked(classic.New(id, s.c.settings))
	}
	a := &asked{
		entry: e, ticket: classic.Ticket(s.c.tickets.Add(1)),
		answer: make(chan any, 1), // with room, so that whoever gives the answer never waits
	}
	s.waiting[a.ticket] = a.answer
	s.stepLocked(e, event(a.ticket))
	return a, nil
}

// wait waits for the answer, or for the end of ctx.
func (a *asked) wait(ctx context.Context) (any, error) {
	defer api.Waiting(ctx)()
	select {
	case answer := <-a.answer:
		return answer, nil
	case <-ctx.Done():
	}
	s := a.entry.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waits := s.waiting[a.ticket]; waits {
		delete(s.waiting, a.ticket)
		if s.groups[a.entry.group.ID()] == a.entry {
			s.stepLocked(a.entry, classic.Abandoned{Ticket: a.ticket})
		}
	}
	return nil, ctx.Err()
}

// view runs look on a group under the lock; on nil if there is none.
func (s *shard) view(id string, look func(*classic.Group)) *kerr.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired != nil {
		return s.retired
	}
	if e := s.groups[id]; e != nil {
		look(e.group)
	} else {
		look(nil)
	}
	return nil
}

// stepAll steps every group, letting others in between.
func (s *shard) stepAll(ev classic.Event) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.groups))
	s.mu.Unlock()
	for _, e := range all {
		s.mu.Lock()
		if s.retired == nil && s.groups[e.group.ID()] == e {
			s.stepLocked(e, ev)
		}
		s.mu.Unlock()
	}
}

func (s *shard) addLocked(g *classic.Group) *entry {
	e := &entry{shard: s, group: g}
	e.timer = deadline{index: -1, fire: e.tick}
	s.groups[g.ID()] = e
	return e
}

// tick tells the group that a deadline has come.
func (e *entry) tick() {
	s := e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[e.group.ID()] == e {
		s.stepLocked(e, classic.Tick{})
	}
}

// stepLocked steps a group and sees to what it asks for.
func (s *shard) stepLocked(e *entry, ev classic.Event) {
	out := e.group.Step(s.c.now(), ev)
	for _, r := range out.Replies {
		if answer := s.waiting[r.To]; answer != nil {
			delete(s.waiting, r.To)
			answer <- r.Body
		}
	}
	for _, w := range out.Writes {
		s.queue = append(s.queue, queued{e, w})
	}
	if len(s.queue) > 0 && !s.writing {
		s.writing = true
		s.c.work.Go(s.write)
	}
	for _, n := range out.Notes {
		level := zerolog.InfoLevel
		if n.Warn {
			level = zerolog.WarnLevel
		}
		s.logger.WithLevel(level).Str("group", e.group.ID()).Msg("group " + n.Text)
	}
	if e.group.State() == classic.Dead || e.group.Forgettable() {
		if s.groups[e.group.ID()] == e {
			delete(s.groups, e.group.ID())
		}
		s.c.timers.set(&e.timer, time.Time{})
		return
	}
	if next := e.group.Next(); !next.IsZero() {
		s.c.timers.set(&e.timer, next)
	}
}
