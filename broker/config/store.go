package config

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ottla/broker/config/keys"
)

// Kinds and names of entities as they stand below /config.
const (
	Topics        = "topics"
	Brokers       = "brokers"
	DefaultEntity = "<default>"
)

// Entities reads and writes the nodes below /config in one ZooKeeper session (*znode.Session is one). Safe for concurrent use.
type Entities interface {
	// Entity reads one node; a missing one has no configuration and exists is false.
	Entity(ctx context.Context, kind, name string) (config map[string]string, exists bool, err error)
	// Entities reads all nodes of a kind. Those that cannot be understood are left out and reported in skipped.
	Entities(ctx context.Context, kind string) (configs map[string]map[string]string, skipped []error, err error)
	// SetEntity replaces one node's configuration.
	SetEntity(ctx context.Context, kind, name string, config map[string]string) error
	// NotifyEntity tells all brokers that a node has changed: called after SetEntity.
	NotifyEntity(ctx context.Context, kind, name string) error
}

// Change tells a subscriber what is different now.
type Change struct {
	Topic string // the topic whose overrides changed, "" when the broker's own configuration did
	Keys  []string
	Old   *Config // of the broker; equal to New when a topic changed
	New   *Config
}

// Store is the configuration that is in force: the static one, the dynamic layers of /config/brokers over it, and the
// overrides of the topics in /config/topics. It starts no goroutine: whoever follows /config/changes calls Apply.
//
// Config and Topic take no lock that waits for I/O and may be called from anywhere. The methods that read entities run one
// at a time, so that the newest reading wins; subscribers are called from them, in order, and must not call them back.
type Store struct {
	log     zerolog.Logger
	static  map[string]string
	current atomic.Pointer[Config]
	started atomic.Bool // LoadBroker has run: what only a start can change is fixed

	reading sync.Mutex   // held while an entity is read and applied
	applied atomic.Int64 // how often Apply and Reload were called
	subs    []func(Change)

	mu     sync.Mutex
	topics map[string]*topicState
}

type topicState struct {
	overrides map[string]string
	of        *Config      // that resolved was made from
	resolved  *TopicConfig // nil until asked for
}

// NewStore starts with the static configuration alone.
func NewStore(static *Config, log zerolog.Logger) *Store {
	s := &Store{log: log, static: static.values.static, topics: map[string]*topicState{}}
	s.current.Store(static)
	return s
}

// Config is the broker's configuration at this moment.
func (s *Store) Config() *Config { return s.current.Load() }

// Subscribe has f called after each change. Call it before LoadTopics and Apply.
func (s *Store) Subscribe(f func(Change)) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.subs = append(s.subs, f)
}

func (s *Store) tell(c Change) {
	for _, f := range s.subs {
		f(c)
	}
}

// Topic is a topic's configuration as last read; the broker's defaults for a topic that was not.
func (s *Store) Topic(name string) *TopicConfig {
	c := s.Config()
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.topics[name]
	if !ok {
		return &c.Topic
	}
	if t.of != c {
		t.of, t.resolved = c, s.resolve(c, name, t.overrides)
	}
	return t.resolved
}

// resolve leaves wrong values out: only another program can have written them, and the topic must be served.
func (s *Store) resolve(c *Config, name string, overrides map[string]string) *TopicConfig {
	t, err := c.ResolveTopic(overrides)
	if err == nil {
		return t
	}
	good := maps.Clone(overrides)
	for _, k := range keys.Topic.All() {
		if text, ok := good[k.Name]; ok {
			if _, err := k.Parse(text); err != nil {
				s.log.Error().Str("topic", name).Err(err).Msg("override in ZooKeeper is ignored")
				delete(good, k.Name)
			}
		}
	}
	if t, err = c.ResolveTopic(good); err != nil {
		s.log.Error().Str("topic", name).Err(err).Msg("overrides in ZooKeeper are ignored")
		return &c.Topic
	}
	return t
}

// LoadTopics reads the overrides of all topics: at the start, before their logs are loaded.
func (s *Store) LoadTopics(ctx context.Context, e Entities) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.loadTopics(ctx, e)
}

// Reload reads everything again: in each new session, since notifications are kept for 15 minutes only.
func (s *Store) Reload(ctx context.Context, e Entities) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.applied.Add(1)
	if err := s.applyBroker(ctx, e); err != nil {
		return err
	}
	return s.loadTopics(ctx, e)
}

func (s *Store) loadTopics(ctx context.Context, e Entities) error {
	all, skipped, err := e.Entities(ctx, Topics)
	if err != nil {
		return err
	}
	for _, err := range skipped {
		s.log.Error().Err(err).Msg("topic configuration cannot be read and is ignored")
	}
	s.mu.Lock()
	for name := range s.topics {
		if _, ok := all[name]; !ok && len(skipped) == 0 { // what cannot be read stays as it was
			all[name] = nil
		}
	}
	s.mu.Unlock()
	for _, name := range sortedKeys(all) {
		s.setTopic(name, all[name])
	}
	return nil
}

// LoadTopic reads one topic's overrides: before its log is made, since a creation is not notified.
func (s *Store) LoadTopic(ctx context.Context, e Entities, name string) (*TopicConfig, error) {
	// Many are made at a time: they are read beside each other, and once more when something else was read and applied meanwhile.
	before := s.applied.Load()
	overrides, _, err := e.Entity(ctx, Topics, name)
	if err != nil {
		return nil, err
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.applied.Load() != before {
		if overrides, _, err = e.Entity(ctx, Topics, name); err != nil {
			return nil, err
		}
	}
	s.setTopic(name, overrides)
	return s.Topic(name), nil
}

// Forget drops what is known of a topic that was deleted.
func (s *Store) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.topics, name)
}

func (s *Store) setTopic(name string, overrides map[string]string) {
	c := s.Config()
	s.mu.Lock()
	var before map[string]string
	if old, known := s.topics[name]; known {
		before = old.overrides
	}
	resolved := s.resolve(c, name, overrides)
	s.topics[name] = &topicState{overrides: maps.Clone(overrides), of: c, resolved: resolved}
	s.mu.Unlock()
	if changed := differences(before, overrides); len(changed) > 0 {
		s.tell(Change{Topic: name, Keys: changed, Old: c, New: c})
	}
}

// differences lists the keys in which two sets of settings differ.
func differences(a, b map[string]string) []string {
	var changed []string
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			changed = append(changed, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			changed = append(changed, k)
		}
	}
	slices.Sort(changed)
	return changed
}

// LoadBroker reads the dynamic layers of this broker, whose id is known by now, at the start: after it, Config has all that
// the listeners and log directories are set up with. It encrypts passwords anew that are under password.encoder.old.secret.
// The error may be that of a setting that refuses the start (see Load).
func (s *Store) LoadBroker(ctx context.Context, e Entities, id int32) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	withID := *s.Config()
	withID.BrokerID = id
	s.current.Store(&withID)
	if err := s.reencode(ctx, e, id); err != nil {
		return err
	}
	c, err := s.readBroker(ctx, e)
	if err != nil {
		return err
	}
	if refused, _ := c.reports(); len(refused) > 0 {
		return fmt.Errorf("/config/brokers: %w", errors.Join(refused...))
	}
	s.publish(c)
	s.started.Store(true)
	return nil
}

// Apply reads an entity again that was notified as changed. Kinds that are not kept here (users, clients, ips) are ignored.
func (s *Store) Apply(ctx context.Context, e Entities, kind, name string) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.applied.Add(1)
	switch {
	case kind == Topics:
		overrides, exists, err := e.Entity(ctx, Topics, name)
		if err != nil {
			return err
		}
		if exists {
			s.setTopic(name, overrides)
		}
	case kind == Brokers && (name == DefaultEntity || name == strconv.Itoa(int(s.Config().BrokerID))):
		return s.applyBroker(ctx, e)
	}
	return nil
}

func (s *Store) applyBroker(ctx context.Context, e Entities) error {
	c, err := s.readBroker(ctx, e)
	if err != nil {
		return err
	}
	if refused, _ := c.reports(); len(refused) > 0 && c != s.Config() {
		s.log.Warn().Err(errors.Join(refused...)).Msg("dynamic configuration asks for what is not available in this version")
	}
	s.publish(c)
	return nil
}

// readBroker reads both dynamic layers and builds the configuration with them. What is wrong in them is left out and logged.
func (s *Store) readBroker(ctx context.Context, e Entities) (*Config, error) {
	old := s.Config()
	defaults, _, err := e.Entity(ctx, Brokers, DefaultEntity)
	if err != nil {
		return nil, err
	}
	broker, _, err := e.Entity(ctx, Brokers, strconv.Itoa(int(old.BrokerID)))
	if err != nil {
		return nil, err
	}
	defaults, broker = s.usable(old, defaults, false), s.usable(old, broker, true)
	if s.started.Load() {
		for _, k := range atStart {
			if text, ok := broker[k]; ok != has(old.values.broker, k) || text != old.values.broker[k] {
				s.log.Warn().Str("key", k).Msg("the change takes effect at the next start")
				delete(broker, k)
				if was, ok := old.values.broker[k]; ok {
					broker[k] = was
				}
			}
		}
	}
	c, err := old.withDynamic(s.static, defaults, broker)
	if err != nil {
		s.log.Error().Err(err).Msg("dynamic configuration contradicts itself and is ignored")
		return old, nil
	}
	return c, nil
}

// atStart are keys that Kafka changes while a broker runs and that take a restart here.
var atStart = []string{"listeners", "advertised.listeners", "listener.security.protocol.map"}

func has(m map[string]string, k string) bool { _, ok := m[k]; return ok }

// usable keeps of a dynamic layer what may stand there and can be parsed, passwords in clear.
func (s *Store) usable(c *Config, layer map[string]string, perBroker bool) map[string]string {
	m := map[string]string{}
	drop := func(key, why string) {
		s.log.Warn().Str("key", key).Bool("per-broker", perBroker).Msg("dynamic configuration is ignored: " + why)
	}
	for _, name := range sortedKeys(layer) {
		text := layer[name]
		k, known := keys.LookupBroker(name)
		switch {
		case !mayChange(name):
			drop(name, "the key cannot be changed while a broker runs")
			continue
		case needsListener(name):
			drop(name, "the key counts with a listener's prefix only")
			continue
		case !perBroker && onlyPerBroker(name):
			drop(name, "the key counts for one broker only, not as a default")
			continue
		}
		if sealed(name) {
			e := c.encoder()
			if e == nil {
				drop(name, "password.encoder.secret is not set")
				continue
			}
			clear, err := e.Decode(text)
			if err != nil {
				drop(name, err.Error())
				continue
			}
			text = clear
		}
		if known {
			if _, err := k.Parse(text); err != nil {
				drop(name, err.Error())
				continue
			}
		}
		m[name] = text
	}
	return m
}

// withDynamic is the configuration with other dynamic layers.
func (c *Config) withDynamic(static, defaults, broker map[string]string) (*Config, error) {
	v, err := newValues(static, defaults, broker)
	if err != nil {
		return nil, err
	}
	n, err := build(v)
	if err != nil {
		return nil, err
	}
	n.BrokerID = c.BrokerID
	return n, nil
}

// publish puts c in force and tells subscribers which keys have another value now.
func (s *Store) publish(c *Config) {
	old := s.Config()
	if c == old {
		return
	}
	changed := old.changedKeys(c)
	if len(changed) == 0 && maps.Equal(old.values.broker, c.values.broker) && maps.Equal(old.values.defaults, c.values.defaults) {
		return
	}
	s.current.Store(c)
	_, before := old.reports()
	_, warned := c.reports()
	for _, w := range warned {
		if !slices.Contains(before, w) {
			s.log.Warn().Msg(w)
		}
	}
	if len(changed) > 0 {
		s.tell(Change{Keys: changed, Old: old, New: c})
	}
}

// changedKeys lists the keys of the table whose effective value differs, and those with a listener's prefix.
func (c *Config) changedKeys(n *Config) []string {
	var changed []string
	for _, k := range keys.Broker.All() {
		a, aok := c.values.parsed[k.Name]
		b, bok := n.values.parsed[k.Name]
		if aok != bok || aok && keys.Format(a) != keys.Format(b) {
			changed = append(changed, k.Name)
		}
	}
	for _, name := range differences(c.values.merged, n.values.merged) {
		if _, _, prefixed := keys.SplitListener(name); prefixed {
			changed = append(changed, name)
		}
	}
	return changed
}

// reencode encrypts passwords that are under the old secret with the present one.
func (s *Store) reencode(ctx context.Context, e Entities, id int32) error {
	c := s.Config()
	old, now := c.encoderOf("password.encoder.old.secret"), c.encoder()
	if old == nil || now == nil {
		return nil
	}
	name := strconv.Itoa(int(id))
	layer, exists, err := e.Entity(ctx, Brokers, name)
	if err != nil || !exists {
		return err
	}
	written := false
	for _, k := range sortedKeys(layer) {
		if !sealed(k) {
			continue
		}
		if _, err := now.Decode(layer[k]); err == nil {
			continue
		}
		clear, err := old.Decode(layer[k])
		if err != nil {
			continue // usable reports it
		}
		if layer[k], err = now.Encode(clear); err != nil {
			return err
		}
		written = true
	}
	if !written {
		return nil
	}
	if err := e.SetEntity(ctx, Brokers, name, layer); err != nil {
		return err
	}
	return e.NotifyEntity(ctx, Brokers, name)
}
