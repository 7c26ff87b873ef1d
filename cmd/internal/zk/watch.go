package zk

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// change is what a watch saw, in JSON one a line.
type change struct {
	Time     time.Time `json:"time"`
	Event    string    `json:"event"` // now or missing at first, then created, changed, deleted, children
	Path     string    `json:"path"`
	Data     *string   `json:"data,omitempty"`
	Children []string  `json:"children,omitempty"`
	Version  int32     `json:"version,omitempty"`
}

func watch() *cobra.Command {
	var z client.ZooKeeper
	var count int
	var children, recursive bool
	cmd := &cobra.Command{
		Use: "watch PATH", Short: "Print what becomes of a node, until interrupted", Args: cobra.ExactArgs(1),
		Long: `Print what becomes of a node: first how it is now, then each change of its data, its creation and its deletion, and with
--children each change of its list of children. Of several changes that follow each other closely the last one may stand for all.
With --recursive it prints every change of the node and of all nodes below it as the server tells it, each with the data of the
moment when it is printed; what changes while the connection is lost is missed.`,
	}
	z.Flags(cmd.Flags())
	cmd.Flags().IntVarP(&count, "count", "n", -1, "end after so `many` changes")
	cmd.Flags().BoolVarP(&children, "children", "c", false, "watch the list of children instead of the data")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "watch the node and all nodes below it")
	cmd.MarkFlagsMutuallyExclusive("children", "recursive")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(ended)
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if recursive {
				return watchTree(cmd, t, at, count, *format)
			}
			w := watcher{t: t, at: at, path: args[0], children: children}
			for seen := 0; ; seen++ {
				c, next, err := w.look()
				if err != nil {
					return err
				}
				if c != nil {
					if err := c.print(cmd, *format); err != nil {
						return err
					}
				} else {
					seen--
				}
				if count >= 0 && seen >= count {
					return nil
				}
				select {
				case ev := <-next:
					if err := w.event(ev); err != nil {
						return err
					}
				case <-ended:
					return nil
				}
			}
		})
	}
	return cmd
}

// watcher reads a node anew after each event, since a watch fires once.
type watcher struct {
	t        *client.Tree
	at, path string
	children bool
	cause    string // the event before this read; "" at first
	last     string // what was printed last, to leave out what is no change
}

// look reads the node and sets the next watch. c is nil if nothing has changed since.
func (w *watcher) look() (c *change, next <-chan zk.Event, err error) {
	c = &change{Time: time.Now(), Event: w.cause, Path: w.path}
	var there bool
	var st *zk.Stat
	if w.children {
		c.Children, st, next, err = w.t.ChildrenW(w.at)
		slices.Sort(c.Children)
	} else {
		var data []byte
		data, st, next, err = w.t.GetW(w.at)
		if s := string(data); err == nil && data != nil {
			c.Data = &s
		}
	}
	if there = err == nil; errors.Is(err, zk.ErrNoNode) {
		if there, _, next, err = w.t.ExistsW(w.at); there {
			return w.look() // made in between
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if there {
		c.Version = st.Version
		if w.children {
			c.Version = st.Cversion
		}
	}
	switch {
	case !there && c.Event == "":
		c.Event = "missing"
	case !there:
		c.Event = "deleted"
	case c.Event == "":
		c.Event = "now"
	case c.Event == "deleted":
		c.Event = "created" // again, before it was looked at
	}
	state := fmt.Sprint(there, c.Version, c.Children)
	if there {
		state += fmt.Sprint(st.Czxid)
	}
	if state == w.last {
		return nil, next, nil
	}
	w.last = state
	return c, next, nil
}

// event notes what a watch said.
func (w *watcher) event(ev zk.Event) error {
	switch ev.Type {
	case zk.EventNodeCreated:
		w.cause = "created"
	case zk.EventNodeDataChanged:
		w.cause = "changed"
	case zk.EventNodeDeleted:
		w.cause = "deleted"
	case zk.EventNodeChildrenChanged:
		w.cause = "children"
	case zk.EventNotWatching:
		w.cause = "changed" // the session is new: what happened meanwhile is not known in detail
		if errors.Is(ev.Err, zk.ErrClosing) {
			return ev.Err
		}
	}
	return nil
}

func (c *change) print(cmd *cobra.Command, format output.Format) error {
	if format == output.AsJSON {
		return encode(cmd, c)
	}
	line := c.Event + " " + c.Path
	if c.Data != nil {
		line += " " + *c.Data
	}
	if c.Children != nil {
		line += " [" + strings.Join(c.Children, ", ") + "]"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
	return err
}
