package peer

import (
	"errors"
	"fmt"

	"github.com/noriahq/noria/cluster"
)

// responder answers the frames of one stream. Its memory is used again for each.
type responder struct {
	me     *identity
	from   cluster.Hello
	next   uint64 // number of the next ask
	frame  frame
	asks   []cluster.Ask
	checks []cluster.Check
	bad    []invalid
	sent   int // items of frame, asks and bad whose answers are encoded
	good   int // of them in asks
}

// invalid is an ask of a frame that could not be read.
type invalid struct {
	index  int
	reason string
}

// answer decides on the frame in b, which has to stay until all answers are encoded.
func (r *responder) answer(b []byte) error {
	f := &r.frame
	r.sent, r.good = 0, 0
	if err := f.split(b); err != nil {
		return err
	}
	if err := r.order(f); err != nil {
		return err
	}
	if err := r.decode(f.asks); err != nil {
		return err
	}
	if len(r.asks) > 0 {
		r.me.handler.Answer(r.from.ID, r.asks)
	}
	r.next += uint64(len(f.asks))
	return nil
}

// order returns an error if f is not what comes next.
func (r *responder) order(f *frame) error {
	switch {
	case f.hasHello:
		return errors.New("a second hello")
	case len(f.answers) > 0:
		return errors.New("answers from who asks")
	case len(f.asks) > 0 && f.seq != r.next:
		return fmt.Errorf("ask number %d comes where %d is next", f.seq, r.next)
	}
	return nil
}

// decode reads asks into r.asks, and those that cannot be read into r.bad.
func (r *responder) decode(asks [][]byte) (err error) {
	r.asks, r.checks, r.bad = r.asks[:0], r.checks[:0], r.bad[:0]
	for i, b := range asks {
		r.asks = append(r.asks, cluster.Ask{})
		r.checks, err = decodeAsk(b, &r.asks[len(r.asks)-1], r.checks)
		if err != nil {
			r.asks = r.asks[:len(r.asks)-1]
			r.bad = append(r.bad, invalid{i, err.Error()})
		}
		if len(r.checks) > maxItems {
			return errTooMany
		}
	}
	return nil
}

// more says whether there are answers that are not encoded.
func (r *responder) more() bool { return r.sent < len(r.frame.asks) }

// encode appends a frame with answers in the order of the asks: all that are left, or as many as a message holds.
func (r *responder) encode(out []byte) []byte {
	out = appendSeq(out, r.next-uint64(len(r.frame.asks)-r.sent))
	for first := r.sent; r.more(); r.sent++ {
		bad := r.sent - r.good // so many before it were bad
		if bad < len(r.bad) && r.bad[bad].index == r.sent {
			out = appendInvalid(out, r.bad[bad].reason)
			continue
		}
		a := &r.asks[r.good]
		if r.sent > first && len(out)+len(a.Answer.Body) > batchBytes {
			break
		}
		out = appendAnswer(out, a, r.me.self.ID)
		r.good++
	}
	return out
}
