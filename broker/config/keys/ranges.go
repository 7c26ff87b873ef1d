package keys

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Range is a bound on a key's values.
type Range interface {
	// check returns why v, of the key's type, is out of range, in Kafka's words; "" if it is not.
	check(name string, v any) string
	// String describes the range for people.
	String() string
}

// number is v as a float64, good for comparing with the small bounds of the tables.
func number(v any) float64 {
	switch v := v.(type) {
	case int16:
		return float64(v)
	case int32:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

func bound(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

type atLeast float64

func (r atLeast) check(_ string, v any) string {
	if number(v) < float64(r) {
		return "Value must be at least " + bound(float64(r))
	}
	return ""
}
func (r atLeast) String() string { return "at least " + bound(float64(r)) }

type interval struct{ min, max float64 }

func between(min, max float64) Range { return interval{min, max} }

func (r interval) check(name string, v any) string {
	if reason := atLeast(r.min).check(name, v); reason != "" {
		return reason
	}
	if number(v) > r.max {
		return "Value must be no more than " + bound(r.max)
	}
	return ""
}
func (r interval) String() string { return bound(r.min) + " to " + bound(r.max) }

type oneOf []string

func (r oneOf) check(_ string, v any) string {
	if !slices.Contains(r, v.(string)) {
		return "String must be one of: " + strings.Join(r, ", ")
	}
	return ""
}
func (r oneOf) String() string { return "one of " + strings.Join(r, ", ") }

type oneOfFold []string

func (r oneOfFold) check(_ string, v any) string {
	if !slices.ContainsFunc(r, func(s string) bool { return strings.EqualFold(s, v.(string)) }) {
		return "String must be one of (case insensitive): " + strings.Join(r, ", ")
	}
	return ""
}
func (r oneOfFold) String() string { return "one of " + strings.Join(r, ", ") + ", in any case" }

// eachOf bounds the elements of a list.
type eachOf []string

func (r eachOf) check(_ string, v any) string {
	l := v.([]string)
	if !slices.ContainsFunc(l, func(s string) bool { return !slices.Contains(r, s) }) {
		return ""
	}
	return oneOf(r).check("", r.offender(l))
}

// offender is the first element out of range: errors name it alone.
func (r eachOf) offender(l []string) string {
	return l[slices.IndexFunc(l, func(s string) bool { return !slices.Contains(r, s) })]
}

func (r eachOf) String() string { return "any of " + strings.Join(r, ", ") }

type nonEmpty struct{}

func (nonEmpty) check(_ string, v any) string {
	if v.(string) == "" {
		return "String must be non-empty"
	}
	return ""
}
func (nonEmpty) String() string { return "not empty" }

type gzipLevel struct{}

func (gzipLevel) check(_ string, v any) string {
	if n := v.(int32); n != -1 && (n < 1 || n > 9) {
		return "Value must be between 1 and 9 or equal to -1"
	}
	return ""
}
func (gzipLevel) String() string { return "1 to 9, or -1" }

type poolSize struct{}

func (poolSize) check(_ string, v any) string {
	if n := v.(int32); n != -1 && n < 1 {
		return "Value can be -1 or greater than 0"
	}
	return ""
}
func (poolSize) String() string { return "at least 1, or -1" }

type throttled struct{}

var throttledEntry = regexp.MustCompile(`^\d+:\d+$`)

func (throttled) check(name string, v any) string {
	l := v.([]string)
	if len(l) == 1 && l[0] == "*" {
		return ""
	}
	end := len(l) // Java's split drops empty elements at the end
	for end > 0 && l[end-1] == "" {
		end--
	}
	for _, s := range l[:end] {
		if !throttledEntry.MatchString(s) {
			return fmt.Sprintf("%s must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...", name)
		}
	}
	return ""
}
func (throttled) String() string { return "* or partition:broker, separated by commas" }

type version struct{}

func (version) check(_ string, v any) string {
	if _, ok := FullVersion(v.(string)); !ok {
		return fmt.Sprintf("Version %s is not a valid version", v)
	}
	return ""
}
func (version) String() string { return "a Kafka release, as 3.9 or 3.9-IV0" }
