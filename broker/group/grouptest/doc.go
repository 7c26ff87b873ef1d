// Package grouptest plays scripts of random clients against a group coordinator, any that speaks Kafka's protocol, and holds its answers
// against the protocol (package model). A script is made by its seed: who joins with which protocols, timeouts and instance ids, who
// syncs, commits, leaves, asks with a wrong id or generation, falls silent.
//
// A script is played in lockstep: a request is sent, the model says which requests that answers, at once or by a timer, and the player
// waits for just those before it goes on. So two coordinators that are played the same seed are asked the same, as far as they
// chose the same where the protocol leaves a choice, and what they were asked and answered can be compared line by line.
//
// A Target is a coordinator: Dial makes one of an address; tests of a coordinator in memory bring their own.
package grouptest
