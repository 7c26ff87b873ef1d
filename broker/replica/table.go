package replica

import (
	"context"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
	"ottla/broker/metadata"
	"ottla/broker/partition"
	"ottla/broker/topic"
)

// Logs keeps the partitions' logs: logdir.Manager.
type Logs interface {
	// Log is the partition's log, or nil; offline says that it had one in a directory that failed.
	Log(p topic.Partition) (l *commitlog.Log, offline bool)
	// Create returns the partition's log, made if there is none. id may be zero.
	Create(p topic.Partition, id topic.ID, s commitlog.Settings) (l *commitlog.Log, isNew bool, err error)
	// Delete closes and removes the partition's log; an unknown one is no error.
	Delete(p topic.Partition) error
	// CheckpointedHighWatermark is the high watermark of the last life, else 0.
	CheckpointedHighWatermark(p topic.Partition) int64
	// Offline says whether a directory is offline: a log that is not found may lie there.
	Offline() bool
}

// Config is what a Table needs.
type Config struct {
	Self     int32 // this broker
	Logs     Logs
	Metadata *metadata.Store
	Fence    *metadata.Fence
	// Prepare is called before logs of these topics are made, for each LeaderAndIsr once: the making of a topic's configuration
	// is not notified, so it has to be read. It may block; an error refuses the request's partitions of logs not yet made.
	Prepare func(ctx context.Context, topics []string) error
	// Settings are the values of a topic's configuration as it was last read.
	Settings func(topicName string) (commitlog.Settings, partition.Settings)
	LagMax   time.Duration // replica.lag.time.max.ms
	// Elected and Resigned are told, in the order of the controller's requests, that this broker has become leader of a
	// partition in a leader epoch, or leads it no more since a leader epoch (-1: its replica is deleted). They must not block.
	Elected, Resigned func(p topic.Partition, leaderEpoch int32)
	Now               func() time.Time
	Logger            zerolog.Logger
}

// Table holds the hosted partitions. Safe for concurrent use.
type Table struct {
	cfg    Config
	hosted atomic.Pointer[map[topic.Partition]*partition.Partition]

	mu sync.Mutex // one change at a time

	counting sync.Mutex
	traffic  map[string]*topicTraffic
	gone     partition.Traffic // of topics that are not hosted any more
}

// topicTraffic is what the hosted partitions of a topic share.
type topicTraffic struct {
	partition.Traffic
	partitions int
}

// New returns an empty table.
func New(cfg Config) *Table {
	t := &Table{cfg: cfg, traffic: map[string]*topicTraffic{}}
	t.hosted.Store(&map[topic.Partition]*partition.Partition{})
	return t
}

// Lookup finds a hosted partition; nil if it is not hosted here, KAFKA_STORAGE_ERROR if its log directory is offline. Takes no
// lock when the partition is hosted.
func (t *Table) Lookup(name string, number int32) (*partition.Partition, error) {
	tp := topic.Partition{Topic: name, Partition: number}
	if p := (*t.hosted.Load())[tp]; p != nil {
		return p, nil
	}
	if _, offline := t.cfg.Logs.Log(tp); offline {
		return nil, kerr.KafkaStorageError
	}
	return nil, nil
}

// Hosted is the present table, by partition. Not to be changed.
func (t *Table) Hosted() map[topic.Partition]*partition.Partition { return *t.hosted.Load() }

// Reconfigure gives the partitions of the topics that match the settings that hold now.
func (t *Table) Reconfigure(match func(topicName string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tp, p := range t.Hosted() {
		if match(tp.Topic) {
			ls, ps := t.cfg.Settings(tp.Topic)
			p.Log().SetSettings(ls)
			p.SetSettings(ps)
		}
	}
}

// DirFailed takes the partitions out whose log was in a directory that went offline.
func (t *Table) DirFailed(dir string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.changeLocked()
	for tp, p := range t.Hosted() {
		if filepath.Dir(p.Log().Dir()) == filepath.Clean(dir) {
			c.remove(tp, p, p.Role().LeaderEpoch)
		}
	}
	c.publish()
}

// Close lets go everybody who waits at a partition. The logs stay open.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.changeLocked()
	for tp, p := range t.Hosted() {
		c.remove(tp, p, p.Role().LeaderEpoch)
	}
	c.publish()
}

// A change collects what one request does to the table, so that the map is copied and swapped once.
type change struct {
	t     *Table
	next  map[topic.Partition]*partition.Partition // nil until something is put in or taken out
	after []func()                                 // notifications, once the new table can be seen

	unprepared error // why no log may be made
}

func (t *Table) changeLocked() *change { return &change{t: t} }

func (c *change) copied() map[topic.Partition]*partition.Partition {
	if c.next == nil {
		c.next = maps.Clone(c.t.Hosted())
	}
	return c.next
}

func (c *change) get(tp topic.Partition) *partition.Partition {
	if c.next != nil {
		return c.next[tp]
	}
	return c.t.Hosted()[tp]
}

// open returns the hosted partition, made without a role if it is new here. isNew says that the replica has never been on any
// broker: otherwise a log that is not found while a directory is offline may lie there, and an empty one in its place would lose
// its records.
func (c *change) open(tp topic.Partition, id topic.ID, isNew bool) (*partition.Partition, error) {
	if p := c.get(tp); p != nil {
		return p, assign(p.Log(), id)
	}
	cfg := &c.t.cfg
	if log, offline := cfg.Logs.Log(tp); offline || log == nil && !isNew && cfg.Logs.Offline() {
		return nil, kerr.KafkaStorageError
	}
	if c.unprepared != nil {
		return nil, c.unprepared
	}
	ls, ps := cfg.Settings(tp.Topic)
	log, _, err := cfg.Logs.Create(tp, id, ls)
	if err != nil {
		return nil, err
	}
	if err := assign(log, id); err != nil {
		return nil, err
	}
	log.SetSettings(ls) // of a log that was loaded: the configuration may have changed since
	p := partition.New(partition.Options{
		Partition: tp, Self: cfg.Self, Log: log, HighWatermark: cfg.Logs.CheckpointedHighWatermark(tp), Settings: ps,
		Traffic: c.t.count(tp.Topic), LagMax: cfg.LagMax, Live: c.t.live, Now: cfg.Now,
	})
	c.copied()[tp] = p
	return p, nil
}

// assign gives a log without a topic id the one that the controller names.
func assign(log *commitlog.Log, id topic.ID) error {
	if id.IsZero() || log.TopicID() == id {
		return nil
	}
	return log.AssignTopicID(id)
}

// remove takes a partition out and lets go who waits there. since is the epoch that Resigned is told.
func (c *change) remove(tp topic.Partition, p *partition.Partition, since int32) {
	led := p.Role().Leads
	delete(c.copied(), tp)
	p.Close()
	c.t.uncount(tp.Topic)
	if led {
		c.after = append(c.after, func() { c.t.cfg.Resigned(tp, since) })
	}
}

// publish swaps the table and tells who wants to know.
func (c *change) publish() {
	if c.next != nil {
		c.t.hosted.Store(&c.next)
	}
	for _, tell := range c.after {
		tell()
	}
}

// live says whether a broker is alive as far as the controller has told.
func (t *Table) live(id int32) bool {
	_, ok := t.cfg.Metadata.Load().Broker(id)
	return ok
}

// count is the topic's traffic, for one more partition.
func (t *Table) count(name string) *partition.Traffic {
	t.counting.Lock()
	defer t.counting.Unlock()
	c := t.traffic[name]
	if c == nil {
		c = new(topicTraffic)
		t.traffic[name] = c
	}
	c.partitions++
	return &c.Traffic
}

// uncount is called when one of the topic's partitions is gone. What the last one leaves goes on counting for the broker as a whole.
func (t *Table) uncount(name string) {
	t.counting.Lock()
	defer t.counting.Unlock()
	c := t.traffic[name]
	if c.partitions--; c.partitions == 0 {
		t.gone.Add(&c.Traffic)
		delete(t.traffic, name)
	}
}

// Traffic is what goes in and out, by topic, and of all topics together, those included that are not hosted any more.
func (t *Table) Traffic() (topics map[string]*partition.Traffic, all *partition.Traffic) {
	t.counting.Lock()
	defer t.counting.Unlock()
	topics, all = make(map[string]*partition.Traffic, len(t.traffic)), new(partition.Traffic)
	all.Add(&t.gone)
	for name, c := range t.traffic {
		topics[name] = &c.Traffic
		all.Add(&c.Traffic)
	}
	return topics, all
}
