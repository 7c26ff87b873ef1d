package admin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/config/keys"
)

// resource is one that a request alters.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
	ops  []op
}

type op struct {
	kind  kmsg.IncrementalAlterConfigOp
	name  string
	value *string
}

// String is the resource as Kafka's messages name it.
func (r resource) String() string {
	return fmt.Sprintf("ConfigResource(type=%s, name='%s')", r.kind, r.name)
}

// AlterConfigs: versions 0 to 2. The settings given are all that the resource has afterwards.
func (h *Handlers) alter(ctx context.Context, _ *api.Request, q *kmsg.AlterConfigsRequest) (kmsg.Response, error) {
	resp := q.ResponseKind().(*kmsg.AlterConfigsResponse)
	rs := make([]resource, len(q.Resources))
	for i, r := range q.Resources {
		rs[i] = resource{kind: r.ResourceType, name: r.ResourceName}
		for _, c := range r.Configs {
			rs[i].ops = append(rs[i].ops, op{kmsg.IncrementalAlterConfigOpSet, c.Name, c.Value})
		}
	}
	for i, err := range h.each(ctx, rs, q.ValidateOnly, false) {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = rs[i].kind, rs[i].name
		out.ErrorCode, out.ErrorMessage = answer(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

// IncrementalAlterConfigs: versions 0 and 1. Operations on the settings that a resource has.
func (h *Handlers) incrementalAlter(ctx context.Context, _ *api.Request, q *kmsg.IncrementalAlterConfigsRequest) (kmsg.Response, error) {
	resp := q.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	rs := make([]resource, len(q.Resources))
	for i, r := range q.Resources {
		rs[i] = resource{kind: r.ResourceType, name: r.ResourceName}
		for _, c := range r.Configs {
			rs[i].ops = append(rs[i].ops, op{c.Op, c.Name, c.Value})
		}
	}
	for i, err := range h.each(ctx, rs, q.ValidateOnly, true) {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = rs[i].kind, rs[i].name
		out.ErrorCode, out.ErrorMessage = answer(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

// each alters one resource after the other and returns their errors.
func (h *Handlers) each(ctx context.Context, rs []resource, validateOnly, incremental bool) []error {
	h.altering.Lock()
	defer h.altering.Unlock()
	seen := map[string]int{}
	for _, r := range rs {
		seen[r.String()]++
	}
	errs := make([]error, len(rs))
	for i, r := range rs {
		if seen[r.String()] > 1 {
			errs[i] = refuse(kerr.InvalidRequest, "Each resource must appear at most once.")
			continue
		}
		errs[i] = h.one(ctx, r, validateOnly, incremental)
		if errs[i] != nil {
			h.Log.Info().Err(errs[i]).Stringer("resource", r).Msg("configuration is not altered")
		}
	}
	return errs
}

func (h *Handlers) one(ctx context.Context, r resource, validateOnly, incremental bool) error {
	if err := h.preprocess(r, incremental); err != nil {
		return err
	}
	if r.kind == kmsg.ConfigResourceTypeBrokerLogger {
		return h.alterLoggers(r, validateOnly)
	}
	kind, entity := config.Topics, r.name
	if r.kind == kmsg.ConfigResourceTypeBroker {
		kind = config.Brokers
		if r.name == "" {
			entity = config.DefaultEntity
		} else {
			entity = strconv.Itoa(int(h.Store.Config().BrokerID)) // "07" is 7
		}
	}
	z, err := h.Entities(ctx)
	if err != nil {
		return err
	}
	if r.kind == kmsg.ConfigResourceTypeTopic && r.name != "" && !h.HasTopic(r.name) && !incremental {
		return refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.name)
	}
	existing, _, err := z.Entity(ctx, kind, entity)
	if err != nil {
		return err
	}
	wanted := map[string]string{}
	if incremental {
		if wanted, err = h.apply(r, existing); err != nil {
			return err
		}
	} else {
		for _, o := range r.ops {
			wanted[o.name] = *o.value
		}
	}
	if err := h.judge(r, wanted); err != nil {
		return err
	}
	if validateOnly {
		return nil
	}
	if kind == config.Brokers && entity != config.DefaultEntity {
		if wanted, err = h.Store.Seal(wanted); err != nil {
			return err
		}
	}
	if err := z.SetEntity(ctx, kind, entity, wanted); err != nil {
		return err
	}
	if err := z.NotifyEntity(ctx, kind, entity); err != nil {
		return err
	}
	return h.Store.Apply(ctx, z, kind, entity)
}

// preprocess refuses what needs no look at the present configuration.
func (h *Handlers) preprocess(r resource, incremental bool) error {
	names := map[string]bool{}
	var null []string
	for _, o := range r.ops {
		if names[o.name] {
			return refuse(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
		names[o.name] = true
		if o.value == nil && o.kind != kmsg.IncrementalAlterConfigOpDelete {
			null = append(null, o.name)
		}
	}
	if len(null) > 0 {
		return refuse(kerr.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ", "))
	}
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		if r.name == "" {
			return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
	case kmsg.ConfigResourceTypeBroker:
		if r.name != "" {
			return h.thisBroker(r.name, "Node", "Unexpected broker id, expected %d, but received %s")
		}
	case kmsg.ConfigResourceTypeBrokerLogger:
		if incremental {
			return h.thisBroker(r.name, "Node", "Unexpected node id. Expected %d, but received %s")
		}
		return refuse(kerr.InvalidRequest, "Unknown resource type %d", int8(r.kind))
	case kmsg.ConfigResourceTypeClientMetrics:
		return refuse(kerr.InvalidRequest, "AlterConfigs is only supported for topics and brokers, but resource type is %s", r.kind)
	default:
		return refuse(kerr.InvalidRequest, "Unknown resource type %d", int8(r.kind))
	}
	return nil
}

// apply carries the operations out on the present settings. Lists are joined and parted at commas.
func (h *Handlers) apply(r resource, existing map[string]string) (map[string]string, error) {
	wanted := make(map[string]string, len(existing))
	for k, v := range existing {
		wanted[k] = v
	}
	if r.kind == kmsg.ConfigResourceTypeBroker && r.name != "" {
		wanted = h.Store.Open(wanted)
	}
	for _, o := range r.ops {
		switch o.kind {
		case kmsg.IncrementalAlterConfigOpSet:
			wanted[o.name] = *o.value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(wanted, o.name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			what := "append"
			if o.kind == kmsg.IncrementalAlterConfigOpSubtract {
				what = "subtract"
			}
			k, ok := keys.Topic.Lookup(o.name)
			if r.kind == kmsg.ConfigResourceTypeBroker {
				k, ok = keys.Broker.Lookup(o.name)
			}
			if !ok {
				return nil, refuse(kerr.InvalidConfig, "Unknown config name: %s", o.name)
			}
			if k.Type != keys.List {
				return nil, refuse(kerr.InvalidConfig, "Config value %s is not allowed for config key: %s", what, o.name)
			}
			old, set := wanted[o.name]
			if !set {
				old = k.Default
			}
			wanted[o.name] = combine(old, *o.value, what == "append")
		default:
			return nil, refuse(kerr.InvalidRequest, "Unknown operation type %d", int8(o.kind))
		}
	}
	return wanted, nil
}

// combine appends the elements that are not there yet, or takes each given element away once.
func combine(old, value string, appending bool) string {
	var list []string
	if old != "" {
		list = strings.Split(old, ",")
	}
	for v := range strings.SplitSeq(value, ",") {
		i := slices.Index(list, v)
		switch {
		case appending && i < 0:
			list = append(list, v)
		case !appending && i >= 0:
			list = slices.Delete(list, i, i+1)
		}
	}
	return strings.Join(list, ",")
}

// judge refuses what the resource must not have.
func (h *Handlers) judge(r resource, wanted map[string]string) error {
	var err error
	if r.kind == kmsg.ConfigResourceTypeTopic {
		if !h.HasTopic(r.name) {
			return refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.name)
		}
		err = h.Store.Config().ValidateTopicConfigs(wanted)
	} else {
		err = h.Store.ValidateBrokerConfigs(wanted, r.name != "")
	}
	if f, ok := err.(*config.Refusal); ok && f.IsValue() {
		return refuse(kerr.InvalidConfig, "Invalid config value for resource %s: %s", r, f.Text)
	}
	return err
}
