package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/config/keys"
)

// mayChange says whether a broker key may stand in /config/brokers: keys of the table that are dynamic, those with a
// listener's prefix, and any that Kafka does not know (plug-ins have their own).
func mayChange(name string) bool {
	k, ok := keys.Broker.Lookup(name)
	return !ok || k.Mode != keys.ReadOnly
}

// needsListener says whether a dynamic key counts with a listener's prefix only: those of TLS and SASL.
func needsListener(name string) bool {
	k, ok := keys.Broker.Lookup(name)
	return ok && k.Mode == keys.PerBroker && name != "principal.builder.class" && !slices.Contains(atStart, name)
}

// onlyPerBroker says whether a key counts for a single broker, not as a default of all.
func onlyPerBroker(name string) bool {
	if k, ok := keys.Broker.Lookup(name); ok {
		return k.Mode == keys.PerBroker
	}
	_, base, ok := keys.SplitListener(name)
	if !ok {
		return false
	}
	k, known := keys.Broker.Lookup(base)
	return known && k.Mode == keys.PerBroker
}

// ValidateBrokerConfigs judges the whole content that /config/brokers/<id>, or with perBroker false the default node, is to
// have, passwords in clear. Nothing is put in force.
func (s *Store) ValidateBrokerConfigs(layer map[string]string, perBroker bool) error {
	c := s.Config()
	refuse := func(bad func(string) bool, text string) error {
		var names []string
		for _, name := range sortedKeys(layer) {
			if bad(name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		return invalidRequest("%s(%s)", text, strings.Join(names, ", "))
	}
	if err := refuse(func(n string) bool { return !mayChange(n) }, "Cannot update these configs dynamically: Set"); err != nil {
		return err
	}
	if err := refuse(needsListener, "These security configs can be dynamically updated only per-listener using the listener prefix: HashSet"); err != nil {
		return err
	}
	for _, name := range sortedKeys(layer) {
		if k, ok := keys.LookupBroker(name); ok {
			if _, err := k.Parse(layer[name]); err != nil {
				return invalidRequest("%s", err)
			}
		}
	}
	if !perBroker {
		if err := refuse(onlyPerBroker, "Cannot update these configs at default cluster level, broker id must be specified: Set"); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(layer) {
		if sealed(name) && c.encoder() == nil {
			return invalidRequest("%s cannot be stored: password.encoder.secret is not set on this broker", name)
		}
	}
	defaults, broker := c.values.defaults, layer
	if !perBroker {
		defaults, broker = layer, c.values.broker
	}
	n, err := c.withDynamic(s.static, defaults, broker)
	if err != nil {
		return invalidRequest("%s", err)
	}
	changed := c.changedKeys(n)
	for _, k := range atStart {
		if slices.Contains(changed, k) {
			return invalidRequest("%s cannot be changed while the broker runs; change it in server.properties and restart", k)
		}
	}
	if slices.Contains(changed, "metric.reporters") && len(n.values.list("metric.reporters")) > 0 {
		return invalidRequest("metric.reporters=%s: Java reporters cannot be loaded; metrics are served for Prometheus", strings.Join(n.values.list("metric.reporters"), ","))
	}
	if threads, now := n.Log.CleanerThreads, c.Log.CleanerThreads; threads < now/2 {
		return invalidRequest("Log cleaner threads cannot be reduced to less than half the current value %d", now)
	} else if threads > 2*now {
		return invalidRequest("Log cleaner threads cannot be increased to more than double the current value %d", now)
	}
	if refused, _ := n.reports(); len(refused) > 0 {
		if before, _ := c.reports(); len(before) < len(refused) {
			return &Refusal{kerr.InvalidConfig, errors.Join(refused...).Error(), false}
		}
	}
	return nil
}

// Seal encrypts the passwords of a broker's layer for ZooKeeper.
func (s *Store) Seal(layer map[string]string) (map[string]string, error) {
	return s.eachPassword(layer, func(text string) (string, error) {
		e := s.Config().encoder()
		if e == nil {
			return "", errors.New("password.encoder.secret is not set")
		}
		return e.Encode(text)
	})
}

// Open decrypts what Seal encrypted. Passwords that cannot be read are left out: they would be lost by the next change
// anyway, and must not block it.
func (s *Store) Open(layer map[string]string) map[string]string {
	e := s.Config().encoder()
	m, _ := s.eachPassword(layer, func(text string) (string, error) {
		if e == nil {
			return "", nil
		}
		clear, err := e.Decode(text)
		if err != nil {
			return "", nil
		}
		return clear, nil
	})
	for name := range layer {
		if sealed(name) && m[name] == "" {
			s.log.Warn().Str("key", name).Msg("stored password cannot be decrypted and is dropped")
			delete(m, name)
		}
	}
	return m
}

func (s *Store) eachPassword(layer map[string]string, f func(string) (string, error)) (map[string]string, error) {
	m := make(map[string]string, len(layer))
	for name, text := range layer {
		if sealed(name) {
			var err error
			if text, err = f(text); err != nil {
				return nil, err
			}
		}
		m[name] = text
	}
	return m, nil
}
