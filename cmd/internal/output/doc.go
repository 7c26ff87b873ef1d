// Package output is how commands speak: tables and JSON, colour with restraint, and the errors that decide the exit status.
//
// Results go to standard output, everything else to standard error. Colour is used only on a terminal, never when NO_COLOR is
// set or TERM is dumb, and carries nothing that the text does not say: what is piped is the same text without it.
package output
