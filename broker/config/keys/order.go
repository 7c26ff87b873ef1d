package keys

import (
	"slices"
	"unicode/utf16"
)

// SortAsKafka sorts names in the order in which Apache Kafka's DescribeConfigs lists them: that of a hash table of Scala
// (Java's string hash, spread, in the smallest power of two of buckets that keeps them three quarters full; by hash within
// a bucket). Clients need no order; the same one makes answers comparable byte by byte.
func SortAsKafka(names []string) {
	buckets := 16
	for buckets*3/4 < len(names) {
		buckets *= 2
	}
	hash := func(s string) int32 {
		var h int32
		for _, u := range utf16.Encode([]rune(s)) {
			h = 31*h + int32(u)
		}
		return h ^ int32(uint32(h)>>16)
	}
	slices.SortStableFunc(names, func(a, b string) int {
		ha, hb := hash(a), hash(b)
		if ba, bb := int(ha)&(buckets-1), int(hb)&(buckets-1); ba != bb {
			return ba - bb
		}
		switch {
		case ha < hb:
			return -1
		case ha > hb:
			return 1
		}
		return 0
	})
}
