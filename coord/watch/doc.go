// Package watch holds who wants to hear of which path: the data table and the child table of ZooKeeper, for one-shot, persistent
// and persistent recursive watches.
//
//	registered by          table       mode          hears
//	getData, exists        data        one-shot      created, deleted, data changed
//	getChildren(2)         child       one-shot      deleted, children changed
//	addWatch 0             both        persistent    all four, for its own path
//	addWatch 1             data        recursive     created, deleted, data changed, for its path and all below
//
// A watcher is a connection. It is in a table at most once per path, with a set of modes, so it hears of an event once however
// often it registered. A one-shot mode is used up by the event; the others stay, also when the node goes.
//
// The tables are pure and have no lock. Their owner (package state) fires events under the tree's write lock and adds watches under its
// read lock, so that a watch is set at the very state that its answer shows.
package watch
