package client

import (
	"context"
	"maps"
	"slices"

	"github.com/go-zookeeper/zk"

	"ottla/coord/wire"
)

// The requests here are those that the library lacks. Paths are the server's, as At returns them.

// Identity is what a connection has proven to be.
type Identity struct {
	Scheme string `json:"scheme"`
	User   string `json:"user"`
}

// elements is the least that an element of a vector takes, which bounds what a count can claim.
const elements = 4

func (t *Tree) ask(ctx context.Context, op wire.Op, body []byte) (wire.Decoder, error) {
	t.mu.Lock()
	r := t.latest
	t.mu.Unlock()
	if r == nil {
		return wire.Decoder{}, zk.ErrNoServer
	}
	b, err := r.ask(ctx, op, body)
	return wire.NewDecoder(b), err
}

// WhoAmI asks the server for the identities of this connection: its address, and those that AddAuth, SASL or TLS added.
func (t *Tree) WhoAmI(ctx context.Context) ([]Identity, error) {
	d, err := t.ask(ctx, wire.OpWhoAmI, nil)
	if err != nil {
		return nil, err
	}
	n, _ := d.Count(2 * elements)
	out := make([]Identity, 0, n)
	for range n {
		out = append(out, Identity{string(d.String()), string(d.String())})
	}
	return out, d.Err()
}

// Ephemerals lists the ephemeral nodes of this session whose paths begin with prefix.
func (t *Tree) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	d, err := t.ask(ctx, wire.OpGetEphemerals, wire.AppendString(nil, prefix))
	if err != nil {
		return nil, err
	}
	n, _ := d.Count(elements)
	out := make([]string, 0, n)
	for range n {
		out = append(out, string(d.String()))
	}
	return out, d.Err()
}

// CountBelow counts the nodes below one, at all depths.
func (t *Tree) CountBelow(ctx context.Context, at string) (int32, error) {
	d, err := t.ask(ctx, wire.OpGetAllChildrenNumber, wire.AppendString(nil, at))
	if err != nil {
		return 0, err
	}
	n := d.Int()
	return n, d.Err()
}

// AddWatch sets a watch that stays, and is set again after a reconnect: on a node, or with recursive on all below it too. Listen
// hears its events.
func (t *Tree) AddWatch(ctx context.Context, at string, recursive bool) error {
	mode := wire.AddWatchPersistent
	if recursive {
		mode = wire.AddWatchPersistentRecursive
	}
	if _, err := t.ask(ctx, wire.OpAddWatch, wire.AppendInt(wire.AppendString(nil, at), mode)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lasting[at] = mode
	return nil
}

// RemoveWatches removes the watches of a kind, one of wire.Watcher…, on a node.
func (t *Tree) RemoveWatches(ctx context.Context, at string, kind int32) error {
	_, err := t.ask(ctx, wire.OpRemoveWatches, wire.AppendInt(wire.AppendString(nil, at), kind))
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	mode, ok := t.lasting[at]
	switch {
	case !ok:
	case kind == wire.WatcherAny, kind == wire.WatcherPersistent && mode == wire.AddWatchPersistent,
		kind == wire.WatcherPersistentRecursive && mode == wire.AddWatchPersistentRecursive:
		delete(t.lasting, at)
	}
	return nil
}

// watchAgain sets the lasting watches on a new connection.
func (t *Tree) watchAgain() {
	t.mu.Lock()
	lasting := maps.Clone(t.lasting)
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), defaultSession)
	defer cancel()
	for at, mode := range lasting {
		if _, err := t.ask(ctx, wire.OpAddWatch, wire.AppendInt(wire.AppendString(nil, at), mode)); err != nil {
			return // the connection is gone again
		}
	}
}

// Listen calls f for each watch event of the session until stop. f runs where answers are read: it must not wait for one.
func (t *Tree) Listen(f func(Event)) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &f
	t.listeners = append(t.listeners, l)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.listeners = slices.DeleteFunc(slices.Clone(t.listeners), func(o *func(Event)) bool { return o == l })
	}
}

func (t *Tree) heard(ev Event) {
	t.mu.Lock()
	listeners := t.listeners
	t.mu.Unlock()
	for _, f := range listeners {
		(*f)(ev)
	}
}
