package config

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/config/keys"
)

// values is the text of every broker key that is set, by layer, with passwords in clear. Immutable once built.
type values struct {
	broker   map[string]string // /config/brokers/<id>
	defaults map[string]string // /config/brokers/<default>
	static   map[string]string // file, environment, overrides

	merged map[string]string // the strongest setting of each key
	parsed map[string]any    // effective value of every key of the table that has one
}

// newValues parses the effective value of every key. The error is that of the first bad value, by name.
func newValues(static, defaults, broker map[string]string) (*values, error) {
	v := &values{broker: broker, defaults: defaults, static: static, merged: maps.Clone(static), parsed: make(map[string]any, len(keys.Broker.All()))}
	if v.merged == nil {
		v.merged = map[string]string{}
	}
	for _, layer := range []map[string]string{defaults, broker} {
		for name, text := range layer {
			// log.retention.ms set here must win over log.retention.minutes set below.
			if _, _, prefixed := keys.SplitListener(name); !prefixed {
				for _, weaker := range keys.BrokerSynonyms(name) {
					delete(v.merged, weaker)
				}
			}
			v.merged[name] = text
		}
	}
	for _, k := range keys.Broker.All() {
		text, set := v.merged[k.Name]
		if !set {
			if d := k.DefaultValue(); d != nil {
				v.parsed[k.Name] = d
			}
			continue
		}
		p, err := k.Parse(text)
		if err != nil {
			return nil, err
		}
		v.parsed[k.Name] = p
	}
	return v, nil
}

// get is the canonical effective text of any key, in the table or not.
func (v *values) get(name string) (string, bool) {
	if p, ok := v.parsed[name]; ok {
		return keys.Format(p), true
	}
	text, set := v.merged[name]
	if !set {
		return "", false
	}
	if k, ok := keys.LookupBroker(name); ok {
		if c, err := k.Canonical(text); err == nil {
			return c, true
		}
	}
	return text, true
}

// names lists every documented key and whatever else is set.
func (v *values) names() []string {
	all := map[string]bool{}
	for _, k := range keys.Broker.All() {
		if !k.Internal {
			all[k.Name] = true
		}
	}
	for _, layer := range []map[string]string{v.broker, v.defaults, v.static} {
		for name := range layer {
			all[name] = true
		}
	}
	return slices.Collect(maps.Keys(all))
}

// synonyms lists every setting that name's value could come from, the strongest first: what DescribeConfigs shows. Those
// before the first of name itself are left out (the keys that it overrides, not those that override it). Defaults that are
// null are not listed.
func (v *values) synonyms(name string) []Synonym {
	group := keys.BrokerSynonyms(name)
	var all []Synonym
	for _, layer := range []struct {
		m      map[string]string
		source kmsg.ConfigSource
	}{{v.broker, kmsg.ConfigSourceDynamicBrokerConfig}, {v.defaults, kmsg.ConfigSourceDynamicDefaultBrokerConfig}, {v.static, kmsg.ConfigSourceStaticBrokerConfig}} {
		for _, n := range group {
			if text, ok := layer.m[n]; ok {
				all = append(all, Synonym{n, text, layer.source})
			}
		}
	}
	for _, n := range group {
		if k, ok := keys.Broker.Lookup(n); ok && !k.Null {
			all = append(all, Synonym{n, k.Default, kmsg.ConfigSourceDefaultConfig})
		}
	}
	first := slices.IndexFunc(all, func(s Synonym) bool { return s.Name == name })
	if first < 0 {
		return nil
	}
	return all[first:]
}

// Synonym is one place that a key's value may come from.
type Synonym struct {
	Name   string
	Value  string // as written there
	Source kmsg.ConfigSource
}

// The typed getters are for keys of the table; asking for another type than the table's is a programming error.

func get[T any](v *values, name string) (t T, ok bool) {
	p, ok := v.parsed[name]
	if !ok {
		if _, known := keys.Broker.Lookup(name); !known {
			panic("config: " + name + " is not in the table")
		}
		return t, false
	}
	return p.(T), true
}

func (v *values) bool(name string) bool     { b, _ := get[bool](v, name); return b }
func (v *values) int(name string) int32     { n, _ := get[int32](v, name); return n }
func (v *values) short(name string) int16   { n, _ := get[int16](v, name); return n }
func (v *values) long(name string) int64    { n, _ := get[int64](v, name); return n }
func (v *values) float(name string) float64 { f, _ := get[float64](v, name); return f }
func (v *values) string(name string) string { s, _ := get[string](v, name); return s }
func (v *values) list(name string) []string { l, _ := get[[]string](v, name); return l }
