package peer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// appendAnswer appends what self answered to a as an item of a frame.
func appendAnswer(b []byte, a *cluster.Ask, self ring.Member) []byte {
	if err := checkAnswerBody(a); err != nil {
		return appendInvalid(b, err.Error())
	}
	b, at := begin(b, 4)
	b = appendUint(b, 1, uint64(a.Answer.Status))
	if a.Answer.Holder != self || a.Answer.Status != cluster.Decided {
		b = appendText(b, 2, string(a.Answer.Holder))
	}
	b = appendUint(b, 3, uint64(a.Answer.Term))
	b = appendFixed(b, 4, a.Answer.Epoch)
	if a.Answer.Status == cluster.Invalid {
		b = appendText(b, 5, short(a.Answer.Reason))
	}
	if a.Answer.Status == cluster.Decided && decides(a.Op) {
		for i := range a.Checks {
			b = appendDecision(b, &a.Checks[i].Decision, self)
		}
	}
	b = appendBytes(b, 7, a.Answer.Body)
	b = appendUint(b, 8, uint64(a.Answer.Held))
	b = appendUint(b, 9, uint64(a.Answer.Next))
	if a.Answer.Status == cluster.Decided && a.Op == cluster.OpSettle {
		for i := range a.Checks {
			b = appendSettled(b, &a.Checks[i].Settled)
		}
	}
	if a.Answer.Status == cluster.Invalid {
		b = appendUint(b, 11, uint64(a.Answer.Flaw))
	}
	return end(b, at)
}

// appendInvalid appends the answer to an ask that could not be read.
func appendInvalid(b []byte, reason string) []byte {
	b, at := begin(b, 4)
	b = appendUint(b, 1, uint64(cluster.Invalid))
	b = appendText(b, 5, short(reason))
	b = appendUint(b, 11, uint64(cluster.FlawOther))
	return end(b, at)
}

func short(reason string) string {
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

func appendDecision(b []byte, d *bucket.Decision, self ring.Member) []byte {
	b, at := begin(b, 6)
	b = appendBool(b, 1, d.Allowed)
	b = appendBool(b, 2, d.Degraded)
	b = appendUint(b, 3, uint64(d.Source))
	b = appendUint(b, 4, uint64(d.Remaining))
	b = appendUint(b, 5, uint64(d.RetryAfter))
	b = appendUint(b, 6, uint64(d.ResetAfter))
	b = appendUint(b, 7, uint64(d.Delay))
	if d.Node != string(self) {
		b = appendText(b, 8, d.Node)
	}
	return end(b, at)
}

// decodeAnswer reads into a what peer answered. The error says why it is not an answer to a.
func decodeAnswer(b []byte, a *cluster.Ask, peer ring.Member) error {
	a.Answer = cluster.Answer{}
	var status uint64
	decisions, settled := 0, 0
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			status = c.varint()
		case 2<<3 | asBytes:
			a.Answer.Holder = member(c.bytes(), peer)
		case 3<<3 | asVarint:
			a.Answer.Term = cluster.Term(c.varint())
		case 4<<3 | asFixed64:
			a.Answer.Epoch = c.fixed64()
		case 5<<3 | asBytes:
			a.Answer.Reason = string(c.bytes())
		case 6<<3 | asBytes:
			if decisions == len(a.Checks) {
				return errors.New("it has more decisions than the ask has checks")
			}
			if err := decodeDecision(c.bytes(), &a.Checks[decisions].Decision, peer); err != nil {
				return err
			}
			decisions++
		case 10<<3 | asBytes:
			if settled == len(a.Checks) {
				return errors.New("it has settled more than the ask has checks")
			}
			if err := decodeSettled(c.bytes(), &a.Checks[settled].Settled); err != nil {
				return err
			}
			settled++
		case 7<<3 | asBytes:
			a.Answer.Body = bytes.Clone(c.bytes())
		case 8<<3 | asVarint:
			a.Answer.Held = int64(c.varint())
		case 9<<3 | asVarint:
			a.Answer.Next = int64(c.varint())
		case 11<<3 | asVarint:
			a.Answer.Flaw = cluster.Flaw(min(c.varint(), math.MaxUint8)) // one that is not known yet is as good as other
		default:
			c.skip(tag)
		}
	}
	a.Answer.Status = cluster.AnswerStatus(status)
	return checkAnswer(a, uint32(status), decisions, settled, peer, c.bad)
}

func checkAnswer(a *cluster.Ask, status uint32, decisions, settled int, peer ring.Member, bad bool) error {
	want, settles := 0, 0
	switch {
	case status != uint32(cluster.Decided):
	case decides(a.Op):
		want = len(a.Checks)
	case a.Op == cluster.OpSettle:
		settles = len(a.Checks)
	}
	switch {
	case bad:
		return errors.New("its bytes are not an answer")
	case status > uint32(cluster.Invalid):
		return fmt.Errorf("status is %d, which is unknown", status)
	case decisions != want:
		return fmt.Errorf("it has %d decisions: want %d", decisions, want)
	case settled != settles:
		return fmt.Errorf("it has settled %d: want %d", settled, settles)
	case len(a.Answer.Holder) > maxName || !utf8.ValidString(string(a.Answer.Holder)):
		return fmt.Errorf("holder: want at most %d bytes of UTF-8", maxName)
	case a.Answer.Held < 0 || a.Answer.Next < 0:
		return errors.New("held or next is negative")
	case !utf8.ValidString(a.Answer.Reason):
		return errors.New("reason is not UTF-8")
	}
	if err := checkAnswerBody(a); err != nil {
		return err
	}
	if status == uint32(cluster.Decided) && a.Answer.Holder == "" {
		a.Answer.Holder = peer
	}
	return nil
}

// decides says whether the answer to an op has a decision for each check.
func decides(op cluster.Op) bool {
	switch op {
	case cluster.OpTake, cluster.OpLend, cluster.OpGive, cluster.OpDrain:
		return true
	default:
		return false
	}
}

// checkAnswerBody returns what is wrong with the body of the answer to a.
func checkAnswerBody(a *cluster.Ask) error {
	switch n := len(a.Answer.Body); {
	case !a.Op.Tells() && n > 0:
		return fmt.Errorf("the answer's body has %d bytes: want none with checks", n)
	case n > cluster.MaxBody:
		return fmt.Errorf("the answer's body has %d bytes: want at most %d", n, cluster.MaxBody)
	}
	return nil
}

func decodeDecision(b []byte, d *bucket.Decision, peer ring.Member) error {
	*d = bucket.Decision{}
	var source uint64
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			d.Allowed = protowire.DecodeBool(c.varint())
		case 2<<3 | asVarint:
			d.Degraded = protowire.DecodeBool(c.varint())
		case 3<<3 | asVarint:
			source = c.varint()
		case 4<<3 | asVarint:
			d.Remaining = int64(c.varint())
		case 5<<3 | asVarint:
			d.RetryAfter = time.Duration(c.varint())
		case 6<<3 | asVarint:
			d.ResetAfter = time.Duration(c.varint())
		case 7<<3 | asVarint:
			d.Delay = time.Duration(c.varint())
		case 8<<3 | asBytes:
			d.Node = string(member(c.bytes(), peer))
		default:
			c.skip(tag)
		}
	}
	if d.Node == "" {
		d.Node = string(peer)
	}
	d.Source = bucket.Source(source)
	return checkDecision(d, uint32(source), c.bad)
}

func checkDecision(d *bucket.Decision, source uint32, bad bool) error {
	switch {
	case bad:
		return errors.New("decision: its bytes are not one")
	case source > uint32(bucket.FromDegraded):
		return fmt.Errorf("decision: source is %d, which is unknown", source)
	case d.Remaining < 0 || d.RetryAfter < 0 || d.ResetAfter < 0 || d.Delay < 0:
		return errors.New("decision: an amount or duration is negative")
	case !utf8.ValidString(d.Node):
		return errors.New("decision: node is not UTF-8")
	}
	return nil
}

func appendSettled(b []byte, s *bucket.Settled) []byte {
	b, at := begin(b, 10)
	b = appendBool(b, 1, s.Known)
	b = appendUint(b, 2, uint64(s.Reserved))
	b = appendUint(b, 3, uint64(s.Charged))
	return end(b, at)
}

func decodeSettled(b []byte, s *bucket.Settled) error {
	*s = bucket.Settled{}
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			s.Known = protowire.DecodeBool(c.varint())
		case 2<<3 | asVarint:
			s.Reserved = int64(c.varint())
		case 3<<3 | asVarint:
			s.Charged = int64(c.varint())
		default:
			c.skip(tag)
		}
	}
	switch {
	case c.bad:
		return errors.New("settled: its bytes are not")
	case s.Reserved < 0 || s.Charged < 0:
		return errors.New("settled: an amount is negative")
	}
	return nil
}

// member returns the name in b with memory of its own, without any where it is peer's.
func member(b []byte, peer ring.Member) ring.Member {
	if string(b) == string(peer) {
		return peer
	}
	return ring.Member(b)
}
