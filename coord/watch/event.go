package watch

import "ottla/coord/wire"

// Event is one change as watchers hear of it.
type Event struct {
	Type int32  // wire.EventNode…
	Path []byte // of the node that changed; valid only as long as the event
	Zxid int64  // of the transaction behind it
	// ACL is the list of the node named by Path, for NodeDeleted the one that it had. Who may not read the node does not hear of it, but a
	// one-shot watch is used up all the same.
	ACL []wire.ACL

	frame []byte
}

// Frame is the event as it travels, made once for all watchers. Not to be changed.
func (e *Event) Frame() []byte {
	if e.frame == nil {
		e.frame = wire.AppendEvent(nil, e.Zxid, e.Type, e.Path)
	}
	return e.frame
}

// Watcher is told of events. The dynamic type must be comparable; it is a connection of the server.
type Watcher interface {
	// WatchEvent must not block and not call the tables. e is valid during the call.
	WatchEvent(e *Event)
}
