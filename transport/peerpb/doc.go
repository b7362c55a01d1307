// Package peerpb is what the nodes of a cluster say to each other: peer.proto and the code generated from it.
//
// Package peer, which speaks it, encodes and decodes the frames of a Talk by hand, because half of what a check costs on
// the wire was making and dropping the generated structs. It says the same bytes; its tests compare the two.
package peerpb
