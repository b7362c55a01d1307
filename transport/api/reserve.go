package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// How long a reservation is kept that does not say.
const (
	reserveFor = time.Minute
	acquireFor = 10 * time.Second
)

// reserve answers POST /v1/reserve: a check whose cost is settled later, by its id, within ttl_ms, or a minute.
func (h *handler) reserve(w http.ResponseWriter, r *http.Request, k *work) error {
	return h.book(w, r, k, reserveFor)
}

// acquire answers POST /v1/acquire: a reservation of a limit such as "concurrency 20", which is kept for ttl_ms, or 10 seconds,
// and for as long again with each request under the same id.
func (h *handler) acquire(w http.ResponseWriter, r *http.Request, k *work) error {
	return h.book(w, r, k, acquireFor)
}

// book reads checks that reserve, for a while where they do not say for how long, and answers them.
func (h *handler) book(w http.ResponseWriter, r *http.Request, k *work, ttl time.Duration) error {
	d := &k.decoder
	*d = decoder{scanner: scanner{data: k.body}, limits: h.limits, checks: d.checks[:0], reserve: ttl, slots: ttl == acquireFor}
	if err := d.decode(); err != nil {
		return err
	}
	return h.decide(w, r, k)
}

// reserved makes c a check that reserves, as the path says.
func (d *decoder) reserved(c *check) error {
	r := &c.req
	switch {
	case r.Cost == 0:
		return fmt.Errorf("%w: %s is 0; want the tokens to reserve", bucket.ErrCost, d.in.of("cost"))
	case d.slots && r.Limit.Window != bucket.Concurrency:
		return fmt.Errorf(`%w: %s is %q; want one such as "concurrency 20"`, bucket.ErrReserve, d.in.of("limit"), c.text)
	case r.Reserve == 0:
		r.Reserve = d.reserve
	}
	return nil
}

// settle answers POST /v1/settle.
func (h *handler) settle(w http.ResponseWriter, r *http.Request, k *work) error {
	return h.bill(w, r, k, true)
}

// cancel answers POST /v1/cancel and POST /v1/release: a settlement for 0.
func (h *handler) cancel(w http.ResponseWriter, r *http.Request, k *work) error {
	return h.bill(w, r, k, false)
}

// bill reads a settlement, which says its cost or not, and answers it.
func (h *handler) bill(w http.ResponseWriter, r *http.Request, k *work, costs bool) error {
	d := &k.decoder
	*d = decoder{scanner: scanner{data: k.body, in: single}, limits: h.limits, checks: d.checks[:0]}
	s, err := d.settlement(costs)
	if err != nil {
		return err
	}
	said, err := h.limiter.Settle(r.Context(), s)
	if err != nil {
		return err
	}
	if len(said) != 1 {
		return fmt.Errorf("%d answers to one settlement", len(said))
	}
	k.out = appendSettled(k.out[:0], &said[0])
	writeJSON(w, http.StatusOK, k.out)
	return nil
}

// appendSettled appends the body of an answer of POST /v1/settle.
func appendSettled(b []byte, s *bucket.Settled) []byte {
	b = append(b, `{"known":`...)
	b = strconv.AppendBool(b, s.Known)
	b = append(b, `,"reserved":`...)
	b = strconv.AppendInt(b, s.Reserved, 10)
	b = append(b, `,"charged":`...)
	b = strconv.AppendInt(b, s.Charged, 10)
	return append(b, "}\n"...)
}

// settlement reads the body of POST /v1/settle, or without costs that of POST /v1/cancel.
func (d *decoder) settlement(costs bool) (bucket.Settlement, error) {
	var r bucket.Request
	known := []string{"key", "id"}
	if costs {
		known = append(known, "cost", "ttl_ms")
	}
	err := d.object("the body", func(name []byte) error {
		switch field := string(name); {
		case field == "key":
			return d.text(hasKey, "key", &r.Key, validKey)
		case field == "id":
			return d.text(hasID, "id", &r.ID, validID)
		case field == "cost" && costs:
			return d.cost(&r)
		case field == "ttl_ms" && costs:
			return d.ttl(&r.Reserve)
		default:
			return unknownField(d.in, field, known)
		}
	})
	if err == nil {
		err = d.end()
	}
	s := bucket.Settlement{Key: r.Key, ID: r.ID, Cost: r.Cost, Renew: r.Reserve}
	switch {
	case err != nil:
		return s, err
	case d.seen&hasKey == 0:
		return s, missingKey(d.in)
	case s.ID == "":
		return s, fmt.Errorf("%w: id is missing; want the one with which it was reserved", bucket.ErrID)
	case costs && d.seen&(hasCost|hasTTL) == 0:
		return s, fmt.Errorf("%w: cost is missing; want the tokens that it came to, or ttl_ms to keep it for so long", transport.ErrRequest)
	case d.seen&hasCost != 0 && d.seen&hasTTL != 0:
		return s, fmt.Errorf("%w: the body has cost, which settles, and ttl_ms, which keeps; want one of them", transport.ErrRequest)
	}
	return s, nil
}

// readSettlements makes settlements of ms.
func readSettlements(ms []*pb.Settlement) ([]bucket.Settlement, error) {
	if n := len(ms); n == 0 || n > MaxChecks {
		return nil, fmt.Errorf("%w: %d settlements; want 1 to %d", transport.ErrRequest, n, MaxChecks)
	}
	all := make([]bucket.Settlement, len(ms))
	for i, m := range ms {
		all[i] = bucket.Settlement{Key: m.GetKey(), ID: m.GetId(), Cost: m.GetCost(), Renew: time.Duration(m.GetRenewNs())}
		if err := all[i].Check(); err != nil {
			return nil, fmt.Errorf("settlements[%d]: %w", i, err)
		}
	}
	return all, nil
}
