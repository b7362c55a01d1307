package api

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
)

// A decoder reads the body of POST /v1/check.
type decoder struct {
	scanner
	limits *limits
	checks []check
	many   bool // the body has the form {"checks":[...]}
	seen   fields

	reserve time.Duration // where it is not 0, the checks reserve for so long if they do not say
	slots   bool          // of Concurrency limits only
}

// fields is a set of fields of one object.
type fields uint16

// The fields of a check and, after them, of the body.
const (
	hasKey fields = 1 << iota
	hasLimit
	hasCost
	hasID
	hasName
	hasDurability
	hasOnLost
	hasColdStart
	hasTTL
	hasChecks
)

// checkFields returns the names of the fields of a check.
func checkFields() []string {
	return []string{"key", "limit", "cost", "id", "name", "durability", "on_lost", "cold_start", "ttl_ms"}
}

// decode reads the whole body: the fields of one check, or checks with an array of them.
func (d *decoder) decode() error {
	d.in = single
	if d.peek(); d.at == len(d.data) {
		return d.fail(`the body is empty; want an object such as {"key":"user:42","limit":"100/s"}`)
	}
	one := check{req: bucket.Request{Cost: 1}}
	if err := d.object("the body", func(name []byte) error { return d.bodyField(&one, name) }); err != nil {
		return err
	}
	if err := d.end(); err != nil {
		return err
	}
	switch {
	case d.seen == hasChecks:
		d.many = true
		return validCount(len(d.checks))
	case d.seen&hasChecks != 0:
		return fmt.Errorf("%w: the body has checks and fields of a single check; move those into an entry of checks", transport.ErrRequest)
	}
	d.checks = append(d.checks, one)
	return d.complete(&d.checks[0])
}

// bodyField reads one field of the body, into one where it is that of a check.
func (d *decoder) bodyField(one *check, name []byte) error {
	if string(name) != "checks" {
		return d.checkField(one, name)
	}
	if err := d.once(hasChecks, "checks"); err != nil {
		return err
	}
	body := d.seen
	defer func() { d.seen, d.in = body, single }()
	return d.array("checks", d.item)
}

// item reads the check at index i of checks.
func (d *decoder) item(i int) error {
	if i == MaxChecks {
		return tooMany()
	}
	d.in, d.seen = place(i), 0
	d.checks = append(d.checks, check{req: bucket.Request{Cost: 1}})
	c := &d.checks[i]
	if err := d.object("", func(name []byte) error { return d.checkField(c, name) }); err != nil {
		return err
	}
	return d.complete(c)
}

// complete says which required field of c was missing, or what is wrong with its fields together.
func (d *decoder) complete(c *check) error {
	switch {
	case d.seen&hasKey == 0:
		return missingKey(d.in)
	case d.seen&hasLimit == 0:
		return missingLimit(d.in)
	}
	if d.reserve > 0 {
		if err := d.reserved(c); err != nil {
			return err
		}
	}
	if err := validReserve(d.in, &c.req, c.text); err != nil {
		return err
	}
	return validBurst(d.in, c.req.Cost, limitText{c.req.Limit, c.text})
}

// once notes that an object has the field f, which it may have once.
func (d *decoder) once(f fields, name string) error {
	if d.seen&f != 0 {
		return d.fail("%s comes twice", d.in.of(name))
	}
	d.seen |= f
	return nil
}

// checkField reads the value of one field of a check into c.
func (d *decoder) checkField(c *check, name []byte) (err error) {
	r := &c.req
	switch string(name) {
	case "key":
		return d.text(hasKey, "key", &r.Key, validKey)
	case "id":
		return d.text(hasID, "id", &r.ID, validID)
	case "name":
		return d.text(hasName, "name", &c.name, validName)
	case "limit":
		return d.limit(c)
	case "cost":
		return d.cost(r)
	case "durability":
		return word(d, hasDurability, "durability", &r.Durability, durabilities())
	case "on_lost":
		return word(d, hasOnLost, "on_lost", &r.OnLost, onLosts())
	case "cold_start":
		return word(d, hasColdStart, "cold_start", &r.ColdStart, coldStarts())
	case "ttl_ms":
		return d.ttl(&r.Reserve)
	}
	known := checkFields()
	if d.in == single {
		known = append(known, "checks")
	}
	return unknownField(d.in, string(name), known)
}

// text reads a string into v.
func (d *decoder) text(f fields, name string, v *string, valid func(place, string) error) error {
	if err := d.once(f, name); err != nil {
		return err
	}
	raw, err := d.str(name)
	if err != nil {
		return err
	}
	*v = string(raw)
	return valid(d.in, *v)
}

// limit reads the limit of c.
func (d *decoder) limit(c *check) error {
	if err := d.once(hasLimit, "limit"); err != nil {
		return err
	}
	raw, err := d.str("limit")
	if err != nil {
		return err
	}
	known, err := d.limits.parse(d.in, string(raw))
	c.req.Limit, c.text = known.limit, known.text
	return err
}

// cost reads the cost of r.
func (d *decoder) cost(r *bucket.Request) (err error) {
	if err := d.once(hasCost, "cost"); err != nil {
		return err
	}
	if r.Cost, err = d.integer("cost"); err != nil {
		return err
	}
	return validCost(d.in, r.Cost)
}

// ttl reads how long something is reserved.
func (d *decoder) ttl(v *time.Duration) error {
	if err := d.once(hasTTL, "ttl_ms"); err != nil {
		return err
	}
	ms, err := d.integer("ttl_ms")
	if err != nil {
		return err
	}
	*v = time.Duration(ms) * time.Millisecond
	return validTTL(d.in, ms)
}

// word reads one of known words into v.
func word[T ~uint8](d *decoder, f fields, name string, v *T, known []choice[T]) error {
	if err := d.once(f, name); err != nil {
		return err
	}
	raw, err := d.str(name)
	if err != nil {
		return err
	}
	words := make([]string, len(known))
	for i, k := range known {
		if string(raw) == k.word {
			*v = k.means
			return nil
		}
		words[i] = k.word
	}
	return unknownWord(d.in, name, string(raw), words)
}

// A choice is a word that a field takes.
type choice[T any] struct {
	word  string
	means T
}

func durabilities() []choice[bucket.Durability] {
	return []choice[bucket.Durability]{{"none", bucket.Ephemeral}, {"async", bucket.Async}, {"sync", bucket.Sync}}
}

func onLosts() []choice[bucket.OnLost] {
	return []choice[bucket.OnLost]{{"deny", bucket.Deny}, {"allow", bucket.Allow}, {"share", bucket.Share}}
}

func coldStarts() []choice[bucket.ColdStart] {
	return []choice[bucket.ColdStart]{{"full", bucket.Full}, {"empty", bucket.Empty}}
}

// resetKey reads the body of POST /v1/reset.
func (d *decoder) resetKey() (string, error) {
	var key string
	err := d.object("the body", func(name []byte) error {
		if string(name) != "key" {
			return unknownField(d.in, string(name), []string{"key"})
		}
		return d.text(hasKey, "key", &key, validKey)
	})
	if err == nil {
		err = d.end()
	}
	if err == nil && d.seen&hasKey == 0 {
		err = missingKey(d.in)
	}
	return key, err
}
