package core

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/cost"
	"github.com/noriahq/noria/ring"
)

// A costLab is cores without faults, of which all messages are counted. Each takes a millisecond, and nodes tick one after
// the other.
type costLab struct {
	t       *testing.T
	rng     *rand.Rand
	now     bucket.Instant
	parts   int
	nodes   []*costNode
	build   *ring.Builder
	due     map[bucket.Instant][]func()
	sent    [kinds]float64 // messages
	bytes   [kinds]float64 // of them and of their answers
	changes float64        // changed buckets
	moved   float64        // partitions in handoffs
	filled  float64        // whole replicas
	table   *ring.Table    // by which all went last
	gained  float64        // nodes that were there and are to have more than before
	keys    []string
	load    float64 // checks a second at each holder
	pace    int     // of all nodes
}

type costNode struct {
	id       ring.Member
	gateway  bool
	draining bool
	core     *Core
	store    *bucket.Store
	mine     []string // keys that it holds
}

const costLimit = time.Millisecond

func newCostLab(t *testing.T, f cost.Fleet) *costLab {
	t.Helper()
	params := ring.Params{Partitions: f.Partitions, VirtualNodes: 64}
	if f.Partitions == cost.Ring {
		params = ring.Params{}
	}
	b, err := ring.NewBuilder(params)
	if err != nil {
		t.Fatal(err)
	}
	l := &costLab{t: t, rng: rand.New(rand.NewPCG(1, 2)), now: bucket.Instant(time.Second), parts: f.Partitions, build: b, pace: cmp.Or(f.Pace, 1<<30), due: map[bucket.Instant][]func(){}}
	for i := range f.Nodes() {
		l.add(i >= f.Holders)
	}
	for i := range int(f.Keys) {
		l.keys = append(l.keys, fmt.Sprintf("user:%08d", i))
	}
	l.views()
	l.pass(3 * time.Second)
	l.deal()
	return l
}

func (l *costLab) add(gateway bool) *costNode {
	l.t.Helper()
	n := &costNode{id: ring.Member(fmt.Sprintf("node-%03d", len(l.nodes))), gateway: gateway}
	stores := [2]*bucket.Store{}
	for i := range stores {
		s, err := bucket.NewStore(bucket.StoreConfig{Partitions: l.parts})
		if err != nil {
			l.t.Fatal(err)
		}
		stores[i] = s
	}
	n.store = stores[0]
	c, err := New(Config{
		Founder: len(l.nodes) == 0, Gateway: gateway, Self: n.id, Boot: 1_700_000_000_000_000_000, Store: stores[0], Replicas: stores[1],
		Partitions: l.parts, Pace: l.pace,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	n.core = c
	l.nodes = append(l.nodes, n)
	return n
}

// views makes all see all.
func (l *costLab) views() {
	l.t.Helper()
	var v View
	var ids []ring.Member
	for _, n := range l.nodes {
		v.Members = append(v.Members, Member{ID: n.id, Boot: n.core.Boot, Draining: n.draining, Gateway: n.gateway})
		if !n.gateway && !n.draining {
			ids = append(ids, n.id)
		}
	}
	table, err := l.build.Table(ids)
	if err != nil {
		l.t.Fatal(err)
	}
	l.gain(table)
	for _, n := range l.nodes {
		own := v
		own.Table = table
		if own.Heirs, err = l.build.Table(slices.DeleteFunc(slices.Clone(ids), func(id ring.Member) bool { return id == n.id })); err != nil {
			l.t.Fatal(err)
		}
		n.core.View(l.now, own)
	}
	for _, n := range l.nodes {
		l.flush(n)
	}
}

// gain counts who was there and is to have more by table.
func (l *costLab) gain(table *ring.Table) {
	more := map[ring.Member]bool{}
	for p := range ring.Partition(l.parts) {
		id := table.Target(p)
		if l.table == nil || l.table.Target(p) == id {
			continue
		}
		if _, was := l.table.Index(id); was {
			more[id] = true
		}
	}
	l.gained, l.table = l.gained+float64(len(more)), table
}

// deal notes who holds which keys.
func (l *costLab) deal() {
	for _, n := range l.nodes {
		n.mine = nil
		for _, key := range l.keys {
			if n.core.Holds(l.part(key)) {
				n.mine = append(n.mine, key)
			}
		}
	}
}

func (l *costLab) part(key string) ring.Partition {
	return ring.Partition(ring.Hash(key) & uint64(l.parts-1))
}

// forget begins to count anew.
func (l *costLab) forget() {
	l.sent, l.bytes, l.changes, l.moved, l.filled, l.gained = [kinds]float64{}, [kinds]float64{}, 0, 0, 0, 0
}

// pass lets time pass, with the load.
func (l *costLab) pass(d time.Duration) {
	const tick = bucket.Instant(20 * time.Millisecond)
	for end := l.now + bucket.Instant(d); l.now < end; l.now += bucket.Instant(costLimit) {
		for _, do := range l.due[l.now] {
			do()
		}
		delete(l.due, l.now)
		for i, n := range l.nodes {
			l.ask(n)
			if (l.now+bucket.Instant(i%20)*bucket.Instant(costLimit))%tick == 0 {
				n.core.Tick(l.now)
				l.flush(n)
			}
		}
	}
}

// ask takes from keys of n what a millisecond brings.
func (l *costLab) ask(n *costNode) {
	if len(n.mine) == 0 || l.load == 0 {
		return
	}
	for each := l.load / 1000; each > 0; each-- {
		if each < 1 && l.rng.Float64() > each {
			return
		}
		key := n.mine[l.rng.IntN(len(n.mine))]
		r := bucket.Request{Key: key, Limit: bucket.Limit{Tokens: 1, Per: time.Hour, Burst: 1_000_000}, Cost: 1}
		if _, err := n.store.Take(l.now, int(l.part(key)), &r); err != nil {
			l.t.Fatal(err)
		}
	}
}

// flush sends what n wants to say.
func (l *costLab) flush(n *costNode) {
	for _, o := range n.core.Outbox() {
		l.count(o.Msg)
		l.after(func() {
			to := l.node(o.To)
			if to == nil {
				l.after(func() { l.done(n, o, nil) })
				return
			}
			r := to.core.Tell(l.now, n.id, o.Msg)
			l.flush(to)
			l.bytes[o.Msg.Kind] += float64(len(r.Append(nil)))
			l.after(func() { l.done(n, o, r) })
		})
	}
}

func (l *costLab) done(n *costNode, o Out, r *Reply) {
	n.core.Done(l.now, o, r)
	l.flush(n)
}

func (l *costLab) after(do func()) {
	at := l.now + bucket.Instant(costLimit)
	l.due[at] = append(l.due[at], do)
}

func (l *costLab) node(id ring.Member) *costNode {
	for _, n := range l.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (l *costLab) count(m *Message) {
	l.sent[m.Kind]++
	l.bytes[m.Kind] += float64(len(m.Append(nil)))
	for i := range m.Parts {
		p := &m.Parts[i]
		l.changes += float64(len(p.Changes))
		if p.Chunks > 0 && p.Chunk == 0 {
			switch m.Kind {
			case Handoff:
				l.moved++
			case Replicate:
				l.filled++
			default:
			}
		}
	}
}
