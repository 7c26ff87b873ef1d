package zk

import (
	"path"
	"sync"

	"github.com/go-zookeeper/zk"

	"ottla/cmd/internal/client"
	"ottla/coord/wire"
)

// marks are the watches that this session has set, as ZooKeeper's client remembers them: what is asked to be removed is said to
// have been, and an event without a watch is not shown. The zero value has none. Safe for concurrent use.
type marks struct {
	mu  sync.Mutex
	set map[mark]bool
}

type mark struct {
	at   string
	kind int32 // wire.Watcher…
}

func (m *marks) add(at string, kind int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.set == nil {
		m.set = map[mark]bool{}
	}
	m.set[mark{at, kind}] = true
}

// removed are the names of the events for the watches of a kind that are now gone.
var removed = []struct {
	kind int32
	name string
}{
	{wire.WatcherData, "DataWatchRemoved"}, {wire.WatcherChildren, "ChildWatchRemoved"},
	{wire.WatcherPersistent, "PersistentWatchRemoved"}, {wire.WatcherPersistentRecursive, "PersistentWatchRemoved"},
}

// remove forgets the watches of a kind and returns the events that tell it.
func (m *marks) remove(at string, kind int32) (events []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range removed {
		if k := (mark{at, r.kind}); m.set[k] && (kind == r.kind || kind == wire.WatcherAny) {
			delete(m.set, k)
			events = append(events, r.name)
		}
	}
	return events
}

// fires says whether an event has a watch here, and forgets the watches that it uses up.
func (m *marks) fires(ev client.Event) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.set[mark{ev.Path, wire.WatcherPersistent}]
	use := func(kind int32) {
		k := mark{ev.Path, kind}
		found = found || m.set[k]
		delete(m.set, k)
	}
	if ev.Type != zk.EventNodeChildrenChanged {
		use(wire.WatcherData)
	}
	if ev.Type == zk.EventNodeChildrenChanged || ev.Type == zk.EventNodeDeleted {
		use(wire.WatcherChildren)
	}
	for at := ev.Path; !found && ev.Type != zk.EventNodeChildrenChanged; at = path.Dir(at) {
		found = m.set[mark{at, wire.WatcherPersistentRecursive}]
		if at == "/" {
			break
		}
	}
	return found
}
