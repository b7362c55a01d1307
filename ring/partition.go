package ring

// A Member is the stable id of a node, 1 to 128 bytes. Addresses are kept elsewhere.
type Member string

// A Partition is one part of the key space, 0 to Params.Partitions-1.
type Partition uint16
