package core

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// simNode is a run of a node, or one that was.
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
	gateway  bool
	drains   time.Duration // since when
	born     time.Duration
	drift    float64
	sees     map[ring.Member]Member
	dirty    bool // a new view is due
	ready    bool // has had all that it should hold
	joined   bool // has met others, or has nobody to join
	deferred []func()
	leases   map[*simKey]*simLease
	tick     func()
	holds    [simPartitions]bool
	missed   time.Duration // since when somebody does not hear it, open if all do
	faults   []span
	kept     [simPartitions]ring.Member // who had the whole replica when the last fault began
	met      map[ring.Member]uint64     // the last run of each node that it has seen

	lately [simPartitions]time.Duration // when it last had a partition when it saved
}

// start starts a node that holds, or a new run of one.
func (s *sim) start(id ring.Member) *simNode { return s.startAs(id, false) }

// startAs starts a node of either role.
func (s *sim) startAs(id ring.Member, gateway bool) *simNode {
	first := len(s.nodes) == 0
	n := &simNode{
		id: id, boot: 1, gateway: gateway, met: map[ring.Member]uint64{}, alive: true, joined: first, born: s.now, missed: open,
		drift: (2*s.rng.Float64() - 1) * driftMost, sees: map[ring.Member]Member{},
		leases: map[*simKey]*simLease{},
	}
	if was := s.nodes[id]; was != nil {
		n.boot = was.boot + 1
	}
	n.store, n.replicas = simStore(), simStore()
	saved, epoch := s.room4saved(n)
	c, err := New(Config{Saved: saved, Epoch: epoch, Founder: first, Gateway: gateway, Self: id, Boot: n.boot, Store: n.store, Replicas: n.replicas, Partitions: simPartitions, Pace: s.pace})
	if err != nil {
		panic(err)
	}
	c.plant = s.plant
	n.core = c
	s.loadSaved(n)
	s.nodes[id] = n
	s.alive = append(s.alive, n)
	slices.SortFunc(s.alive, func(a, b *simNode) int { return strings.Compare(string(a.id), string(b.id)) })
	n.sees[id] = n.member()
	work := func() {
		n.core.Tick(s.clock(n))
		s.flush(n)
	}
	n.tick = func() {
		if n.alive {
			if s.now >= n.paused { // of ticks that were missed one is enough
				work()
			}
			s.after(20*time.Millisecond, n.tick)
		}
	}
	n.tick()
	s.spread(n)
	return n
}

// member returns what n says of itself.
func (n *simNode) member() Member {
	return Member{ID: n.id, Boot: n.boot, Draining: n.draining, Gateway: n.gateway}
}

// end ends n.
func (s *sim) end(n *simNode, refuses bool) {
	n.alive, n.refuses = false, refuses
	s.alive = slices.DeleteFunc(s.alive, func(o *simNode) bool { return o == n })
	for p := range n.holds {
		if n.holds[p] {
			s.last[p] = s.now
		}
	}
	s.regard()
}

func simStore() *bucket.Store {
	s, err := bucket.NewStore(bucket.StoreConfig{Partitions: simPartitions})
	if err != nil {
		panic(err)
	}
	return s
}

// lag is how long gossip takes to tell one node of a change.
func (s *sim) lag() time.Duration { return 50*time.Millisecond + s.upTo(400*time.Millisecond) }

// miss is how long a node takes to miss another one.
func (s *sim) miss() time.Duration { return 1350*time.Millisecond + s.upTo(1800*time.Millisecond) }

// at does what happens at n: now, or when it goes on if it is paused.
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

// spread makes all nodes learn of n, each after a lag, and n of all at once: whom it joins tells it.
func (s *sim) spread(n *simNode) {
	for _, o := range s.alive {
		if o != n {
			s.learn(o, n, s.lag())
			s.learn(n, o, 20*time.Millisecond) // before anybody else hears of it
		}
	}
	s.review(n)
}

// learn makes o see n as it is, in d, unless it can't be reached then.
func (s *sim) learn(o, n *simNode, d time.Duration) {
	s.after(d, func() {
		if !o.alive || !n.alive || s.cuts[[2]ring.Member{n.id, o.id}] {
			return
		}
		if was, ok := o.sees[n.id]; ok && was.Boot > n.boot {
			return
		}
		o.sees[n.id] = n.member()
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
				o.core.Gone(s.clock(o), Run{ID: n.id, Boot: n.boot})
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
		n.met[id] = m.Boot
		if m.Draining || m.Gateway {
			continue
		}
		names = append(names, id)
		if id != n.id {
			others = append(others, id)
		}
	}
	v.Table = s.tables.of(names)
	if len(others) > 0 {
		v.Heirs = s.tables.of(others)
	}
	n.core.View(s.clock(n), v)
	s.regard()
}

// simTables are the rings of all clusters of a test.
type simTables struct {
	mu    sync.Mutex
	made  map[string]*ring.Table // guarded by mu, like what follows
	build *ring.Builder
}

func newTables() *simTables {
	b, err := ring.NewBuilder(ring.Params{Partitions: simPartitions, VirtualNodes: 16, Load: 1.5})
	if err != nil {
		panic(err)
	}
	return &simTables{made: map[string]*ring.Table{}, build: b}
}

// of returns the ring of names.
func (t *simTables) of(names []ring.Member) *ring.Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, n := range names {
		b.WriteString(string(n) + " ")
	}
	if made := t.made[b.String()]; made != nil {
		return made
	}
	made, err := t.build.Table(names)
	if err != nil {
		panic(err)
	}
	t.made[b.String()] = made
	return made
}
