// Package keys is the one table of Kafka's broker and topic keys: the source of defaults, validation, DescribeConfigs, the
// help text and the documentation. Pure.
//
// A key has a type, a default (or none: null), perhaps a range, and says how it may change while the broker runs. Its
// documentation is one sentence in our own words, with what this broker makes of the key where that differs. Names, types,
// defaults, ranges and importance are those of Apache Kafka 3.9 in ZooKeeper mode, compared with it by the tests.
//
// # Text and value
//
// Everything outside (files, environment, znodes, DescribeConfigs) is text. Key.Parse turns text into a Go value:
//
//	Boolean bool    Int int32    Short int16    Long int64    Double float64
//	String, Class, Password string    List []string
//
// and Key.Format turns it back into the canonical text that DescribeConfigs shows: " 7 " is shown as 7, "a , b" as a,b and
// 1e3 as 1000.0, as Java prints them.
//
// # Synonyms
//
// A topic key has broker keys that give it its default, the first with a value wins: retention.ms takes log.retention.ms,
// else log.retention.minutes, else log.retention.hours, each in its own unit. Synonyms of broker keys (Table.Synonyms)
// are those groups, and for a key with a listener's prefix the key without it.
package keys
