package cluster

import (
	"errors"
	"slices"

	"github.com/noriahq/noria/bucket"
)

// ErrOld says that the holder of a key runs a version that cannot do what it was asked for: in a fleet that is being upgraded.
var ErrOld = errors.New("the holder of the key runs an older version, which does not do this")

// A Flaw says by which error an ask is invalid, so that who asked another node is told the same as if it had decided itself.
type Flaw uint8

// FlawOther is the Flaw of what is wrong by no error that has one of its own.
const FlawOther Flaw = 1

// flaws are the errors of the flaws after FlawOther, in their order. It only grows: the numbers are said to other versions.
func flaws() []error {
	return []error{
		bucket.ErrLimit, bucket.ErrKey, bucket.ErrCost, bucket.ErrID, bucket.ErrReserve, bucket.ErrConflict, bucket.ErrFull,
	}
}

// flawOf returns the flaw of what is wrong by err.
func flawOf(err error) Flaw {
	for i, known := range flaws() {
		if errors.Is(err, known) {
			return FlawOther + 1 + Flaw(i)
		}
	}
	return FlawOther
}

// An invalid is what another node found wrong with an ask.
type invalid struct {
	err  error // by its flaw
	text string
}

// Error implements error.
func (e *invalid) Error() string { return e.text }

// Is says whether target is ErrAskInvalid, or the error of the flaw.
func (e *invalid) Is(target error) bool {
	return errors.Is(ErrAskInvalid, target) || e.err != nil && errors.Is(e.err, target)
}

// answered returns what the answer to a amounts to.
func answered(a *Ask) error {
	if a.Answer.Status != Invalid {
		return nil
	}
	e := &invalid{text: a.Answer.Reason}
	all := flaws()
	switch f := a.Answer.Flaw; {
	case f > FlawOther && int(f-FlawOther) <= len(all):
		e.err = all[f-FlawOther-1]
	case f == 0 && slices.Contains([]Op{OpGive, OpDrain}, a.Op):
		e.err, e.text = ErrOld, ErrOld.Error()
	default:
		e.text = ErrAskInvalid.Error() + ": " + a.Answer.Reason
	}
	return e
}
