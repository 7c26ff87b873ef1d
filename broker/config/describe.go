package config

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/config/keys"
)

// Entry is one key as DescribeConfigs and CreateTopics answer it.
type Entry struct {
	Name      string
	Value     *string // nil when null, and when sensitive
	Source    kmsg.ConfigSource
	ReadOnly  bool
	Sensitive bool
	Type      keys.Type
	Doc       string
	Synonyms  []Synonym // without values when sensitive
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// DescribeTopic lists every topic key, resolved, in Kafka's order. Overrides that are in no table are listed too, without
// a value, as Kafka does: what they hold is not known to be harmless.
func (c *Config) DescribeTopic(overrides map[string]string) ([]Entry, error) {
	m, err := topicValues(c.values, overrides)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range keys.Topic.All() {
		names = append(names, k.Name)
	}
	for name := range overrides {
		if _, ok := keys.Topic.Lookup(name); !ok {
			names = append(names, name)
		}
	}
	keys.SortAsKafka(names)
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		k, known := keys.Topic.Lookup(name)
		e := Entry{Name: name, Type: k.Type, Doc: k.Doc, Sensitive: !known || k.Sensitive(), Source: kmsg.ConfigSourceDefaultConfig}
		if !e.Sensitive {
			value := keys.Format(m[name])
			e.Value = &value
		}
		if _, ok := overrides[name]; ok {
			text := ""
			if !e.Sensitive {
				text = *e.Value
			}
			e.Synonyms = []Synonym{{name, text, kmsg.ConfigSourceDynamicTopicConfig}}
		}
		if len(k.Synonyms) > 0 {
			e.Synonyms = append(e.Synonyms, c.values.synonyms(k.Synonyms[0])...)
		}
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// DescribeBroker lists every documented broker key and whatever else is set, in Kafka's order.
func (c *Config) DescribeBroker() []Entry {
	names := c.values.names()
	keys.SortAsKafka(names)
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		entries = append(entries, c.brokerEntry(name))
	}
	return entries
}

// DescribeDefaults lists what is set in /config/brokers/<default>, in Kafka's order.
func (c *Config) DescribeDefaults() []Entry {
	names := slices.Collect(maps.Keys(c.values.defaults))
	keys.SortAsKafka(names)
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		e := c.brokerEntry(name)
		e.Synonyms = slices.DeleteFunc(e.Synonyms, func(s Synonym) bool { return s.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig })
		if !e.Sensitive {
			text := c.values.defaults[name]
			e.Value = &text
		}
		e.Source = kmsg.ConfigSourceDefaultConfig
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	return entries
}

func (c *Config) brokerEntry(name string) Entry {
	k, known := keys.LookupBroker(name)
	e := Entry{Name: name, Type: k.Type, Sensitive: !known || k.Sensitive(), Source: kmsg.ConfigSourceDefaultConfig}
	exact, _ := keys.Broker.Lookup(name) // keys with a prefix count as read-only and undocumented, as in Kafka
	e.ReadOnly, e.Doc = exact.Mode == keys.ReadOnly, exact.Doc
	if !e.Sensitive {
		if value, ok := c.values.get(name); ok {
			e.Value = &value
		}
	}
	if e.Synonyms = c.values.synonyms(name); len(e.Synonyms) > 0 {
		e.Source = e.Synonyms[0].Source
	}
	for i := range e.Synonyms {
		if e.Sensitive {
			e.Synonyms[i].Value = ""
		}
	}
	return e
}
