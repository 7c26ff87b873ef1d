package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"ottla/broker/config/keys"
	"ottla/broker/config/properties"
)

// Sources are the places that a broker's static configuration comes from, the weakest first: Base or File, Environ,
// Overrides. Below them all are the defaults of the table.
type Sources struct {
	// Base is used when there is no file, over the values of Kafka's shipped server.properties. May be nil.
	Base map[string]string
	// File is the path of server.properties, "" for none.
	File string
	// Environ is as os.Environ returns it. KAFKA_LISTENERS is listeners (see properties.Environment).
	Environ []string
	// Overrides are key=value, the later ones stronger.
	Overrides []string
	// ReadFile reads File; nil means os.ReadFile.
	ReadFile func(name string) ([]byte, error)
}

// Shipped are the values of the server.properties that comes with Apache Kafka 3.9: what a broker without a file runs with.
func Shipped() map[string]string {
	return map[string]string{
		"broker.id": "0", "num.network.threads": "3", "num.io.threads": "8", "socket.send.buffer.bytes": "102400", "socket.receive.buffer.bytes": "102400",
		"socket.request.max.bytes": "104857600", "log.dirs": "/tmp/kafka-logs", "num.partitions": "1", "num.recovery.threads.per.data.dir": "1",
		"offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
		"log.retention.hours": "168", "log.retention.check.interval.ms": "300000", "zookeeper.connect": "localhost:2181",
		"zookeeper.connection.timeout.ms": "18000", "group.initial.rebalance.delay.ms": "0",
	}
}

// Load reads and judges the static configuration. The warnings are one line each, without a level, for the log. The error,
// if any, joins everything that is wrong, one line each, and says where it stands; the Config is then nil.
func Load(s Sources) (*Config, []string, error) {
	l := loader{text: map[string]string{}, origin: map[string]string{}}
	if s.File == "" {
		for k, v := range Shipped() {
			l.put(k, v, "")
		}
		for k, v := range s.Base {
			l.put(k, v, "")
		}
	} else if err := l.file(s); err != nil {
		return nil, nil, err
	}
	l.environment(s.Environ)
	jvm := systemProperties(s.Environ)
	l.zooKeeperClient(jvm)
	if err := l.overrides(s.Overrides); err != nil {
		return nil, nil, err
	}
	l.sameID()
	c, err := l.judge()
	if err != nil {
		return nil, l.warnings, err
	}
	refused, warned := c.reports()
	if err := c.ZooKeeper.secure(c.values, jvm, s.ReadFile); err != nil {
		refused = append(refused, err)
	}
	if len(refused) > 0 {
		return nil, l.warnings, errors.Join(refused...)
	}
	return c, append(l.warnings, warned...), nil
}

type loader struct {
	text     map[string]string
	origin   map[string]string // where the value stands, "" for a built-in one
	warnings []string
}

func (l *loader) put(key, value, origin string) { l.text[key], l.origin[key] = value, origin }

func (l *loader) file(s Sources) error {
	read := s.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	b, err := read(s.File)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	entries, err := properties.Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", s.File, err)
	}
	for _, e := range entries {
		l.put(e.Key, e.Value, fmt.Sprintf("%s line %d", s.File, e.Line))
	}
	return nil
}

// lowered finds the few keys with capitals by the small letters that an environment variable leaves of them.
var lowered = func() map[string]string {
	m := map[string]string{}
	for _, k := range keys.Broker.All() {
		if low := strings.ToLower(k.Name); low != k.Name {
			m[low] = k.Name
		}
	}
	return m
}()

func (l *loader) environment(environ []string) {
	for _, e := range properties.Environment(environ) {
		if name, ok := lowered[e.Key]; ok {
			e.Key = name
		}
		l.put(e.Key, e.Value, "environment")
	}
}

func (l *loader) overrides(list []string) error {
	for _, o := range list {
		key, value, ok := strings.Cut(o, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return fmt.Errorf("--override %s: want key=value", o)
		}
		l.put(key, value, "--override")
	}
	return nil
}

// sameID makes broker.id and node.id stand for each other, as in Kafka: whichever is given names the broker. A built-in
// broker.id gives way to a given node.id.
func (l *loader) sameID() {
	id, hasID := l.text["broker.id"]
	node, hasNode := l.text["node.id"]
	switch {
	case hasNode && (!hasID || l.origin["broker.id"] == ""):
		l.put("broker.id", node, l.origin["node.id"])
	case hasID && !hasNode:
		l.put("node.id", id, l.origin["broker.id"])
	}
}

// judge parses every value, warns of unknown keys, and builds the Config.
func (l *loader) judge() (*Config, error) {
	var errs []error
	for _, name := range sortedKeys(l.text) {
		k, known := keys.LookupBroker(name)
		_, dynamicOnly := keys.DynamicOnly.Lookup(name)
		if !known || dynamicOnly {
			l.unknown(name)
			continue
		}
		if _, err := k.Parse(l.text[name]); err != nil {
			if r := k.RangeText(); r != "" {
				err = fmt.Errorf("%w (want %s, %s)", err, strings.ToLower(k.Type.String()), r)
			} else {
				err = fmt.Errorf("%w (want %s)", err, strings.ToLower(k.Type.String()))
			}
			if o := l.origin[name]; o != "" {
				err = fmt.Errorf("%s: %w", o, err)
			}
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	v, err := newValues(maps.Clone(l.text), nil, nil)
	if err != nil {
		return nil, err
	}
	return build(v)
}

// hints are keys of other releases and programs that people still have in their files.
var hints = map[string]string{
	"host.name": "use listeners", "port": "use listeners", "advertised.host.name": "use advertised.listeners", "advertised.port": "use advertised.listeners",
	"quota.producer.default": "use kafka-configs to set quotas", "quota.consumer.default": "use kafka-configs to set quotas",
	"log.cleaner.min.cleanable.dirty.ratio": "use log.cleaner.min.cleanable.ratio", "log.flush.interval": "use log.flush.interval.messages",
	"bootstrap.servers": "a broker finds the others through zookeeper.connect",
}

func (l *loader) unknown(name string) {
	for _, r := range slices.Concat(refusals, warnings) {
		if r.key == name {
			return // judged there
		}
	}
	for _, prefix := range []string{"rsm.config.", "rlmm.config.", "config.providers."} {
		if strings.HasPrefix(name, prefix) {
			return // means something to a class that a key names, and that key is judged
		}
	}
	text := fmt.Sprintf("%s is no key of a broker and is ignored", name)
	if o := l.origin[name]; o != "" {
		text += " (" + o + ")"
	}
	if h := hints[name]; h != "" {
		text += ": " + h
	} else if near := nearest(name); near != "" {
		text += ": did you mean " + near + "?"
	}
	l.warnings = append(l.warnings, text)
}

// nearest is the key that a misspelt name most likely means: at most two letters away, "" if there is none.
func nearest(name string) string {
	best, distance := "", 3
	for _, k := range keys.Broker.All() {
		if k.Internal && !k.Own || max(len(k.Name)-len(name), len(name)-len(k.Name)) >= distance {
			continue
		}
		if d := edits(name, k.Name); d < distance {
			best, distance = k.Name, d
		}
	}
	return best
}

// edits is the number of letters to put in, take out or change to make a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
