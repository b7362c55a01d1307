package cost

// Sizes on the wire in bytes, without TCP and IP. Tests encode real messages and compare.
const (
	FrameBytes = 14 // of a message on a stream: gRPC's five and HTTP/2's nine

	AskBytes      = 38 // of one check besides its key, with a usual limit
	DecisionBytes = 26 // of its answer
	TellBytes     = 52 // of a message of a core besides what it carries, and its frame
	AnsweredBytes = 47 // of the answer to one that carries nothing

	ParcelBytes  = 15 // of a partition in a message besides what it carries
	StateBytes   = 11 // of a bucket besides its key
	ChangeBytes  = 12 // of a bucket that has changed, besides its key
	LimitBytes   = 12 // of a limit, once in a message
	ClaimedBytes = 1  // of a partition in a claim, where holders are fewer than 64, and one more otherwise
	PlaceBytes   = 5  // of a partition in its answer
)

// BeatBytes returns how many bytes a second a holder sends and receives for beats, its own and those of others.
func (f Fleet) BeatBytes() float64 { return (f.Beats() + f.Heard()) * (TellBytes + AnsweredBytes) }

// CheckBytes returns how many bytes a check that is forwarded has on the wire, there and back, with so many in a message.
func (f Fleet) CheckBytes(batch float64) float64 {
	return AskBytes + float64(f.KeyLen) + DecisionBytes + 2*FrameBytes/batch
}

// WrapBytes is what the transport adds to a message of a core and to its answer together: frames, and fields of its own.
const WrapBytes = 44
