// Package repo holds the rules of this repository as tests: which package may import which, and that each says what it is.
// It has no code.
package repo
