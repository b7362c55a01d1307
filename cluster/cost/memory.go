package cost

// Sizes in memory, in bytes. Tests measure a store, a node and streams, and compare.
const (
	BucketBytes = 57        // of a bucket besides its key
	EndBytes    = 118 << 10 // of one end of a stream with its connection
	NodeBytes   = 4_800_000 // of a node that has nothing yet: what it knows of each partition, and its tables
)

// HolderMemory returns the bytes that a holder needs for its buckets, for the replicas of others that it keeps, and for its
// ends of streams.
func (f Fleet) HolderMemory() float64 {
	keys := f.Keys / float64(f.Holders)
	if f.Holders > 1 {
		keys *= 2
	}
	return keys*(BucketBytes+float64(f.KeyLen)) + float64(f.HolderStreams())*EndBytes + NodeBytes
}

// GatewayMemory returns the bytes that a gateway needs.
func (f Fleet) GatewayMemory() float64 { return float64(f.GatewayStreams())*EndBytes + NodeBytes }
