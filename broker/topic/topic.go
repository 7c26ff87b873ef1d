// Package topic has the names of Kafka's topics and partitions: their types, the rules a name must follow, topic ids, and
// the hash that picks a coordinator's partition. Pure; imports nothing of ours.
package topic

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Internal topics: made by the broker itself, and closed to producers that are not it.
const (
	ConsumerOffsets  = "__consumer_offsets"
	TransactionState = "__transaction_state"
)

// IsInternal says whether clients may not write to the topic directly.
func IsInternal(name string) bool { return name == ConsumerOffsets || name == TransactionState }

// Partition names one partition of one topic. Usable as a map key.
type Partition struct {
	Topic     string
	Partition int32
}

// String is the name of the partition's directory, TOPIC-PARTITION.
func (p Partition) String() string { return p.Topic + "-" + strconv.Itoa(int(p.Partition)) }

// ParseDir reads a partition directory's name: everything before the last dash is the topic.
func ParseDir(name string) (Partition, error) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return Partition{}, fmt.Errorf("directory %q is not named TOPIC-PARTITION", name)
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 {
		return Partition{}, fmt.Errorf("directory %q is not named TOPIC-PARTITION", name)
	}
	return Partition{name[:i], int32(n)}, nil
}

// nameBytesMax leaves room for the partition number and the suffixes of a directory within 255 bytes.
const nameBytesMax = 249

// Validate returns why name cannot be a topic's name, or nil. The texts are Apache Kafka's, since tools show them.
func Validate(name string) error {
	switch {
	case name == "":
		return errors.New("Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return fmt.Errorf("Topic name is invalid: '%s' is not allowed", name)
	case len(name) > nameBytesMax:
		return fmt.Errorf("Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, nameBytesMax)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
		}
	}
	return nil
}

// Collides says whether two names differ only in '.' against '_', which Kafka's metric names cannot tell apart.
func Collides(a, b string) bool {
	return strings.ReplaceAll(a, ".", "_") == strings.ReplaceAll(b, ".", "_")
}

// ID is a topic id (KIP-516). The zero value means none.
type ID [16]byte

// String is the form used in znodes and partition.metadata: base64url without padding, 22 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero says whether there is no id.
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%q is not a topic id: want 22 characters of base64url", s)
	}
	return ID(b), nil
}

// NewID makes a random version 4 UUID from 16 random bytes. read fills its argument (crypto/rand.Read). The two reserved
// ids and those whose text begins with a dash, which a command line would take for an option, are drawn again.
func NewID(read func([]byte) (int, error)) (ID, error) {
	for {
		var id ID
		if _, err := read(id[:]); err != nil {
			return ID{}, err
		}
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id, nil
		}
	}
}

// CoordinatorPartition is the partition, of count, of an internal topic that coordinates the group or transactional id key:
// Java's String.hashCode over UTF-16 code units, made non-negative as Kafka does (Utils.abs: the minimum becomes 0).
func CoordinatorPartition(key string, count int32) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(key)) {
		h = 31*h + int32(u)
	}
	if h == -1<<31 {
		h = 0
	}
	return max(h, -h) % count
}
