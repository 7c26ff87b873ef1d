package compact

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/commitlog"
)

// Settings are the broker's keys of the log cleaner.
type Settings struct {
	Enable         bool          // log.cleaner.enable
	Threads        int           // log.cleaner.threads
	DedupeBytes    int64         // log.cleaner.dedupe.buffer.size, of all threads together
	LoadFactor     float64       // log.cleaner.io.buffer.load.factor: how full the maps get
	IOBytes        int           // log.cleaner.io.buffer.size, of all threads together
	BytesPerSecond float64       // log.cleaner.io.max.bytes.per.second, of all threads together
	Backoff        time.Duration // log.cleaner.backoff.ms: how long a thread rests when nothing is to be done
}

// mapBytesMax is what Kafka, too, allows the map of one thread.
const mapBytesMax = 1<<31 - 1

// Config is what New needs.
type Config struct {
	Settings Settings
	Logs     func() []*commitlog.Log // those that this broker has online
	// Checkpoint writes the cleaner-offset-checkpoint of the directory that the log lies in.
	Checkpoint func(*commitlog.Log) error
	Now        func() time.Time
	Logger     zerolog.Logger
}

// Cleaner cleans the compacted logs of a broker. Its methods may be called from any goroutine.
type Cleaner struct {
	c Config

	reconfiguring sync.Mutex // one Start, Reconfigure or Close at a time
	cancel        context.CancelFunc
	work          sync.WaitGroup

	mu       sync.Mutex
	settings Settings
	busy     map[*commitlog.Log]bool
	bad      map[*commitlog.Log]bool // cannot be cleaned, until the next start
	status   Status
}

// Status is what the cleaner is doing.
type Status struct {
	LastRun     time.Time // when it last looked for a log to clean; zero: never
	DirtyRatio  float64   // the greatest of any log, then
	Uncleanable int       // logs that it has given up, until the next start
	Cleaned     int64     // rounds that went through
	Failed      int64     // rounds that did not

	// Of the last round that went through: the share of the log that was written anew, of the map that was used, and how long it took.
	Recopied, MapUse float64
	Took             time.Duration
}

// New returns a cleaner that does nothing yet.
func New(c Config) *Cleaner {
	return &Cleaner{c: c, settings: c.Settings, busy: map[*commitlog.Log]bool{}, bad: map[*commitlog.Log]bool{}}
}

// Start starts the threads, if the cleaner is enabled.
func (c *Cleaner) Start() {
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	c.start()
}

// start needs reconfiguring.
func (c *Cleaner) start() {
	c.mu.Lock()
	s := c.settings
	c.mu.Unlock()
	if !s.Enable {
		return
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	pace := &pace{perSecond: s.BytesPerSecond}
	for range max(1, s.Threads) {
		threads := max(1, s.Threads)
		w := &worker{
			memory: min(s.DedupeBytes/int64(threads), mapBytesMax), load: s.LoadFactor, room: max(s.IOBytes/threads/2, 4096), pace: pace, now: c.c.Now, checkpoint: c.c.Checkpoint,
		}
		if w.load <= 0 || w.load > 1 {
			w.load = 0.9
		}
		c.work.Go(func() { c.run(ctx, w, s.Backoff) })
	}
}

// Reconfigure changes the settings: rounds under way are given up, and begun again by the new threads.
func (c *Cleaner) Reconfigure(s Settings) {
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	c.mu.Lock()
	same, running := c.settings == s, c.cancel != nil
	c.settings = s
	c.mu.Unlock()
	if same || !running {
		return
	}
	c.halt()
	c.start()
}

// Close stops the threads and waits for them.
func (c *Cleaner) Close() {
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	c.halt()
}

func (c *Cleaner) halt() {
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
	c.work.Wait()
}

// Status is what the cleaner is doing.
func (c *Cleaner) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Uncleanable = len(c.bad)
	return s
}

// Uncleanable are the logs that it has given up, until the next start.
func (c *Cleaner) Uncleanable() []*commitlog.Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.bad))
}

// backoffMin keeps a thread from spinning, whatever log.cleaner.backoff.ms says.
const backoffMin = 10 * time.Millisecond

// run is one thread.
func (c *Cleaner) run(ctx context.Context, w *worker, backoff time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		did := c.once(ctx, w)
		c.retain(ctx)
		if did {
			timer.Reset(0)
			continue
		}
		w.rest()
		timer.Reset(max(backoff, backoffMin))
	}
}

// once cleans the log that needs it most. false: there was none, or it did not go well.
func (c *Cleaner) once(ctx context.Context, w *worker) bool {
	log, p := c.dirtiest()
	if log == nil {
		return false
	}
	defer c.done(log)
	name := log.Partition().String()
	r, err := w.clean(ctx, log, p)
	if err == nil && r.to > r.from {
		err = c.c.Checkpoint(log)
	}
	switch {
	case err == nil:
		c.count(&c.status.Cleaned)
		c.mu.Lock()
		c.status.Recopied, c.status.MapUse, c.status.Took = float64(r.after)/float64(max(r.before, 1)), r.utilization, r.indexed+r.cleant
		c.mu.Unlock()
		c.report(name, &r)
		return r.to > r.from
	case errors.Is(err, errStopped), commitlog.GivenUp(err):
		return false
	case errors.Is(err, commitlog.ErrDamaged):
		c.mu.Lock()
		c.bad[log] = true
		c.mu.Unlock()
		c.c.Logger.Error().Err(err).Str("log", name).Msg("log cannot be cleaned: it is served as it is, and left alone by the cleaner until the next start")
	default:
		c.c.Logger.Warn().Err(err).Str("log", name).Msg("log was not cleaned; it will be tried again")
	}
	c.count(&c.status.Failed)
	return false
}

func (c *Cleaner) count(n *int64) {
	c.mu.Lock()
	*n++
	c.mu.Unlock()
}

func (c *Cleaner) report(name string, r *result) {
	ev := c.c.Logger.Info().Str("log", name).Int64("from", r.from).Int64("to", r.to).Int64("bytesBefore", r.before).Int64("bytesAfter", r.after).
		Int64("recordsBefore", r.read).Int64("recordsAfter", r.written).Float64("mapUse", r.utilization).Dur("indexing", r.indexed).Dur("cleaning", r.cleant)
	if r.keyless > 0 {
		ev = ev.Int64("withoutKey", r.keyless)
	}
	ev.Msg("log is cleaned")
}

// dirtiest takes the log that is to be cleaned next, nil when there is none.
func (c *Cleaner) dirtiest() (*commitlog.Log, part) {
	logs := c.c.Logs()
	now := c.c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetGone(logs)
	var best *commitlog.Log
	var bestPart part
	worst := 0.0
	for _, log := range logs {
		st := log.Settings()
		if !st.Compact || c.busy[log] || c.bad[log] {
			continue
		}
		v := log.Sections()
		p, err := judge(&v, &st, log.FirstTimestamp, now.UnixMilli())
		if err != nil {
			c.c.Logger.Warn().Err(err).Str("log", log.Partition().String()).Msg("log is passed over by the cleaner")
			continue
		}
		worst = max(worst, p.ratio())
		if p.wanted(&st) && (best == nil || p.ratio() > bestPart.ratio()) {
			best, bestPart = log, p
		}
	}
	c.status.LastRun, c.status.DirtyRatio = now, worst
	if best != nil {
		c.busy[best] = true
	}
	return best, bestPart
}

// forgetGone drops what is known of logs that are not here any more.
func (c *Cleaner) forgetGone(logs []*commitlog.Log) {
	if len(c.bad) == 0 {
		return
	}
	here := make(map[*commitlog.Log]bool, len(logs))
	for _, l := range logs {
		here[l] = true
	}
	for l := range c.bad {
		if !here[l] {
			delete(c.bad, l)
		}
	}
}

func (c *Cleaner) done(log *commitlog.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, log)
}

// retain applies retention to the compacted logs, as often as they are looked at: those that are to be deleted from as well, and what
// lies before a log's start.
func (c *Cleaner) retain(ctx context.Context) {
	now := c.c.Now()
	for _, log := range c.c.Logs() {
		if ctx.Err() != nil {
			return
		}
		if st := log.Settings(); !st.Compact {
			continue
		}
		if _, err := log.DeleteOldSegments(now); err != nil && log.Err() == nil {
			c.c.Logger.Warn().Err(err).Str("log", log.Partition().String()).Msg("old segments are not deleted")
		}
	}
}
