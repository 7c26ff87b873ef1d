// Package config reads zoo.cfg and the ZOO_* environment of ZooKeeper's docker image.
//
// One table (keys.go) is the source of names, types, defaults, ranges and documentation. Load takes, each over the one before: the
// defaults, the file, the environment, the overrides of the command line. It reports every mistake at once.
//
//	an unknown key                       a warning
//	a wrong value                        an error that names key, value and range
//	a key without effect here            nothing, or a warning if somebody may rely on the effect
//	a key that narrows who may do what, or how bytes are protected or kept, and is not implemented: an error that names it
//
// Without a file the values of ZooKeeper's shipped zoo_sample.cfg hold; with one, ZooKeeper's code defaults.
package config
