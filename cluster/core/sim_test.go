package core

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A sim is a cluster in one goroutine: cores of the nodes, a network that delays, loses, repeats and reorders, membership
// that lags, clocks that drift, and faults. All that happens follows from its seed.
type sim struct {
	rng    *rand.Rand
	kind   scenario
	plant  plant
	now    time.Duration // true time
	events events
	order  int
	tables map[string]*ring.Table
	build  *ring.Builder

	nodes map[ring.Member]*simNode // by name; those that are gone too
	keys  []*simKey
	cuts  map[[2]ring.Member]bool // from, to
	net   network

	asked, answered, degraded, allowed int
	dead                               int // hosts that died
	faults                             []string
	quiet                              time.Duration // when the last fault was
	failure                            error
}

// network is how messages travel.
type network struct {
	delay       time.Duration // mean one way
	spike       float64       // share of messages that take up to 60 times as long
	loss, twice float64
}

// simNode is a node, or one that was.
type simNode struct {
	id       ring.Member
	boot     uint64
	core     *Core
	store    *bucket.Store
	replicas *bucket.Store
	alive    bool
	refuses  bool // its address refuses connections, since it died
	paused   time.Duration
	draining bool
	born     time.Duration
	drift    float64
	sees     map[ring.Member]Member
	dirty    bool // a new view is due
	ready    bool // has had all that it should hold
	joined   bool // has met others, or has nobody to join
	deferred []func()
}

// simKey is a key, with the judge of what is admitted for it.
type simKey struct {
	name  string
	part  ring.Partition
	limit bucket.Limit
	judge judge
}

const (
	simPartitions = 16
	driftMost     = 100e-6 // of a clock
	patience      = 250 * time.Millisecond
	tellWait      = 200 * time.Millisecond
)

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// after makes do happen in d.
func (s *sim) after(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.events, event{s.now + d, s.order, do})
}

// run lets time pass until then.
func (s *sim) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until && s.failure == nil {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.do()
	}
	s.now = until
}

func (s *sim) fail(format string, args ...any) {
	if s.failure == nil {
		s.failure = fmt.Errorf("at %v: %s", s.now, fmt.Sprintf(format, args...))
	}
}

// clock is what n's clock says.
func (s *sim) clock(n *simNode) bucket.Instant {
	return bucket.Instant(float64(s.now-n.born)*(1+n.drift)) + bucket.Instant(time.Second)
}

// start starts a node, or a new run of one.
func (s *sim) start(id ring.Member) *simNode {
	n := &simNode{id: id, boot: 1, alive: true, born: s.now, drift: (2*s.rng.Float64() - 1) * driftMost, sees: map[ring.Member]Member{}}
	if was := s.nodes[id]; was != nil {
		n.boot = was.boot + 1
	}
	n.store, n.replicas = simStore(), simStore()
	c, err := New(Config{Founder: len(s.nodes) == 0, Self: id, Boot: n.boot, Store: n.store, Replicas: n.replicas, Partitions: simPartitions})
	if err != nil {
		panic(err)
	}
	c.plant = s.plant
	n.core = c
	n.joined = len(s.nodes) == 0
	s.nodes[id] = n
	n.sees[id] = Member{ID: id, Boot: n.boot}
	s.tick(n)
	s.spread(n, s.lag)
	return n
}

func simStore() *bucket.Store {
	s, err := bucket.NewStore(bucket.StoreConfig{Partitions: simPartitions})
	if err != nil {
		panic(err)
	}
	return s
}

// lag is how long gossip takes to tell one node of a change.
func (s *sim) lag() time.Duration {
	return 50*time.Millisecond + time.Duration(s.rng.Int64N(int64(400*time.Millisecond)))
}

// miss is how long a node takes to miss another one.
func (s *sim) miss() time.Duration {
	return 2400*time.Millisecond + time.Duration(s.rng.Int64N(int64(2*time.Second)))
}

// tick makes n's core tick until it dies.
func (s *sim) tick(n *simNode) {
	if !n.alive {
		return
	}
	s.at(n, func() {
		n.core.Tick(s.clock(n))
		s.flush(n)
	})
	s.after(20*time.Millisecond, func() { s.tick(n) })
}

// at does what happens at n: now, or when it goes on if it is paused. Of ticks that were missed one is enough.
func (s *sim) at(n *simNode, do func()) {
	switch {
	case !n.alive:
	case s.now < n.paused:
		if len(n.deferred) < 5000 {
			n.deferred = append(n.deferred, do)
		}
	default:
		do()
	}
}

// spread makes all nodes learn of n, and n of all, each after a lag.
func (s *sim) spread(n *simNode, lag func() time.Duration) {
	for _, id := range keysOf(s.nodes) {
		if o := s.nodes[id]; o != n && o.alive {
			s.learn(o, n, lag())
			s.learn(n, o, lag())
		}
	}
	s.review(n)
}

// learn makes o see n as it is, in d, unless it can't be reached then.
func (s *sim) learn(o, n *simNode, d time.Duration) {
	s.after(d, func() {
		if !o.alive || !n.alive || s.cuts[[2]ring.Member{n.id, o.id}] || s.nodes[n.id] != n {
			return
		}
		if was, ok := o.sees[n.id]; ok && was.Boot > n.boot {
			return
		}
		o.sees[n.id] = Member{ID: n.id, Boot: n.boot, Draining: n.draining}
		s.review(o)
	})
}

// unlearn makes o not see that run of n any more, in d, if it cannot be reached then.
func (s *sim) unlearn(o, n *simNode, d time.Duration, gone bool) {
	s.after(d, func() {
		reached := n.alive && s.now >= n.paused && !s.cuts[[2]ring.Member{n.id, o.id}] && !s.cuts[[2]ring.Member{o.id, n.id}]
		if was, ok := o.sees[n.id]; !o.alive || reached || !ok || was.Boot != n.boot {
			return
		}
		delete(o.sees, n.id)
		s.at(o, func() {
			s.view(o)
			if gone {
				o.core.Gone(s.clock(o), Run{n.id, n.boot})
			}
			s.flush(o)
		})
	})
}

// review gives n a view of what it sees, once that has settled.
func (s *sim) review(n *simNode) {
	if n.dirty {
		return
	}
	n.dirty = true
	s.after(75*time.Millisecond, func() {
		n.dirty = false
		s.at(n, func() {
			s.view(n)
			s.flush(n)
		})
	})
}

// view tells n's core what it sees.
func (s *sim) view(n *simNode) {
	n.joined = n.joined || len(n.sees) > 1
	if !n.joined {
		return
	}
	var v View
	var names, others []ring.Member
	for _, id := range keysOf(n.sees) {
		m := n.sees[id]
		v.Members = append(v.Members, m)
		if m.Draining {
			continue
		}
		names = append(names, id)
		if id != n.id {
			others = append(others, id)
		}
	}
	v.Table = s.table(names)
	if len(others) > 0 {
		v.Heirs = s.table(others)
	}
	n.core.View(s.clock(n), v)
}

// table returns the ring of names.
func (s *sim) table(names []ring.Member) *ring.Table {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(string(n) + " ")
	}
	if t := s.tables[b.String()]; t != nil {
		return t
	}
	t, err := s.build.Table(names)
	if err != nil {
		panic(err)
	}
	s.tables[b.String()] = t
	return t
}

// travel returns how long a message takes, and whether it arrives.
func (s *sim) travel(from, to ring.Member) (time.Duration, bool) {
	d := s.net.delay/2 + time.Duration(s.rng.Int64N(int64(s.net.delay)+1))
	if s.rng.Float64() < s.net.spike {
		d *= time.Duration(1 + s.rng.IntN(60))
	}
	return d, s.rng.Float64() >= s.net.loss && !s.cuts[[2]ring.Member{from, to}]
}

// flush sends what n's core wants to send.
func (s *sim) flush(n *simNode) {
	for _, o := range n.core.Outbox() {
		s.deliver(n, o)
	}
}

// deliver takes a message there and its answer back.
func (s *sim) deliver(n *simNode, o Out) {
	to := s.nodes[o.To]
	done := false
	finish := func(r *Reply) {
		s.at(n, func() {
			if !done {
				done = true
				n.core.Done(s.clock(n), o, r)
				s.flush(n)
			}
		})
	}
	d, ok := s.travel(n.id, o.To)
	if !to.alive && to.refuses {
		s.after(2*d, func() { finish(nil) })
		return
	}
	s.after(tellWait, func() { finish(nil) })
	arrive := func() {
		s.at(to, func() {
			r := to.core.Tell(s.clock(to), n.id, s.wired(o.Msg))
			s.flush(to)
			if back, ok := s.travel(o.To, n.id); ok {
				s.after(back, func() { finish(s.wiredReply(r)) })
			}
		})
	}
	if ok {
		s.after(d, arrive)
	}
	if s.rng.Float64() < s.net.twice {
		d, _ := s.travel(n.id, o.To)
		s.after(d+time.Duration(s.rng.Int64N(int64(2*time.Second))), arrive)
	}
}

// living returns the nodes that are alive, in order.
func (s *sim) living() []*simNode {
	var nodes []*simNode
	for _, id := range keysOf(s.nodes) {
		if n := s.nodes[id]; n.alive {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// some returns one of nodes.
func some[T any](s *sim, of []T) T { return of[s.rng.IntN(len(of))] }

// holders returns who decides on p now.
func (s *sim) holders(p ring.Partition) (ids []ring.Member) {
	for _, n := range s.living() {
		if n.core.parts[p].state == holding && n.core.Decides(s.clock(n)) {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// stuck returns what is wrong with the cluster once all has calmed down.
func (s *sim) stuck() error {
	for p := range ring.Partition(simPartitions) {
		if ids := s.holders(p); len(ids) != 1 {
			return fmt.Errorf("partition %d is held by %v at the end:%s", p, ids, s.describe(p))
		}
	}
	for _, n := range s.living() {
		if w := n.core.Wants(); w > 0 {
			return fmt.Errorf("%s still wants %d partitions at the end", n.id, w)
		}
	}
	return nil
}

// describe tells what each node knows of p.
func (s *sim) describe(p ring.Partition) string {
	var b strings.Builder
	for _, n := range s.living() {
		if n.core.table == nil {
			continue
		}
		q := n.core.parts[p]
		fmt.Fprintf(&b, "\n  %s/%d: state %d term %d mine %d holder %q expect %q to %q copy %d heir %q, target %q, members %v settled %v decides %v",
			n.id, n.boot, q.state, q.term, q.mine, q.holder, q.expect, q.to, q.copy, q.heir, n.core.table.Target(p), n.core.ids(),
			keysOf(n.core.settled), n.core.Decides(s.clock(n)))
	}
	return b.String()
}

func (s *sim) note(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf("%8v %s", s.now.Round(time.Millisecond), fmt.Sprintf(format, args...)))
	s.quiet = s.now
}

// names of nodes that may join.
func (s *sim) spare() ring.Member {
	for i := range 26 {
		id := ring.Member(rune('a' + i))
		if s.nodes[id] == nil {
			return id
		}
	}
	return ""
}

// wired returns msg as it comes out of the wire.
func (s *sim) wired(msg *Message) *Message {
	got, err := ReadMessage(msg.Append(nil))
	if err != nil {
		s.fail("%+v: %v", msg, err)
	}
	return got
}

// wiredReply returns r as it comes out of the wire.
func (s *sim) wiredReply(r *Reply) *Reply {
	got, err := ReadReply(r.Append(nil))
	if err != nil {
		s.fail("%+v: %v", r, err)
	}
	return got
}
