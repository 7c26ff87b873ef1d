package classic

import (
	"bytes"
	"slices"
	"time"
)

// member is one member. join and sync are the tickets of its parked requests, 0 if there is none; a ticket whose connection is gone
// stays, since the member counts as having joined.
type member struct {
	id         string
	instanceID *string
	clientID   string
	clientHost string
	session    time.Duration
	rebalance  time.Duration
	protocols  []Protocol
	assignment []byte

	join     Ticket
	joinSkip bool // of the parked join: the client understands SkipAssignment
	sync     Ticket
	syncDue  bool // the generation waits for its sync

	expires time.Time // zero while no timer runs
	isNew   bool      // its first join is parked
	unknown bool      // its first join came without an id: the answer alone tells it
}

// metadata finds the member's metadata for a protocol.
func (m *member) metadata(protocol string) ([]byte, bool) {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata, true
		}
	}
	return nil, false
}

// matches says whether the member's protocols are these, in this order.
func (m *member) matches(protocols []Protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// parked says whether a request of the member waits for its answer.
func (m *member) parked() bool { return m.join != 0 || m.sync != 0 }
