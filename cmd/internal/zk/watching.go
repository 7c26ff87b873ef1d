package zk

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// eventWords are the events of watches as our commands say them.
var eventWords = map[zk.EventType]string{
	zk.EventNodeCreated: "created", zk.EventNodeDeleted: "deleted", zk.EventNodeDataChanged: "changed", zk.EventNodeChildrenChanged: "children",
}

// watching is the flag --watch of a command: it prints the next event after the answer. In an interactive shell the watch stays
// behind, and the shell prints what comes.
type watching struct {
	on    bool
	queue *events
	stop  func()
	shown func(at string) string
}

func watchFlag(cmd *cobra.Command, what string) *watching {
	w := &watching{}
	cmd.Flags().BoolVarP(&w.on, "watch", "w", false, "wait for the next change of the "+what+", and print it")
	return w
}

// set sets the watch, before the node is read. kind is one of wire.Watcher….
func (w *watching) set(t *client.Tree, at string, kind int32) (err error) {
	if !w.on {
		return nil
	}
	w.shown = t.Shown
	w.queue = newEvents()
	w.stop = t.Listen(w.queue.add)
	switch kind {
	case wire.WatcherChildren:
		_, _, _, err = t.ChildrenW(at)
	case wire.WatcherPersistentRecursive:
		err = t.AddWatch(context.Background(), at, true)
	default:
		_, _, _, err = t.ExistsW(at)
	}
	if err != nil {
		w.stop()
	}
	return err
}

func (w *watching) wait(cmd *cobra.Command) error {
	if !w.on {
		return nil
	}
	defer w.stop()
	if _, inside := cmd.Context().Value(sessionKey{}).(*client.Tree); inside {
		return nil
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ev, ok := w.queue.next(ctx)
	if !ok {
		return nil
	}
	c := change{Time: time.Now(), Event: eventWords[ev.Type], Path: w.shown(ev.Path)}
	return c.print(cmd, output.AsTable)
}

// events is a queue between the connection, which must not wait, and who prints.
type events struct {
	mu    sync.Mutex
	queue []client.Event
	more  chan struct{} // holds a token when there is something
}

func newEvents() *events { return &events{more: make(chan struct{}, 1)} }

func (e *events) add(ev client.Event) {
	e.mu.Lock()
	e.queue = append(e.queue, ev)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// next waits for an event. False: ctx ended first.
func (e *events) next(ctx context.Context) (client.Event, bool) {
	for {
		e.mu.Lock()
		if len(e.queue) > 0 {
			ev := e.queue[0]
			e.queue = e.queue[1:]
			e.mu.Unlock()
			return ev, true
		}
		e.mu.Unlock()
		select {
		case <-e.more:
		case <-ctx.Done():
			return client.Event{}, false
		}
	}
}

// watchTree prints every change of a node and of all below it, in the server's order.
func watchTree(cmd *cobra.Command, t *client.Tree, at string, count int, format output.Format) error {
	ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	queue := newEvents()
	stop := t.Listen(func(ev client.Event) {
		if ev.Type != zk.EventNodeChildrenChanged && (ev.Path == at || strings.HasPrefix(ev.Path, strings.TrimSuffix(at, "/")+"/")) {
			queue.add(ev)
		}
	})
	defer stop()
	if err := t.AddWatch(ctx, at, true); err != nil {
		return err
	}
	defer func() { _ = t.RemoveWatches(context.Background(), at, wire.WatcherPersistentRecursive) }()
	for seen := 0; count < 0 || seen < count; seen++ {
		ev, ok := queue.next(ctx)
		if !ok {
			return nil
		}
		c := change{Time: time.Now(), Event: eventWords[ev.Type], Path: t.Shown(ev.Path)}
		if ev.Type != zk.EventNodeDeleted {
			if data, st, err := t.Get(ev.Path); err == nil {
				text := string(data)
				c.Version = st.Version
				if data != nil {
					c.Data = &text
				}
			}
		}
		if err := c.print(cmd, format); err != nil {
			return err
		}
	}
	return nil
}

// encode prints a value as one line of JSON.
func encode(cmd *cobra.Command, value any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetEscapeHTML(false)
	return e.Encode(value)
}
