// Package e2e tests the binary from outside, as its users meet it: real processes, real sockets, real clients and tools, and the
// Apache servers as partners and oracles.
//
// A test builds the binary once, starts servers as child processes on ports that the kernel chose, and ends just those, by
// pid. The clients are in testdata/js and testdata/python, the Apache ones come from scripts/apache; where they are missing a
// test skips and says so, unless OTTLA_PEERS=required, which scripts/test sets.
package e2e
