package keys

import (
	"slices"
	"strings"
)

// versions are Kafka's protocol versions, oldest first. The last two are in development: they have no short name.
var versions = strings.Fields(`0.8.0 0.8.1 0.8.2 0.9.0 0.10.0-IV0 0.10.0-IV1 0.10.1-IV0 0.10.1-IV1 0.10.1-IV2 0.10.2-IV0
	0.11.0-IV0 0.11.0-IV1 0.11.0-IV2 1.0-IV0 1.1-IV0 2.0-IV0 2.0-IV1 2.1-IV0 2.1-IV1 2.1-IV2 2.2-IV0 2.2-IV1 2.3-IV0 2.3-IV1
	2.4-IV0 2.4-IV1 2.5-IV0 2.6-IV0 2.7-IV0 2.7-IV1 2.7-IV2 2.8-IV0 2.8-IV1 3.0-IV0 3.0-IV1 3.1-IV0 3.2-IV0 3.3-IV0 3.3-IV1
	3.3-IV2 3.3-IV3 3.4-IV0 3.5-IV0 3.5-IV1 3.5-IV2 3.6-IV0 3.6-IV1 3.6-IV2 3.7-IV0 3.7-IV1 3.7-IV2 3.7-IV3 3.7-IV4 3.8-IV0
	3.9-IV0 4.0-IV0 4.0-IV1`)

var released = len(versions) - 2

// FullVersion completes a protocol version: 3.9, 3.9.2 and 3.9-IV0 are all 3.9-IV0; of several the last is meant.
func FullVersion(s string) (string, bool) {
	parts := 2
	if strings.HasPrefix(s, "0.") {
		parts = 3
	}
	segments := strings.Split(s, ".")
	short := strings.Join(segments[:min(parts, len(segments))], ".")
	if slices.Contains(versions, short) {
		return short, true
	}
	for _, v := range slices.Backward(versions[:released]) {
		if name, _, _ := strings.Cut(v, "-"); name == short {
			return v, true
		}
	}
	return "", false
}

// CompareVersions orders two full versions by age.
func CompareVersions(a, b string) int { return slices.Index(versions, a) - slices.Index(versions, b) }
