package admin

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/config"
	"ottla/broker/config/keys"
	"ottla/internal/loggers"
)

var levels = []string{"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"}

// loggers lists the broker's loggers as configuration entries.
func (h *Handlers) loggers() []config.Entry {
	if h.Loggers == nil {
		return nil
	}
	all := h.Loggers.Levels()
	names := slices.Collect(maps.Keys(all))
	keys.SortAsKafka(names)
	var entries []config.Entry
	for _, name := range names {
		level := all[name]
		entries = append(entries, config.Entry{Name: name, Value: &level, Source: kmsg.ConfigSourceDynamicBrokerLoggerConfig})
	}
	return entries
}

func (h *Handlers) alterLoggers(r resource, validateOnly bool) error {
	var known map[string]string
	if h.Loggers != nil {
		known = h.Loggers.Levels()
	}
	for _, o := range r.ops {
		switch o.kind {
		case kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete:
			if _, ok := known[o.name]; !ok {
				return refuse(kerr.InvalidConfig, "Logger %s does not exist!", o.name)
			}
			if o.kind == kmsg.IncrementalAlterConfigOpSet && !slices.Contains(levels, *o.value) {
				return refuse(kerr.InvalidConfig, "Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s",
					o.name, *o.value, strings.Join(levels, ", "))
			}
			if o.kind == kmsg.IncrementalAlterConfigOpDelete && o.name == loggers.Root {
				return refuse(kerr.InvalidRequest, "Removing the log level of the root logger is not allowed")
			}
		case kmsg.IncrementalAlterConfigOpAppend:
			return refuse(kerr.InvalidRequest, "APPEND operation is not allowed for the BROKER_LOGGER resource")
		case kmsg.IncrementalAlterConfigOpSubtract:
			return refuse(kerr.InvalidRequest, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource")
		default:
			return refuse(kerr.InvalidRequest, "Unknown operation type %d", int8(o.kind))
		}
	}
	if validateOnly {
		return nil
	}
	for _, o := range r.ops {
		if o.kind == kmsg.IncrementalAlterConfigOpSet {
			h.Loggers.SetLevel(o.name, *o.value)
		} else {
			h.Loggers.ResetLevel(o.name)
		}
	}
	return nil
}
