// Package peerpb is what the nodes of a cluster say to each other: peer.proto and the code generated from it.
//
// Package peer, which speaks it, writes and reads the frames of a Talk by hand: the generated code takes three times as
// long and makes eleven objects for each check, more than all the rest of a check on the wire costs. It says the same
// bytes; its tests compare the two.
package peerpb
