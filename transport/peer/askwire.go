package peer

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// What an ask and a check take at most on the wire besides their texts.
const (
	askBytes   = 96
	checkBytes = 192
)

// measure returns a bound on the bytes that a takes on the wire, or what about it the peer would not accept.
func measure(a *cluster.Ask) (int, error) {
	if err := checkBody(a); err != nil {
		return 0, fmt.Errorf("%w: %w", cluster.ErrAskInvalid, err)
	}
	if a.Op.Tells() {
		return askBytes + len(a.Holder) + len(a.Body), nil
	}
	if n := len(a.Checks); n < 1 || n > cluster.MaxChecks {
		return 0, fmt.Errorf("%w: it has %d checks: want 1 to %d", cluster.ErrAskInvalid, n, cluster.MaxChecks)
	}
	size := askBytes + len(a.Holder)
	for i := range a.Checks {
		r := &a.Checks[i].Request
		if len(r.Key) > bucket.MaxKey || len(r.ID) > bucket.MaxID || len(r.Limit.Zone) > maxZone {
			return 0, fmt.Errorf("%w: check %d: %w", cluster.ErrAskInvalid, i, checkTexts(r))
		}
		size += checkBytes + len(r.Key) + len(r.ID) + len(r.Limit.Zone)
	}
	return size, nil
}

// appendAsk appends a as an item of a frame. wait is how long the asker still waits.
func appendAsk(b []byte, a *cluster.Ask, wait time.Duration) []byte {
	b, at := begin(b, 3)
	b = appendUint(b, 1, uint64(a.Op))
	b = appendFixed(b, 2, a.Epoch)
	b = appendText(b, 3, string(a.Holder))
	b = appendUint(b, 4, uint64(a.Hop))
	b = appendUint(b, 5, uint64(wait))
	for i := range a.Checks {
		b = appendCheck(b, &a.Checks[i])
	}
	b = appendUint(b, 7, a.Hold)
	b = appendBytes(b, 8, a.Body)
	b = appendUint(b, 9, uint64(a.Rest))
	b = appendUint(b, 10, uint64(a.Back))
	return end(b, at)
}

func appendCheck(b []byte, c *cluster.Check) []byte {
	b, at := begin(b, 6)
	b = appendUint(b, 1, uint64(c.Partition))
	b = appendUint(b, 2, uint64(c.Term))
	b = appendText(b, 3, c.Request.Key)
	b = appendLimit(b, &c.Request.Limit)
	b = appendUint(b, 5, uint64(c.Request.Cost))
	b = appendText(b, 6, c.Request.ID)
	b = appendUint(b, 7, uint64(c.Request.OnLost))
	b = appendUint(b, 8, uint64(c.Request.Durability))
	b = appendUint(b, 9, uint64(c.Request.ColdStart))
	b = appendUint(b, 10, uint64(c.Request.Reserve))
	return end(b, at)
}

func appendLimit(b []byte, l *bucket.Limit) []byte {
	b, at := begin(b, 4)
	b = appendUint(b, 1, uint64(l.Tokens))
	b = appendUint(b, 2, uint64(l.Per))
	b = appendUint(b, 3, uint64(l.Burst))
	b = appendUint(b, 4, uint64(l.Queue))
	b = appendUint(b, 5, uint64(l.Window))
	b = appendText(b, 6, l.Zone)
	return end(b, at)
}

// decodeAsk reads an ask into a and appends its checks to checks, whose end a then has. The strings and the body in it are part
// of b.
// The error says why it is not an ask that can be answered; a is to be forgotten then.
func decodeAsk(b []byte, a *cluster.Ask, checks []cluster.Check) ([]cluster.Check, error) {
	*a = cluster.Ask{}
	var op, hop uint64
	from := len(checks)
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			op = c.varint()
		case 2<<3 | asFixed64:
			a.Epoch = c.fixed64()
		case 3<<3 | asBytes:
			a.Holder = ring.Member(c.text())
		case 4<<3 | asVarint:
			hop = c.varint()
		case 5<<3 | asVarint:
			a.Wait = time.Duration(c.varint())
		case 6<<3 | asBytes:
			if len(checks)-from == cluster.MaxChecks {
				return checks[:from], fmt.Errorf("it has more than %d checks", cluster.MaxChecks)
			}
			checks = append(checks, cluster.Check{})
			if err := decodeCheck(c.bytes(), &checks[len(checks)-1]); err != nil {
				return checks[:from], fmt.Errorf("check %d: %w", len(checks)-1-from, err)
			}
		case 7<<3 | asVarint:
			a.Hold = c.varint()
		case 8<<3 | asBytes:
			a.Body = c.bytes()
		case 9<<3 | asVarint:
			a.Rest = int64(c.varint())
		case 10<<3 | asVarint:
			a.Back = int64(c.varint())
		default:
			c.skip(tag)
		}
	}
	a.Op, a.Hop, a.Checks = cluster.Op(op), uint8(hop), checks[from:len(checks):len(checks)]
	if err := checkAsk(a, uint32(op), uint32(hop), c.bad); err != nil {
		return checks[:from], err
	}
	return checks, nil
}

func checkAsk(a *cluster.Ask, op, hop uint32, bad bool) error {
	switch {
	case bad:
		return errors.New("its bytes are not an ask")
	case op > uint32(cluster.OpDrain):
		return fmt.Errorf("op is %d, which is unknown", op)
	case hop > 255:
		return fmt.Errorf("hop is %d: want 0 to 255", hop)
	case a.Wait <= 0:
		return errors.New("wait is not positive")
	case len(a.Checks) == 0 && !a.Op.Tells():
		return errors.New("it has no checks")
	case a.Op != cluster.OpRefund && keyless(a.Checks):
		return errors.New("a key is empty")
	case a.Rest < 0 || a.Back < 0:
		return errors.New("rest or back is negative")
	case len(a.Holder) > maxName || !utf8.ValidString(string(a.Holder)):
		return fmt.Errorf("holder: want at most %d bytes of UTF-8", maxName)
	}
	return checkBody(a)
}

// checkBody returns what is wrong with the body of a, or with checks beside one.
func checkBody(a *cluster.Ask) error {
	switch n := len(a.Body); {
	case !a.Op.Tells() && n > 0:
		return fmt.Errorf("its body has %d bytes: want none with checks", n)
	case a.Op.Tells() && len(a.Checks) > 0:
		return fmt.Errorf("it tells and has %d checks: want none", len(a.Checks))
	case a.Op.Tells() && (n < 1 || n > cluster.MaxBody):
		return fmt.Errorf("its body has %d bytes: want 1 to %d", n, cluster.MaxBody)
	}
	return nil
}

func keyless(checks []cluster.Check) bool {
	for i := range checks {
		if checks[i].Request.Key == "" {
			return true
		}
	}
	return false
}

func decodeCheck(b []byte, k *cluster.Check) error {
	var partition, onLost, durability, coldStart uint64
	r := &k.Request
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			partition = c.varint()
		case 2<<3 | asVarint:
			k.Term = cluster.Term(c.varint())
		case 3<<3 | asBytes:
			r.Key = c.text()
		case 4<<3 | asBytes:
			if err := decodeLimit(c.bytes(), &r.Limit); err != nil {
				return err
			}
		case 5<<3 | asVarint:
			r.Cost = int64(c.varint())
		case 6<<3 | asBytes:
			r.ID = c.text()
		case 7<<3 | asVarint:
			onLost = c.varint()
		case 8<<3 | asVarint:
			durability = c.varint()
		case 9<<3 | asVarint:
			coldStart = c.varint()
		case 10<<3 | asVarint:
			r.Reserve = time.Duration(c.varint())
		default:
			c.skip(tag)
		}
	}
	if c.bad {
		return errors.New("its bytes are not a check")
	}
	k.Partition = ring.Partition(partition)
	r.OnLost, r.Durability, r.ColdStart = bucket.OnLost(onLost), bucket.Durability(durability), bucket.ColdStart(coldStart)
	return checkCheck(k, uint32(partition), uint32(onLost), uint32(durability), uint32(coldStart))
}

func checkCheck(k *cluster.Check, partition, onLost, durability, coldStart uint32) error {
	r := &k.Request
	switch {
	case partition > 65535:
		return fmt.Errorf("partition is %d: want at most 65535", partition)
	case r.Cost < 0 || r.Cost > bucket.MaxCost:
		return fmt.Errorf("cost is %d tokens: want 0 to %d", r.Cost, bucket.MaxCost)
	case r.Reserve < 0 || r.Reserve > bucket.MaxReserve:
		return fmt.Errorf("reserve is %dns: want 0 to %d", r.Reserve, bucket.MaxReserve)
	case onLost > uint32(bucket.Allow):
		return fmt.Errorf("on_lost is %d, which is unknown", onLost)
	case durability > uint32(bucket.Ephemeral):
		return fmt.Errorf("durability is %d, which is unknown", durability)
	case coldStart > uint32(bucket.Empty):
		return fmt.Errorf("cold_start is %d, which is unknown", coldStart)
	}
	return checkTexts(r)
}

func checkTexts(r *bucket.Request) error {
	switch {
	case len(r.Key) > bucket.MaxKey:
		return fmt.Errorf("key has %d bytes: want at most %d", len(r.Key), bucket.MaxKey)
	case !utf8.ValidString(r.Key):
		return errors.New("key is not UTF-8")
	case len(r.ID) > bucket.MaxID || !utf8.ValidString(r.ID):
		return fmt.Errorf("id: want at most %d bytes of UTF-8", bucket.MaxID)
	case len(r.Limit.Zone) > maxZone || !utf8.ValidString(r.Limit.Zone):
		return fmt.Errorf("zone: want at most %d bytes of UTF-8", maxZone)
	}
	return nil
}

// decodeLimit reads a limit. Whether its numbers make a limit is for whoever decides on it to say.
func decodeLimit(b []byte, l *bucket.Limit) error {
	window := uint64(l.Window)
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			l.Tokens = int64(c.varint())
		case 2<<3 | asVarint:
			l.Per = time.Duration(c.varint())
		case 3<<3 | asVarint:
			l.Burst = int64(c.varint())
		case 4<<3 | asVarint:
			l.Queue = int64(c.varint())
		case 5<<3 | asVarint:
			window = c.varint()
		case 6<<3 | asBytes:
			l.Zone = c.text()
		default:
			c.skip(tag)
		}
	}
	if c.bad {
		return errors.New("limit: its bytes are not one")
	}
	if uint32(window) > uint32(bucket.Concurrency) {
		return fmt.Errorf("limit: window is %d, which is unknown", uint32(window))
	}
	l.Window = bucket.Window(window)
	return nil
}
