// Package ring says which member should hold which partition of the key space.
//
// A [Table] is a pure value: the same set of members and the same [Params] give the same table on every node, whatever
// the order in which the members came and went. A [Builder] makes tables by consistent hashing with bounded loads
// (Mirrokni et al., arXiv:1608.01350): each member owns many points of a circle, a partition belongs to the member of
// the next point, and a member that has [Params.Load] times the mean is passed over. So a join or a leave moves little
// besides what must move, and no member gets much more than its share.
//
// The ring names targets, it grants nothing. The target of a partition is the member that should hold it, as far as one
// node's view of the membership goes; the holder is the member that has the partition's buckets and alone decides on
// them, which the ring does not know.
//
// Lookups on a Table take no lock and may run on any number of goroutines. One goroutine owns the Builder and hands new
// tables to the others, by an atomic.Pointer for instance.
package ring
