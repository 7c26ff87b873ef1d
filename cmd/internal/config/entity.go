package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

// entity is something whose configuration DescribeConfigs and IncrementalAlterConfigs know.
type entity struct {
	kind kmsg.ConfigResourceType
	name string // "" with brokers: the defaults of all
}

// kinds are the types of entities by the names that Kafka's tools and znodes have for them.
var kinds = map[string]kmsg.ConfigResourceType{
	"topics": kmsg.ConfigResourceTypeTopic, "brokers": kmsg.ConfigResourceTypeBroker, "broker-loggers": kmsg.ConfigResourceTypeBrokerLogger,
	"client-metrics": kmsg.ConfigResourceTypeClientMetrics,
}

// words are our own names of the types.
var words = map[kmsg.ConfigResourceType]string{
	kmsg.ConfigResourceTypeTopic: "topic", kmsg.ConfigResourceTypeBroker: "broker", kmsg.ConfigResourceTypeBrokerLogger: "logger",
	kmsg.ConfigResourceTypeClientMetrics: "client-metrics",
}

// parseEntity reads topic/NAME, broker/ID, broker, logger/ID or client-metrics/NAME.
func parseEntity(text string) (entity, error) {
	kind, name, _ := strings.Cut(text, "/")
	for k, word := range words {
		if word != kind {
			continue
		}
		if k == kmsg.ConfigResourceTypeBroker || k == kmsg.ConfigResourceTypeBrokerLogger {
			if _, err := strconv.ParseInt(name, 10, 32); err == nil || name == "" && k == kmsg.ConfigResourceTypeBroker {
				return entity{k, name}, nil
			}
		} else if name != "" {
			return entity{k, name}, nil
		}
	}
	return entity{}, fmt.Errorf("%q: want topic/NAME, broker/ID, broker for the defaults of all brokers, logger/ID for log levels of a broker, user/NAME, client/ID, user/NAME/client/ID or ip/ADDRESS", text)
}

func (e entity) String() string { return strings.TrimSuffix(words[e.kind]+"/"+e.name, "/") }

// dynamic is the source of what was set for this very entity.
func (e entity) dynamic() kmsg.ConfigSource {
	switch {
	case e.kind == kmsg.ConfigResourceTypeTopic:
		return kmsg.ConfigSourceDynamicTopicConfig
	case e.kind == kmsg.ConfigResourceTypeBrokerLogger:
		return kmsg.ConfigSourceDynamicBrokerLoggerConfig
	case e.kind == kmsg.ConfigResourceTypeClientMetrics:
		return kmsg.ConfigSourceClientMetricsConfig
	case e.name == "":
		return kmsg.ConfigSourceDynamicDefaultBrokerConfig
	}
	return kmsg.ConfigSourceDynamicBrokerConfig
}

// read describes an entity; only what was set for it, or everything. The entries are sorted by name.
func (e entity) read(s client.Session, all bool) ([]kadm.Config, error) {
	if e.kind == kmsg.ConfigResourceTypeBroker && e.name != "" {
		if _, err := strconv.ParseInt(e.name, 10, 32); err != nil {
			return nil, fmt.Errorf("The entity name for brokers must be a valid integer broker id, found: %s", e.name)
		}
	}
	q := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = e.kind, e.name
	q.Resources, q.IncludeSynonyms = append(q.Resources, r), true
	resp, err := q.RequestWith(s, s.Kafka)
	if err != nil {
		return nil, err
	}
	if len(resp.Resources) != 1 {
		return nil, errors.New("the broker did not answer for " + e.String())
	}
	got := resp.Resources[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return nil, explain(err, got.ErrorMessage)
	}
	var out []kadm.Config
	for _, c := range got.Configs {
		if !all && c.Source != e.dynamic() && e.kind != kmsg.ConfigResourceTypeBrokerLogger {
			continue
		}
		x := kadm.Config{Key: c.Name, Value: c.Value, Sensitive: c.IsSensitive, Source: c.Source}
		for _, y := range c.ConfigSynonyms {
			x.Synonyms = append(x.Synonyms, kadm.ConfigSynonym{Key: y.Name, Value: y.Value, Source: y.Source})
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b kadm.Config) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// change sets and removes keys, together or not at all.
func (e entity) change(s client.Session, set map[string]string, unset []string) error {
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = e.kind, e.name
	add := func(op kmsg.IncrementalAlterConfigOp, key string, value *string) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = key, op, value
		r.Configs = append(r.Configs, c)
	}
	for k, v := range set {
		add(kmsg.IncrementalAlterConfigOpSet, k, &v)
	}
	for _, k := range unset {
		add(kmsg.IncrementalAlterConfigOpDelete, k, nil)
	}
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.Resources = append(q.Resources, r)
	resp, err := q.RequestWith(s, s.Kafka)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return explain(err, r.ErrorMessage)
		}
	}
	return nil
}

// refusal is what a broker says of an entity.
type refusal struct {
	err  error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.err }

func explain(err error, sent *string) error {
	text := ""
	if sent != nil {
		text = *sent
	}
	return &refusal{err, tool.Message(err, text)}
}

// hint says what to do about an error of `ottla config`.
func hint(e subject, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("there is no %s; `ottla topic list` shows the topics", strings.Replace(e.String(), "/", " ", 1))
	case errors.Is(err, kerr.InvalidConfig):
		return fmt.Errorf("%s: %w; `ottla config get %s --all` shows the keys", e, err, e)
	}
	return fmt.Errorf("%s: %w", e, err)
}
