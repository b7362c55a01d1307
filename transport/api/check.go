package api

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
)

// A check is one request as a caller asked it.
type check struct {
	req  bucket.Request
	name string // of the limit; empty where the key stands in
	text string // the limit, written out
}

// label returns the name of c's limit or what stands in for it.
func (c *check) label() string {
	if c.name != "" {
		return c.name
	}
	return c.req.Key
}

// A place says which check of a request an error is about.
type place int

// single is the place of a check that is the whole request.
const single place = -1

// of returns how errors call a field of the check at p; the check itself for "".
func (p place) of(field string) string {
	switch {
	case p == single:
		return field
	case field == "":
		return "checks[" + strconv.Itoa(int(p)) + "]"
	}
	return "checks[" + strconv.Itoa(int(p)) + "]." + field
}

// missingKey says that a check has no key.
func missingKey(at place) error {
	return fmt.Errorf("%w: %s is missing; want 1 to %d bytes that say who is limited", bucket.ErrKey, at.of("key"), bucket.MaxKey)
}

// validKey says what is wrong with a key.
func validKey(at place, key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: %s is empty; want 1 to %d bytes that say who is limited", bucket.ErrKey, at.of("key"), bucket.MaxKey)
	case len(key) > bucket.MaxKey:
		return fmt.Errorf("%w: %s has %d bytes; want 1 to %d", bucket.ErrKey, at.of("key"), len(key), bucket.MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: %s is not valid UTF-8; encode other bytes, in base64 for example", bucket.ErrKey, at.of("key"))
	}
	return nil
}

// validCost says what is wrong with a cost.
func validCost(at place, cost int64) error {
	if cost < 0 || cost > bucket.MaxCost {
		return fmt.Errorf("%w: %s is %d; want a whole number from 0, which takes nothing, to %d", bucket.ErrCost, at.of("cost"), cost, int64(bucket.MaxCost))
	}
	return nil
}

// validBurst says what is wrong with a cost that no bucket of l ever holds.
func validBurst(at place, cost int64, l limitText) error {
	if cost > l.limit.Burst {
		return fmt.Errorf("%w: %s is %d; want at most %d, the burst of limit %q", bucket.ErrCost, at.of("cost"), cost, l.limit.Burst, l.text)
	}
	return nil
}

// validID says what is wrong with a request id.
func validID(at place, id string) error {
	if len(id) > bucket.MaxID {
		return fmt.Errorf("%w: %s has %d bytes; want at most %d", bucket.ErrID, at.of("id"), len(id), bucket.MaxID)
	}
	return nil
}

// validTTL says what is wrong with how long a reservation is to be kept, in milliseconds.
func validTTL(at place, ms int64) error {
	if most := bucket.MaxReserve.Milliseconds(); ms < 1 || ms > most {
		return fmt.Errorf("%w: %s is %d; want 1 to %d milliseconds", bucket.ErrReserve, at.of("ttl_ms"), ms, most)
	}
	return nil
}

// validReserve says what is wrong with how r, whose limit is text, reserves or does not.
func validReserve(at place, r *bucket.Request, text string) error {
	switch {
	case r.Reserve < 0 || r.Reserve > bucket.MaxReserve:
		return fmt.Errorf("%w: %s is %d; want 0 to %d", bucket.ErrReserve, at.of("reserve_ns"), int64(r.Reserve), int64(bucket.MaxReserve))
	case r.Reserve == 0 && r.Cost > 0 && r.Limit.Window == bucket.Concurrency:
		return fmt.Errorf("%w: %s is missing; limit %q wants to know how long its tokens are kept at most", bucket.ErrReserve, at.of("ttl_ms")+" (reserve_ns in gRPC)", text)
	case r.Reserve > 0 && r.ID == "":
		return fmt.Errorf("%w: %s is missing; want 1 to %d bytes by which the reservation is settled", bucket.ErrReserve, at.of("id"), bucket.MaxID)
	case r.Reserve > 0 && r.Limit.Queue > 0:
		return fmt.Errorf("%w: %s is %q; want a limit without a queue", bucket.ErrReserve, at.of("limit"), text)
	}
	return nil
}

// validName says what is wrong with the name of a limit.
func validName(at place, name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%w: %s has %d bytes; want at most %d", transport.ErrRequest, at.of("name"), len(name), MaxName)
	}
	return nil
}

// validCount says what is wrong with n checks in one request.
func validCount(n int) error {
	switch {
	case n == 0:
		return fmt.Errorf("%w: checks is empty; want 1 to %d checks", transport.ErrRequest, MaxChecks)
	case n > MaxChecks:
		return tooMany()
	}
	return nil
}

// tooMany says that a request has more than MaxChecks checks.
func tooMany() error {
	return fmt.Errorf("%w: checks has more than %d entries; split what need not be all or nothing", transport.ErrRequest, MaxChecks)
}
