package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A lab is a few cores without faults, lag or delay, for tests of one rule: what they send arrives at the next step, unless it is held
// back. All have one clock.
type lab struct {
	t      *testing.T
	now    bucket.Instant
	tables *simTables
	cores  map[ring.Member]*Core
	sees   map[ring.Member][]Member
	drop   func(from, to ring.Member, m *Message) bool // of messages; nil drops none
	lose   func(from, to ring.Member, m *Message) bool // of messages whose answers get lost; nil loses none
	sent   []string                                    // what was sent, but for beats
	most   int                                         // bytes of the largest message or reply
}

// newLab starts nodes that see each other.
func newLab(t *testing.T, ids ...ring.Member) *lab {
	t.Helper()
	l := &lab{t: t, now: bucket.Instant(time.Second), tables: newTables(), cores: map[ring.Member]*Core{}, sees: map[ring.Member][]Member{}}
	for i, id := range ids {
		l.start(id, i == 0)
	}
	l.see(ids...)
	l.settle()
	return l
}

// start starts a node: a gateway if its name is a capital letter.
func (l *lab) start(id ring.Member, founder bool) *Core {
	l.t.Helper()
	c, err := New(Config{Founder: founder, Gateway: isGate(id), Self: id, Boot: 1, Store: simStore(), Replicas: simStore(), Partitions: simPartitions})
	if err != nil {
		l.t.Fatal(err)
	}
	l.cores[id] = c
	return c
}

func isGate(id ring.Member) bool { return id[0] >= 'A' && id[0] <= 'Z' }

// see makes those nodes see each other and nobody else. Names with a - before them leave.
func (l *lab) see(ids ...ring.Member) {
	l.t.Helper()
	var members []Member
	for _, id := range ids {
		name := ring.Member(strings.TrimPrefix(string(id), "-"))
		members = append(members, Member{ID: name, Boot: 1, Draining: name != id, Gateway: isGate(name)})
	}
	for _, m := range members {
		l.sees[m.ID] = members
		l.view(m.ID)
	}
}

// view tells a node what it sees.
func (l *lab) view(self ring.Member) {
	l.t.Helper()
	v := View{Members: l.sees[self]}
	var names, others []ring.Member
	for _, m := range v.Members {
		if m.Draining || m.Gateway {
			continue
		}
		names = append(names, m.ID)
		if m.ID != self {
			others = append(others, m.ID)
		}
	}
	slices.Sort(names)
	slices.Sort(others)
	v.Table = l.tables.of(names)
	if len(others) > 0 {
		v.Heirs = l.tables.of(others)
	}
	l.cores[self].View(l.now, v)
}

// pass lets time pass in ticks.
func (l *lab) pass(d time.Duration) {
	for end := l.now + bucket.Instant(d); l.now < end; l.now += bucket.Instant(20 * time.Millisecond) {
		for _, id := range keysOf(l.cores) {
			l.cores[id].Tick(l.now)
		}
		l.exchange()
	}
}

// settle lets enough time pass for all that is due.
func (l *lab) settle() { l.pass(3 * time.Second) }

// exchange takes all messages there and their answers back, until there are no more.
func (l *lab) exchange() {
	for more := true; more; {
		more = false
		for _, id := range keysOf(l.cores) {
			for _, o := range l.cores[id].Outbox() {
				more = true
				l.carry(id, o)
			}
		}
	}
}

func (l *lab) carry(from ring.Member, o Out) {
	to := l.cores[o.To]
	if o.Msg.Kind != Beat {
		l.sent = append(l.sent, fmt.Sprintf("%s to %s: %s", from, o.To, o.Msg.Kind.name()))
	}
	if to == nil || l.drop != nil && l.drop(from, o.To, o.Msg) {
		l.cores[from].Done(l.now, o, nil)
		return
	}
	b := o.Msg.Append(nil)
	msg, err := ReadMessage(b)
	if err != nil {
		l.t.Fatal(err)
	}
	r := to.Tell(l.now, from, msg).Append(nil)
	l.most = max(l.most, len(b), len(r))
	if l.lose != nil && l.lose(from, o.To, o.Msg) {
		l.cores[from].Done(l.now, o, nil)
		return
	}
	reply, err := ReadReply(r)
	if err != nil {
		l.t.Fatal(err)
	}
	l.cores[from].Done(l.now, o, reply)
}

// name returns what k is called in the transcripts of tests.
func (k Kind) name() string {
	return [...]string{"do you hear me?", "who has these?", "these are yours", "send me your replicas", "keep these replicas", "drop these replicas"}[k]
}

// cut makes the nodes see only who is on their side, and hear nobody else.
func (l *lab) cut(sides ...[]ring.Member) {
	side := map[ring.Member]int{}
	for i, ids := range sides {
		for _, id := range ids {
			side[id] = i
		}
	}
	l.drop = func(from, to ring.Member, _ *Message) bool { return side[from] != side[to] }
}

// holders tells who decides on each partition, as one line: "a a b - c": nobody on the fourth.
func (l *lab) holders() string {
	var b strings.Builder
	for p := range simPartitions {
		who := ""
		for _, id := range keysOf(l.cores) {
			if c := l.cores[id]; c.parts[p].state == holding && c.Decides(l.now) {
				who += string(id)
			}
		}
		if who == "" {
			who = "-"
		}
		b.WriteString(who)
	}
	return b.String()
}

// count returns how many partitions each node decides on, as "a:3 b:2".
func (l *lab) count() string {
	var of []string
	for _, id := range keysOf(l.cores) {
		c := l.cores[id]
		held := 0
		if c.Decides(l.now) {
			held = c.Held()
		}
		of = append(of, fmt.Sprintf("%s:%d", id, held))
	}
	return strings.Join(of, " ")
}

// take takes tokens of a key at whoever decides on its partition, and says whether it was allowed.
func (l *lab) take(part int, key string, cost int64) bool {
	l.t.Helper()
	for _, id := range keysOf(l.cores) {
		c := l.cores[id]
		if c.parts[part].state != holding || !c.Decides(l.now) {
			continue
		}
		d, err := c.Store.Take(l.now, part, &bucket.Request{Key: key, Limit: bucket.Limit{Burst: 10}, Cost: cost})
		if err != nil {
			l.t.Fatal(err)
		}
		return d.Allowed
	}
	l.t.Fatalf("nobody decides on partition %d", part)
	return false
}
