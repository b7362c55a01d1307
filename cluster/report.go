package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A Question is what a node is asked to say of itself. Its zero value asks for what is always told.
type Question struct {
	// Hot is how many of the hottest keys to tell, 0 to 100.
	Hot int `json:"hot,omitempty"`

	// Holds asks for the partitions that the node holds.
	Holds bool `json:"holds,omitempty"`

	// Events asks for up to 100 events after the one with Seq After of the run Boot, and of another run for its last ones.
	Events bool   `json:"events,omitempty"`
	After  uint64 `json:"after,omitempty"`
	Boot   uint64 `json:"boot,omitempty"`

	// Key, where not empty, asks for what the node knows of that key, and makes it keep the key's decisions for 15 s. Seen is the
	// number of the last Sight that is known already.
	Key  string `json:"key,omitempty"`
	Seen uint64 `json:"seen,omitempty"`
}

const (
	hotMost    = 100
	eventsMost = 100

	// reportWait is how long a node is waited for that is asked to say something of itself.
	reportWait = 500 * time.Millisecond
)

// A Report is what a node says of itself.
type Report struct {
	Node    ring.Member `json:"node"`
	Boot    uint64      `json:"boot,string"` // which run of it
	Version string      `json:"version"`
	Role    Role        `json:"role"`
	Ready   bool        `json:"ready"`

	Deciding   bool          `json:"deciding"`   // false while more than half of the holders do not hear it, and at a gateway
	Members    int           `json:"members"`    // that it knows
	Epoch      string        `json:"epoch"`      // of its ring
	Policy     string        `json:"policy"`     // hash of the one that it goes by
	Uptime     time.Duration `json:"uptime_ns"`  // since Run
	Partitions int           `json:"partitions"` // that it holds
	Wanted     int           `json:"wanted"`     // that it should hold, and does not yet
	Keys       int           `json:"keys"`       // buckets in memory
	Reserved   int           `json:"reserved"`   // reservations, of the keys that it holds
	Evicted    uint64        `json:"evicted"`    // buckets dropped because MaxKeys was reached
	Leases     int64         `json:"leases"`     // that holders have lent it
	Decisions  Decisions     `json:"decisions"`

	Hot    []HotKey   `json:"hot,omitempty"`
	Holds  []byte     `json:"holds,omitempty"` // a bit for each partition, the lowest of the first byte for 0
	Events []Event    `json:"events,omitempty"`
	Lost   int        `json:"lost,omitempty"` // events that were asked for and are not kept any more
	Key    *KeyReport `json:"key,omitempty"`

	// Err says, where it is not empty, why there is nothing but Node: it did not answer, or does not know the question. Silent says
	// that it was the first of these.
	Err    string `json:"error,omitempty"`
	Silent bool   `json:"silent,omitempty"`
}

// A KeyReport is what a node knows of one key.
type KeyReport struct {
	Partition ring.Partition `json:"partition"`
	Holds     bool           `json:"holds"`   // this node decides on it
	Holder    ring.Member    `json:"holder"`  // as far as it knows
	Term      Term           `json:"term"`    // the same
	Replica   bool           `json:"replica"` // it keeps a copy of the bucket

	// Bucket is what the holder has, nil if the bucket is full, or not here.
	Bucket *BucketReport `json:"bucket,omitempty"`

	// Lease is what the node was lent, and Denial what it remembers to be denied; nil for nothing.
	Lease  *LeaseReport  `json:"lease,omitempty"`
	Denial *DenialReport `json:"denial,omitempty"`

	// Seen are its last decisions, the oldest first, since somebody looks at the key: 64 at most.
	Seen []Sight `json:"seen,omitempty"`
}

// A BucketReport is how full a bucket is.
type BucketReport struct {
	Limit string        `json:"limit"`
	Burst int64         `json:"burst"`
	Level int64         `json:"level"`             // tokens
	Full  time.Duration `json:"full_ns"`           // until it is full if nobody asks, bucket.Never for a quota
	Lent  int64         `json:"lent,omitempty"`    // tokens that others may spend
	For   time.Duration `json:"lent_ns,omitempty"` // until when
}

// A LeaseReport is what a node was lent of a key.
type LeaseReport struct {
	Holder ring.Member   `json:"holder"`
	Left   int64         `json:"left"`    // tokens
	For    time.Duration `json:"left_ns"` // until it is over
	Spends uint64        `json:"spends"`  // checks that were admitted by it
}

// A DenialReport is a denial that a node repeats.
type DenialReport struct {
	Holder ring.Member   `json:"holder"`
	Limit  string        `json:"limit"`
	Cost   int64         `json:"cost"`
	For    time.Duration `json:"left_ns"` // until the holder is asked again
}

// Report says of the node what q asks for. Before it has joined that is little.
func (n *Node) Report(q Question) Report {
	s := n.Status()
	r := Report{
		Node: n.name, Boot: n.boot, Version: n.config.Version, Role: s.Role, Ready: s.Ready, Deciding: s.Deciding, Members: len(s.Members),
		Epoch: s.Epoch, Policy: s.Policy, Uptime: s.Uptime, Partitions: s.Partitions, Wanted: s.Wanted, Keys: s.Keys,
		Reserved: s.Reservations, Evicted: s.Evicted, Leases: n.leases.count.Load(), Decisions: n.Decisions(),
	}
	if q.Hot > 0 {
		r.Hot = n.hot.list(min(q.Hot, hotMost))
	}
	if q.Holds && s.Deciding {
		r.Holds = n.holds()
	}
	if q.Events {
		if q.Boot == n.boot {
			r.Events, r.Lost, _ = n.events.after(q.After, eventsMost)
		} else {
			r.Events = n.events.newestOf(eventsMost)
		}
	}
	if q.Key != "" {
		r.Key = n.keyReport(q.Key, q.Seen)
	}
	return r
}

// holds returns a bit for each partition that this node holds.
func (n *Node) holds() []byte {
	bits := make([]byte, (n.core.Partitions+7)/8)
	for p := range n.core.Partitions {
		if n.core.Holds(ring.Partition(p)) {
			bits[p/8] |= 1 << (p % 8)
		}
	}
	return bits
}

// keyReport returns what this node knows of key, and its decisions after number seen. It is nil before the node has joined, and for
// what is no key.
func (n *Node) keyReport(key string, seen uint64) *KeyReport {
	v := n.view.Load()
	if v == nil || bucket.CheckKey(key) != nil {
		return nil
	}
	now, h := n.now(), ring.Hash(key)
	p := v.table.Partition(h)
	k := &KeyReport{Partition: p, Holds: n.core.Holds(p) && n.core.Decides(now)}
	k.Holder, k.Term = n.core.Route(p)
	_, k.Replica = n.replicas.State(now, int(p), key)
	if k.Holds {
		k.Bucket = n.bucketReport(now, p, key)
	}
	if l := n.leases.set(h).find(h, key); l != nil && now < l.Until() {
		k.Lease = &LeaseReport{Left: l.Left(), For: l.Until().Sub(now), Spends: l.spends.Load()}
		if holder := l.holder.Load(); holder != nil {
			k.Lease.Holder = *holder
		}
	}
	if e := n.denials.of(h, key); e != nil && now < e.until && n.current(e) {
		k.Denial = &DenialReport{Holder: e.holder, Limit: e.limit.String(), Cost: e.cost, For: e.until.Sub(now)}
	}
	k.Seen = n.watches.of(now, key).after(now, seen)
	return k
}

// bucketReport returns how full the bucket of key is, nil if it is full.
func (n *Node) bucketReport(now bucket.Instant, p ring.Partition, key string) *BucketReport {
	st, ok := n.store.State(now, int(p), key)
	if !ok {
		return nil
	}
	b := &BucketReport{Limit: st.Limit.String(), Burst: st.Limit.Burst, Lent: st.Lent, For: st.LentFor}
	peek := bucket.Request{Key: key, Limit: st.Limit}
	var d bucket.Decision
	if err := n.store.TakeInto(now, int(p), &peek, &d); err == nil { // else it has just moved
		b.Level, b.Full = d.Remaining, d.ResetAfter
	}
	return b
}

// of returns what is remembered of key, whatever the request.
func (t *denials) of(h uint64, key string) *denial {
	s := t.set(h)
	for i := range s.ways {
		if e := s.ways[i].Load(); e != nil && e.key == key {
			return e
		}
	}
	return nil
}

// report answers a, which asks what this node says of itself.
func (n *Node) report(a *Ask) {
	var q Question
	if err := json.Unmarshal(a.Body, &q); err != nil {
		a.Answer.Status, a.Answer.Reason = Invalid, "the question is not JSON: "+err.Error()
		return
	}
	for {
		body, err := json.Marshal(n.Report(q))
		switch {
		case err != nil:
			a.Answer.Status, a.Answer.Reason = Invalid, err.Error()
		case len(body) > MaxBody && q.Hot > 0: // keys of many bytes
			q.Hot /= 2
			continue
		case len(body) > MaxBody:
			a.Answer.Status, a.Answer.Reason = Invalid, fmt.Sprintf("the report has %d bytes, want at most %d", len(body), MaxBody)
		default:
			a.Answer.Status, a.Answer.Holder, a.Answer.Body = Decided, n.name, body
		}
		return
	}
}

// Reports asks all members q, itself among them, and returns what they say in order of their ids. Who has not answered half a second
// later, or when ctx ends, is there with Err. It returns ErrNotReady before the node has joined.
func (n *Node) Reports(ctx context.Context, q func(ring.Member) Question) ([]Report, error) {
	v := n.view.Load()
	if v == nil {
		return nil, ErrNotReady
	}
	reports := make([]Report, len(v.members))
	var all sync.WaitGroup
	for i, m := range v.members {
		if m.peer == nil {
			reports[i] = n.Report(q(m.ID))
			continue
		}
		all.Go(func() { reports[i] = n.askReport(ctx, m, q(m.ID)) })
	}
	all.Wait()
	slices.SortFunc(reports, func(a, b Report) int { return cmp.Compare(a.Node, b.Node) })
	return reports, nil
}

// askReport asks m.
func (n *Node) askReport(ctx context.Context, m *member, q Question) Report {
	silent := func(err error) Report {
		return Report{Node: m.ID, Role: roleOf(m.Member), Policy: hexadecimal(m.Policy), Err: err.Error(), Silent: true}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return silent(err)
	}
	a := n.newAsk(OpReport)
	a.Body, a.Wait = body, reportWait
	m.peer.Ask(a)
	if err := a.wait(ctx); err != nil {
		return silent(err) // a is the transport's yet
	}
	defer n.free(a)
	switch {
	case a.Err != nil:
		return silent(a.Err)
	case a.Answer.Status != Decided:
		r := silent(fmt.Errorf("it runs a version that does not report: %s", a.Answer.Reason))
		r.Silent = false
		return r
	}
	var r Report
	if err := json.Unmarshal(a.Answer.Body, &r); err != nil {
		return silent(err)
	}
	r.Node, r.Err, r.Silent = m.ID, "", false
	return r
}

// Targets returns how the ring shares out the partitions: the members that it names, and for each partition the index of its target
// among them. It is nil before the node has joined. Both are the caller's.
func (n *Node) Targets() (members []ring.Member, targets []uint16) {
	v := n.view.Load()
	if v == nil {
		return nil, nil
	}
	targets = make([]uint16, n.core.Partitions)
	for p := range targets {
		targets[p] = uint16(max(v.table.TargetIndex(ring.Partition(p)), 0))
	}
	return slices.Clone(v.table.Members()), targets
}
