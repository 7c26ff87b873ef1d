package znode

import (
	"strings"

	"github.com/go-zookeeper/zk"
)

// EventType is what happened to a watched node.
type EventType uint8

// The events of ZooKeeper. ChildrenChanged goes to the handler of children, all others to the handler of data.
const (
	Created EventType = iota + 1
	Deleted
	DataChanged
	ChildrenChanged
)

func (t EventType) String() string {
	return [...]string{"none", "created", "deleted", "data changed", "children changed"}[t]
}

// Event says that a node changed; what it is now has to be read, which also arms the watch again.
type Event struct {
	Path    string
	Type    EventType
	Session *Session // in which the watch was set
}

// Handler is told of events, one at a time, by the Client's dispatcher. It must not block: others wait behind it.
type Handler func(Event)

type queued struct {
	session *Session
	event   zk.Event
}

// HandleData sets the handler for creation, deletion and change of the node: reads by Get and Exists arm the watch.
func (c *Client) HandleData(path string, h Handler) { c.handle(watch{c.cfg.Chroot + path, false}, h) }

// HandleChildren sets the handler for changes of the node's list of children: reads by Children arm the watch.
func (c *Client) HandleChildren(path string, h Handler) {
	c.handle(watch{c.cfg.Chroot + path, true}, h)
}

// Unhandle removes the handlers of the path. A watch that is set stays at the server and is ignored when it fires.
func (c *Client) Unhandle(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.handlers, watch{c.cfg.Chroot + path, false})
	delete(c.handlers, watch{c.cfg.Chroot + path, true})
}

func (c *Client) handle(w watch, h Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[w] = h
}

func (c *Client) wants(w watch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handlers[w] != nil
}

// enqueue keeps an event for the dispatcher. The queue is bounded by the number of watches that are set.
func (c *Client) enqueue(s *Session, ev zk.Event) {
	c.mu.Lock()
	c.queue = append(c.queue, queued{s, ev})
	c.mu.Unlock()
	select {
	case c.queuedC <- struct{}{}:
	default:
	}
}

// dispatch calls handlers until the Client is closed.
func (c *Client) dispatch() {
	for {
		select {
		case <-c.queuedC:
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		batch := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, q := range batch {
			// What an expired session saw is read anew in the next one anyway.
			if h := c.handler(q.event); h != nil && q.session.Err() == nil {
				h(Event{Path: strings.TrimPrefix(q.event.Path, c.cfg.Chroot), Type: eventTypes[q.event.Type], Session: q.session})
			}
		}
	}
}

var eventTypes = map[zk.EventType]EventType{
	zk.EventNodeCreated: Created, zk.EventNodeDeleted: Deleted, zk.EventNodeDataChanged: DataChanged, zk.EventNodeChildrenChanged: ChildrenChanged,
}

func (c *Client) handler(ev zk.Event) Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handlers[watch{ev.Path, ev.Type == zk.EventNodeChildrenChanged}]
}
