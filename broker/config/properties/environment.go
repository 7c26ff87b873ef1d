package properties

import (
	"slices"
	"strings"
)

// notKeys are KAFKA_ variables that the image's scripts read and that are no keys of server.properties.
var notKeys = []string{
	"KAFKA_VERSION", "KAFKA_HEAP_OPTS", "KAFKA_LOG4J_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_JMX_HOSTNAME",
	"KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_GC_LOG_OPTS", "KAFKA_LOG4J_ROOT_LOGLEVEL", "KAFKA_LOG4J_LOGGERS", "KAFKA_TOOLS_LOG4J_LOGLEVEL",
	// Not on the image's own list, but set by people for its start scripts.
	"KAFKA_HOME", "KAFKA_DEBUG", "KAFKA_JMX_PORT", "KAFKA_MODE",
}

var envKey = strings.NewReplacer("___", "-", "__", "_", "_", ".")

// Environment picks the keys out of an environment (os.Environ): KAFKA_LOG_DIRS is log.dirs, a double underscore stands
// for one underscore and a triple one for a dash; letters become small. Sorted by variable. Entry.Line is 0.
func Environment(environ []string) []Entry {
	var entries []Entry
	for _, v := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(v, "=")
		if key, ok := EnvironmentKey(name); ok {
			entries = append(entries, Entry{Key: key, Value: value})
		}
	}
	return entries
}

// EnvironmentKey is the key that one variable's name stands for.
func EnvironmentKey(variable string) (string, bool) {
	rest, ok := strings.CutPrefix(variable, "KAFKA_")
	if !ok || rest == "" || slices.Contains(notKeys, variable) {
		return "", false
	}
	return envKey.Replace(strings.ToLower(rest)), true
}
