package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/config/keys"
	"ottla/broker/topic"
)

// Config is what the handlers need. All fields but Loggers must be set.
type Config struct {
	Store *config.Store
	// HasTopic says whether the cluster's metadata has the topic.
	HasTopic func(name string) bool
	// Entities returns the present ZooKeeper session; the error is answered to the client.
	Entities func(ctx context.Context) (config.Entities, error)
	// Loggers are the broker's own loggers; nil has none.
	Loggers Loggers
	Log     zerolog.Logger
}

// Loggers are the names of the broker's loggers and their levels (FATAL, ERROR, WARN, INFO, DEBUG, TRACE): a loggers.Set.
type Loggers interface {
	Levels() map[string]string
	// SetLevel sets the level of a logger that Levels lists.
	SetLevel(logger, level string) bool
	// ResetLevel gives the logger the level of the one above it.
	ResetLevel(logger string)
}

// Handlers serves the three APIs. Safe for concurrent use.
type Handlers struct {
	Config
	altering sync.Mutex // alterations read, change and write back
}

// Register adds DescribeConfigs 0-4, AlterConfigs 0-2 and IncrementalAlterConfigs 0-1.
func Register(r *api.Registry, c Config) *Handlers {
	h := &Handlers{Config: c}
	api.Register(r, 0, 4, h.describe)
	api.Register(r, 0, 2, h.alter)
	api.Register(r, 0, 1, h.incrementalAlter)
	return h
}

// DescribeConfigs: versions 0 to 4. Version 1 has sources and synonyms, 3 types and documentation.
func (h *Handlers) describe(ctx context.Context, _ *api.Request, q *kmsg.DescribeConfigsRequest) (kmsg.Response, error) {
	resp := q.ResponseKind().(*kmsg.DescribeConfigsResponse)
	// A type that is none makes the whole request wrong.
	wrong := slices.ContainsFunc(q.Resources, func(r kmsg.DescribeConfigsRequestResource) bool { return !isType(r.ResourceType) })
	for _, r := range q.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		out.ErrorMessage = kmsg.StringPtr("")
		var entries []config.Entry
		err := refuse(kerr.InvalidRequest, "%s", kerr.InvalidRequest.Description)
		if !wrong {
			entries, err = h.entries(ctx, r.ResourceType, r.ResourceName)
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = answer(err)
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				out.ErrorMessage = kmsg.StringPtr("")
			}
			h.Log.Info().Err(err).Stringer("type", r.ResourceType).Str("name", r.ResourceName).Msg("configuration cannot be described")
		}
		asked := entries
		if len(r.ConfigNames) > 0 {
			var names []string
			for _, e := range entries {
				if slices.Contains(r.ConfigNames, e.Name) {
					names = append(names, e.Name)
				}
			}
			keys.SortAsKafka(names) // the order depends on how many there are
			asked = nil
			for _, name := range names {
				asked = append(asked, entries[slices.IndexFunc(entries, func(e config.Entry) bool { return e.Name == name })])
			}
		}
		for _, e := range asked {
			out.Configs = append(out.Configs, row(e, q))
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

func isType(t kmsg.ConfigResourceType) bool {
	switch t {
	case kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics:
		return true
	}
	return false
}

func row(e config.Entry, q *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Source, e.Sensitive
	c.ConfigType = kmsg.ConfigType(e.Type)
	if q.IncludeDocumentation {
		c.Documentation = kmsg.StringPtr(e.Doc)
		if e.Doc == "" {
			c.Documentation = nil
		}
	}
	if !q.IncludeSynonyms {
		return c
	}
	for _, s := range e.Synonyms {
		y := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		y.Name, y.Source = s.Name, s.Source
		if !e.Sensitive {
			y.Value = kmsg.StringPtr(s.Value)
		}
		c.ConfigSynonyms = append(c.ConfigSynonyms, y)
	}
	return c
}

func (h *Handlers) entries(ctx context.Context, kind kmsg.ConfigResourceType, name string) ([]config.Entry, error) {
	c := h.Store.Config()
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		if err := topic.Validate(name); err != nil {
			return nil, refuse(kerr.InvalidTopicException, "%s", err)
		}
		if !h.HasTopic(name) {
			return nil, refuse(kerr.UnknownTopicOrPartition, "")
		}
		z, err := h.Entities(ctx)
		if err != nil {
			return nil, err
		}
		overrides, _, err := z.Entity(ctx, config.Topics, name)
		if err != nil {
			return nil, err
		}
		return c.DescribeTopic(overrides)
	case kmsg.ConfigResourceTypeBroker:
		if name == "" {
			return c.DescribeDefaults(), nil
		}
		if err := h.thisBroker(name, "Broker", "Unexpected broker id, expected %d or empty string, but received %s"); err != nil {
			return nil, err
		}
		return c.DescribeBroker(), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		if name == "" {
			return nil, refuse(kerr.InvalidRequest, "Broker id must not be empty")
		}
		if err := h.thisBroker(name, "Broker", "Unexpected broker id, expected %d but received %s"); err != nil {
			return nil, err
		}
		return h.loggers(), nil
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, refuse(kerr.InvalidRequest, "Client metrics subscription name must not be empty")
		}
		return nil, refuse(kerr.InvalidRequest, "Config type client-metrics is only supported on KRaft clusters")
	}
	return nil, refuse(kerr.InvalidRequest, "%s", kerr.InvalidRequest.Description)
}

// thisBroker refuses the id of another broker; Kafka's texts differ from place to place.
func (h *Handlers) thisBroker(name, noun, text string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return refuse(kerr.InvalidRequest, "%s id must be an integer, but it is: %s", noun, name)
	}
	if own := h.Store.Config().BrokerID; int32(id) != own {
		return refuse(kerr.InvalidRequest, text, own, name)
	}
	return nil
}

func refuse(code *kerr.Error, format string, args ...any) error {
	return &config.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// answer is an error as it stands in a response. What the protocol has no code for keeps its text to the log.
func answer(err error) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	var r *config.Refusal
	if errors.As(err, &r) {
		return r.Code.Code, &r.Text
	}
	code := api.Code(err)
	text := kerr.ErrorForCode(code).Error()
	var ke *kerr.Error
	if errors.As(err, &ke) {
		text = ke.Description
	}
	return code, &text
}
