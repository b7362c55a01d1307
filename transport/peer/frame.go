package peer

import (
	"errors"
	"fmt"

	"github.com/noriahq/noria/cluster"
)

// frame is a received Frame whose asks and answers are not decoded yet: its framing is intact, what is in it may not be.
type frame struct {
	hello    []byte
	hasHello bool
	seq      uint64
	asks     [][]byte
	answers  [][]byte
}

// Errors of a frame that ends the stream.
var (
	errFraming = errors.New("bytes are not a frame")
	errTooMany = fmt.Errorf("more than %d items in a frame", maxItems)
)

// split finds the parts of a frame in b, of which they stay part. It uses f's former memory.
func (f *frame) split(b []byte) error {
	*f = frame{asks: f.asks[:0], answers: f.answers[:0]}
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asBytes:
			f.hello, f.hasHello = append(f.hello, c.bytes()...), true
		case 2<<3 | asVarint:
			f.seq = c.varint()
		case 3<<3 | asBytes:
			f.asks = append(f.asks, c.bytes())
		case 4<<3 | asBytes:
			f.answers = append(f.answers, c.bytes())
		default:
			c.skip(tag)
		}
		if len(f.asks)+len(f.answers) > maxItems {
			return errTooMany
		}
	}
	if c.bad {
		return errFraming
	}
	return nil
}

// opening returns the Hello of a stream's first frame.
func (f *frame) opening() (cluster.Hello, error) {
	if !f.hasHello {
		return cluster.Hello{}, errors.New("the first frame has no hello")
	}
	if len(f.asks)+len(f.answers) > 0 {
		return cluster.Hello{}, errors.New("the first frame has more than a hello")
	}
	return decodeHello(f.hello)
}

// appendSeq begins a frame of asks or answers.
func appendSeq(b []byte, seq uint64) []byte { return appendUint(b, 2, seq) }
