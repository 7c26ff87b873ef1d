package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/tool"
)

// entity is something that has a configuration.
type entity struct {
	kind kmsg.ConfigResourceType
	name string // "" with brokers: the defaults of all
}

// parseEntity reads topic/NAME, broker/ID or broker.
func parseEntity(text string) (entity, error) {
	kind, name, _ := strings.Cut(text, "/")
	switch {
	case kind == "topic" && name != "":
		return entity{kmsg.ConfigResourceTypeTopic, name}, nil
	case kind == "broker" && name == "":
		return entity{kmsg.ConfigResourceTypeBroker, ""}, nil
	case kind == "broker":
		if _, err := strconv.ParseInt(name, 10, 32); err == nil {
			return entity{kmsg.ConfigResourceTypeBroker, name}, nil
		}
	}
	return entity{}, fmt.Errorf("%q: want topic/NAME, broker/ID, or broker for the defaults of all brokers", text)
}

func (e entity) String() string {
	switch {
	case e.kind == kmsg.ConfigResourceTypeTopic:
		return "topic/" + e.name
	case e.name == "":
		return "broker"
	}
	return "broker/" + e.name
}

// dynamic is the source of what was set for this very entity.
func (e entity) dynamic() kmsg.ConfigSource {
	switch {
	case e.kind == kmsg.ConfigResourceTypeTopic:
		return kmsg.ConfigSourceDynamicTopicConfig
	case e.name == "":
		return kmsg.ConfigSourceDynamicDefaultBrokerConfig
	}
	return kmsg.ConfigSourceDynamicBrokerConfig
}

// read describes an entity; only what was set for it, or everything. The entries are sorted by name.
func (e entity) read(ctx context.Context, adm *kadm.Client, all bool) ([]kadm.Config, error) {
	r, err := e.describe(ctx, adm)
	if err != nil {
		return nil, err
	}
	if r.Err != nil {
		return nil, e.explain(r.Err, r.ErrMessage)
	}
	out := r.Configs
	if !all {
		out = slices.DeleteFunc(out, func(c kadm.Config) bool { return c.Source != e.dynamic() })
	}
	slices.SortFunc(out, func(a, b kadm.Config) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

func (e entity) describe(ctx context.Context, adm *kadm.Client) (kadm.ResourceConfig, error) {
	var rs kadm.ResourceConfigs
	var err error
	switch {
	case e.kind == kmsg.ConfigResourceTypeTopic:
		rs, err = adm.DescribeTopicConfigs(ctx, e.name)
	case e.name == "":
		rs, err = adm.DescribeBrokerConfigs(ctx)
	default:
		id, perr := strconv.ParseInt(e.name, 10, 32)
		if perr != nil {
			return kadm.ResourceConfig{}, fmt.Errorf("The entity name for brokers must be a valid integer broker id, found: %s", e.name)
		}
		rs, err = adm.DescribeBrokerConfigs(ctx, int32(id))
	}
	if err != nil {
		return kadm.ResourceConfig{}, err
	}
	return rs.On(e.name, nil)
}

// change sets and removes keys, together or not at all.
func (e entity) change(ctx context.Context, adm *kadm.Client, set map[string]string, unset []string) error {
	var changes []kadm.AlterConfig
	for k, v := range set {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
	}
	for _, k := range unset {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: k})
	}
	var rs kadm.AlterConfigsResponses
	var err error
	switch {
	case e.kind == kmsg.ConfigResourceTypeTopic:
		rs, err = adm.AlterTopicConfigs(ctx, changes, e.name)
	case e.name == "":
		rs, err = adm.AlterBrokerConfigs(ctx, changes)
	default:
		id, perr := strconv.ParseInt(e.name, 10, 32)
		if perr != nil {
			return perr
		}
		rs, err = adm.AlterBrokerConfigs(ctx, changes, int32(id))
	}
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Err != nil {
			return e.explain(r.Err, r.ErrMessage)
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

func (e entity) explain(err error, sent string) error { return &refusal{err, tool.Message(err, sent)} }

// hint says what to do about an error of `ottla config`.
func (e entity) hint(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("there is no topic %s; `ottla topic list` shows what there is", e.name)
	case errors.Is(err, kerr.InvalidConfig):
		return fmt.Errorf("%s: %w; `ottla config get %s --all` shows the keys", e, err, e)
	}
	return fmt.Errorf("%s: %w", e, err)
}
