// Package snapshot keeps what a node has in a directory, from one run to the next: so that a fleet that stops as a whole goes on
// where it was.
//
// # The directory
//
// It belongs to one node of one cluster, and to one process at a time, which has its file lock locked. The file buckets is what
// was saved last, buckets.old what was saved before that. A new one is written beside them, synced, and takes the place of
// buckets by a rename; so a crash leaves a whole one, whenever it comes. One that is torn or corrupted nevertheless is found out
// by its checksums, and moved to buckets.bad; then buckets.old counts, which is older and as good otherwise.
//
// # The format, version 1
//
// A file is the text "noria\n", a byte with the version, and frames: the length of the body and its CRC-32C, both as four bytes,
// little endian, and the body. A body begins with a letter:
//
//	h  first: node, label and ring as texts, boot, wall time of writing, members
//	p  a part of a partition: its number, the wall time at which it was saved, and the rest is a message of package core
//	e  last: how many frames with p there are
//
// Numbers are varints, wall times ns since the Unix epoch, texts have their length before them. Frames of a partition follow each
// other, and partitions rise. A later version of this package reads version 1 too.
package snapshot
