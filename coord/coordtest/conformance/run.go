package conformance

import (
	"fmt"
	"testing"
	"time"

	"ottla/coord/wire"
)

// Run checks a server at addr that is configured with Config, as far as it need not be restarted.
func Run(t *testing.T, addr string) {
	plain := *Setups[0]
	plain.alone = nil
	plain.Run(t, Target{Addr: addr})
}

type check struct {
	name string
	run  func(e *Env)
	slow bool
}

// Env is what a check works with.
type Env struct {
	*testing.T
	Target
	enter func(*Client) // what a client has to do before it may ask for anything
	root  string
	main  *Client
}

// Client is a connection with a session of its own.
func (e *Env) Client() *Client {
	e.Helper()
	if e.main == nil {
		e.main = e.Another()
	}
	return e.main
}

// Another is one more.
func (e *Env) Another() *Client {
	e.Helper()
	c := Open(e.T, e.Addr)
	if e.enter != nil {
		e.enter(c)
	}
	return c
}

// Path is a path below the check's own node, which the first call makes and the end of the check removes.
func (e *Env) Path(rest string) string {
	e.Helper()
	if e.root == "" {
		e.root = fmt.Sprintf("/conformance-%x", time.Now().UnixNano())
		c := e.Another()
		c.Create(e.root, "", wire.FlagPersistent)
		e.Cleanup(func() { removeTree(e, e.root) })
	}
	return e.root + rest
}

// removeTree deletes a node and all below, whoever may read or change them.
func removeTree(e *Env, path string) {
	c := Dial(e, e.Addr)
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 30000})
	defer c.closeSession()
	if e.enter != nil {
		e.enter(c)
	} else {
		c.Auth("super:conform")
	}
	var remove func(path string)
	remove = func(path string) {
		r := c.Do(wire.OpGetChildren, PathFlag(path, false))
		d := wire.NewDecoder(r.Body)
		for _, child := range DecodePaths(&d) {
			remove(path + "/" + child)
		}
		c.Do(wire.OpDelete, PathInt(path, -1))
	}
	remove(path)
}

// wantStat compares the counters that tests usually care about.
func wantStat(t testing.TB, s wire.Stat, version, cversion, aversion, children int32) {
	t.Helper()
	if s.Version != version || s.Cversion != cversion || s.Aversion != aversion || s.NumChildren != children {
		t.Errorf("version %d, cversion %d, aversion %d, children %d; want %d, %d, %d, %d",
			s.Version, s.Cversion, s.Aversion, s.NumChildren, version, cversion, aversion, children)
	}
}
