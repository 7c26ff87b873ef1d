package keys

import (
	"fmt"
	"strings"
)

// Type is a key's type; the numbers are those of DescribeConfigs.
type Type int8

const (
	Unknown Type = iota
	Boolean
	String
	Int
	Short
	Long
	Double
	List
	Class
	Password
)

var typeNames = [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String is the type's name in Kafka's messages.
func (t Type) String() string { return typeNames[t] }

// Importance is how much a key matters to who sets up a broker.
type Importance int8

const (
	High Importance = iota
	Medium
	Low
)

// String is the importance as it stands in the help text.
func (i Importance) String() string { return [...]string{"high", "medium", "low"}[i] }

// Mode says how a broker key may change while the broker runs.
type Mode int8

const (
	ReadOnly    Mode = iota // not at all
	PerBroker               // in /config/brokers/<id> alone
	ClusterWide             // there and in /config/brokers/<default>
)

// String is the mode as it stands in the help text.
func (m Mode) String() string { return [...]string{"read-only", "per-broker", "cluster-wide"}[m] }

// Key is one row of a table.
type Key struct {
	Name       string
	Type       Type
	Default    string // canonical text
	Null       bool   // no default: the value is null until it is set
	Range      Range  // nil: any value of the type
	Importance Importance
	Mode       Mode // of broker keys; every topic key may change
	Internal   bool // not documented by Apache Kafka: left out of DescribeConfigs, and of help unless it is ours
	Own        bool // Apache Kafka does not have it
	Synonyms   []string
	Doc        string
}

// null as a default in the tables means that there is none.
const null = "\x00"

func key(name string, t Type, def string, r Range, i Importance, m Mode, doc string) Key {
	k := Key{Name: name, Type: t, Default: def, Range: r, Importance: i, Mode: m, Doc: doc}
	if def == null {
		k.Default, k.Null = "", true
	}
	return k
}

func internal(name string, t Type, def string, r Range, i Importance, m Mode, doc string) Key {
	k := key(name, t, def, r, i, m, doc)
	k.Internal = true
	return k
}

func topicKey(name string, t Type, def string, r Range, i Importance, synonyms []string, doc string) Key {
	k := key(name, t, def, r, i, ClusterWide, doc)
	k.Synonyms = synonyms
	return k
}

// Sensitive says whether the value must never be shown.
func (k Key) Sensitive() bool { return k.Type == Password }

// Parse reads a value of the key's type (see the package comment) and checks its range. The error is a *ValueError.
func (k Key) Parse(text string) (any, error) {
	v, reason := k.Type.parse(text)
	if reason != "" {
		return nil, &ValueError{k.Name, text, reason, k.Sensitive()}
	}
	if k.Range != nil {
		if reason := k.Range.check(k.Name, v); reason != "" {
			if l, ok := k.Range.(eachOf); ok {
				v = l.offender(v.([]string))
			}
			return nil, &ValueError{k.Name, shown(v), reason, k.Sensitive()}
		}
	}
	return v, nil
}

// Canonical is text as DescribeConfigs shows it, or the error of Parse.
func (k Key) Canonical(text string) (string, error) {
	v, err := k.Parse(text)
	if err != nil {
		return "", err
	}
	return Format(v), nil
}

// DefaultValue is the parsed default, nil when there is none.
func (k Key) DefaultValue() any {
	if k.Null {
		return nil
	}
	v, reason := k.Type.parse(k.Default)
	if reason != "" {
		panic(fmt.Sprintf("keys: default of %s: %s", k.Name, reason)) // the table is wrong; a test parses every default
	}
	return v
}

// RangeText describes the range for people, "" when there is none.
func (k Key) RangeText() string {
	if k.Range == nil {
		return ""
	}
	return k.Range.String()
}

// ValueError is a value that a key does not take. Its text is Apache Kafka's, which tools show and tests look for.
type ValueError struct {
	Name, Value, Reason string
	hidden              bool
}

func (e *ValueError) Error() string {
	value := e.Value
	if e.hidden {
		value = "[hidden]"
	}
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", value, e.Name, e.Reason)
}

// shown is a parsed value as Java's string concatenation prints it.
func shown(v any) string {
	if l, ok := v.([]string); ok {
		return "[" + strings.Join(l, ", ") + "]"
	}
	return Format(v)
}
