package offsetlog

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/topic"
)

// StringMax is the longest string that the written versions can hold: their lengths are int16.
const StringMax = 1<<15 - 1

// Versions that are written.
const (
	offsetKeyVersion   = 1
	groupKeyVersion    = 2
	offsetValueVersion = 3
	// offsetValueExpiring is the last version with an expiry time of the offset's own.
	offsetValueExpiring = 1
	groupValueVersion   = 3
	// valueVersionMax is the newest version that can be read, of either value; flexibleFrom is the first with compact lengths.
	valueVersionMax = 4
	flexibleFrom    = 4
)

// None stands for a time or an epoch that is not known.
const None = -1

// ErrUnknown says that a key or value has a version that is not ours to understand.
var ErrUnknown = errors.New("offsetlog: unknown version")

// Kind is what a record is about.
type Kind int8

// The kinds of records. Other is one of a later protocol, to be skipped.
const (
	Other Kind = iota
	OffsetCommit
	GroupMetadata
)

// Key is the key of a record. Partition is that of an OffsetCommit.
type Key struct {
	Kind      Kind
	Group     string
	Partition topic.Partition
}

// ParseKey reads a key. Its strings are copies. A version from 3 on is no error but of Kind Other.
func ParseKey(b []byte) (Key, error) {
	c := cursor{b: b}
	version := c.int16()
	if version < 0 {
		return Key{}, fmt.Errorf("%w: key %d", ErrUnknown, version)
	}
	if version > groupKeyVersion {
		return Key{}, nil
	}
	k := Key{Kind: GroupMetadata, Group: c.text()}
	if version <= offsetKeyVersion {
		k.Kind = OffsetCommit
		k.Partition = topic.Partition{Topic: c.text(), Partition: c.int32()}
	}
	return k, c.err
}

// OffsetKey is the key of a committed offset. No string may be longer than StringMax.
func OffsetKey(group string, p topic.Partition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: p.Topic, Partition: p.Partition}
	return k.AppendTo(nil)
}

// GroupKey is the key of a group's metadata. group may not be longer than StringMax.
func GroupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: group}
	return k.AppendTo(nil)
}

// Offset is a committed offset.
type Offset struct {
	Offset      int64
	LeaderEpoch int32 // None when the client did not say
	Metadata    string
	CommitTime  int64 // ms
	ExpireTime  int64 // ms; None when the broker's retention decides
}

// Append appends the value, in the version that has a field for all that is known.
func (o Offset) Append(dst []byte) []byte {
	v := kmsg.OffsetCommitValue{
		Version: offsetValueVersion, Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata, CommitTimestamp: o.CommitTime,
	}
	if o.ExpireTime != None {
		v.Version, v.ExpireTimestamp = offsetValueExpiring, o.ExpireTime
	}
	return v.AppendTo(dst)
}

// ParseOffset reads the value of a committed offset.
func ParseOffset(b []byte) (Offset, error) {
	c, version, err := open(b)
	if err != nil {
		return Offset{}, err
	}
	o := Offset{Offset: c.int64(), LeaderEpoch: None, ExpireTime: None}
	if version >= offsetValueVersion {
		o.LeaderEpoch = c.int32()
	}
	o.Metadata = c.text()
	o.CommitTime = c.int64()
	if version == offsetValueExpiring {
		o.ExpireTime = c.int64()
	}
	return o, c.err
}

// Group is a group as its metadata record has it.
type Group struct {
	ProtocolType string
	Generation   int32
	Protocol     *string // null in a group without members
	Leader       *string
	StateTime    int64 // ms; since when the group is in its state; None in old records
	Members      []Member
}

// Member is a member as the group's record has it. Timeouts are in ms.
type Member struct {
	ID               string
	InstanceID       *string
	ClientID         string
	ClientHost       string
	RebalanceTimeout int32
	SessionTimeout   int32
	Subscription     []byte
	Assignment       []byte
}

// Append appends the value. No string may be longer than StringMax.
func (g *Group) Append(dst []byte) []byte {
	v := kmsg.GroupMetadataValue{
		Version: groupValueVersion, ProtocolType: g.ProtocolType, Generation: g.Generation, Protocol: g.Protocol, Leader: g.Leader,
		CurrentStateTimestamp: g.StateTime, Members: make([]kmsg.GroupMetadataValueMember, len(g.Members)),
	}
	for i, m := range g.Members {
		v.Members[i] = kmsg.GroupMetadataValueMember{
			MemberID: m.ID, InstanceID: m.InstanceID, ClientID: m.ClientID, ClientHost: m.ClientHost,
			RebalanceTimeoutMillis: m.RebalanceTimeout, SessionTimeoutMillis: m.SessionTimeout,
			Subscription: m.Subscription, Assignment: m.Assignment,
		}
	}
	return v.AppendTo(dst)
}

// memberSizeMin is what the shortest member takes, with all strings empty.
const memberSizeMin = 14

// ParseGroup reads the value of a group's metadata. What it returns does not alias b.
func ParseGroup(b []byte) (*Group, error) {
	c, version, err := open(b)
	if err != nil {
		return nil, err
	}
	g := &Group{ProtocolType: c.text(), Generation: c.int32(), Protocol: c.nullable(), Leader: c.nullable(), StateTime: None}
	if version >= 2 {
		g.StateTime = c.int64()
	}
	g.Members = make([]Member, c.count(memberSizeMin))
	for i := range g.Members {
		m := &g.Members[i]
		m.ID = c.text()
		if version >= 3 {
			m.InstanceID = c.nullable()
		}
		m.ClientID, m.ClientHost = c.text(), c.text()
		if version >= 1 {
			m.RebalanceTimeout = c.int32()
		}
		m.SessionTimeout = c.int32()
		m.Subscription, m.Assignment = c.bytes(), c.bytes()
		if version == 0 { // the session timeout stood for both
			m.RebalanceTimeout = m.SessionTimeout
		}
		if c.flex {
			c.skipTags()
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	return g, c.err
}

// open reads a value's version and says how the rest is laid out.
func open(b []byte) (c cursor, version int16, err error) {
	c.b = b
	version = c.int16()
	if c.err != nil {
		return c, 0, c.err
	}
	if version < 0 || version > valueVersionMax {
		return c, 0, fmt.Errorf("%w: value %d", ErrUnknown, version)
	}
	c.flex = version >= flexibleFrom
	return c, version, nil
}

// Topics reads the topics that a member of the consumer protocol subscribes to. ok is false when the subscription is not one of
// that protocol. Later versions of it only append fields, so only what all have in common is read.
func Topics(subscription []byte) (topics []string, ok bool) {
	c := cursor{b: subscription}
	if c.int16() < 0 {
		return nil, false
	}
	topics = make([]string, c.count(2))
	for i := range topics {
		topics[i] = c.text()
	}
	c.take(max(0, int(c.int32()))) // user data, nullable
	return topics, c.err == nil
}
