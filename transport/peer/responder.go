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
}

// invalid is an ask of a frame that could not be read.
type invalid struct {
	index  int
	reason string
}

// answer returns the frame that answers the one in b, appended to out. It is empty if nothing was asked.
func (r *responder) answer(b, out []byte) ([]byte, error) {
	f := &r.frame
	if err := f.split(b); err != nil {
		return out, err
	}
	if err := r.order(f); err != nil {
		return out, err
	}
	if err := r.decode(f.asks); err != nil {
		return out, err
	}
	if len(f.asks) == 0 {
		return out, nil
	}
	if len(r.asks) > 0 {
		r.me.handler.Answer(r.from.ID, r.asks)
	}
	r.next = f.seq + uint64(len(f.asks))
	return r.encode(out), nil
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

// encode appends the answers in the order of the asks.
func (r *responder) encode(out []byte) []byte {
	out = appendSeq(out, r.next-uint64(len(r.frame.asks)))
	bad, good := r.bad, r.asks
	for i := range r.frame.asks {
		if len(bad) > 0 && bad[0].index == i {
			out = appendInvalid(out, bad[0].reason)
			bad = bad[1:]
			continue
		}
		out = appendAnswer(out, &good[0], r.me.self.ID)
		good = good[1:]
	}
	return out
}
