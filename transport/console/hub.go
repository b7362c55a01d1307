package console

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

const (
	// linger is how long the members are asked after the last one has looked, so that who reloads the page finds its history.
	linger = 30 * time.Second

	toldKept    = 500              // events
	samplesKept = 300              // of the chart: five minutes, at one a second
	goneFor     = 45 * time.Second // who went is shown for so long
	hotShown    = 50               // keys
	rateOver    = 3 * time.Second  // rates are means over this
	askMost     = 2 * time.Second  // more than the members are waited for
	minGap      = 100 * time.Millisecond
)

// A hub asks the members as long as somebody looks, and tells all who look the same.
type hub struct {
	config Config
	closed <-chan struct{} // closed when nobody may look any more

	mu        sync.Mutex
	listeners int           // guarded by mu
	running   bool          // guarded by mu
	wanted    time.Time     // when somebody looked last; guarded by mu
	more      chan struct{} // closed when there is news; guarded by mu
	state     *State        // with the hot keys; nil before the first; guarded by mu
	serial    uint64        // of state; guarded by mu
	told      []Told        // the last toldKept; guarded by mu
	toldLast  uint64        // number of the newest of told; guarded by mu
	samples   []Sample      // the last samplesKept; guarded by mu

	// What follows belongs to run.
	seen    map[ring.Member]*seen
	holders []ring.Member // of each partition, "" for nobody; nil before the first
	kinds   map[ring.Member]cluster.EventKind
}

// seen is what is known of a member from before.
type seen struct {
	boot    uint64
	after   uint64 // Seq of the last event
	samples []counted
	last    Member
	at      time.Time // when it was last a member
}

type counted struct {
	at time.Time
	d  cluster.Decisions
}

func newHub(c Config, closed <-chan struct{}) *hub {
	return &hub{config: c, closed: closed, more: make(chan struct{}), seen: map[ring.Member]*seen{}, kinds: map[ring.Member]cluster.EventKind{}}
}

// listen notes that one more looks, and says whether there is room. leave is to be called when it does not any more.
func (h *hub) listen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners >= h.config.MaxListeners {
		return false
	}
	h.listeners++
	h.look()
	return true
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners--
	h.wanted = time.Now()
}

// look makes run run, until h is closed or nobody has looked for linger. It is called with mu held.
func (h *hub) look() {
	h.wanted = time.Now()
	if h.running {
		return
	}
	select {
	case <-h.closed:
		return
	default:
	}
	h.running = true
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		h.run(ctx)
	}()
	go func() {
		select {
		case <-h.closed:
			stop()
		case <-ctx.Done():
		}
	}()
}

// needed says whether somebody looks, or has a moment ago; else run is over.
func (h *hub) needed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = h.listeners > 0 || time.Since(h.wanted) < linger
	return h.running
}

// run asks the members again and again, and at once when something has happened.
func (h *hub) run(ctx context.Context) {
	news := make(chan struct{}, 1)
	following, stop := context.WithCancel(ctx)
	var follows sync.WaitGroup
	follows.Go(func() { h.follow(following, news) })
	defer follows.Wait()
	defer stop()
	for ctx.Err() == nil && h.needed() {
		began := time.Now()
		busy := h.ask(ctx)
		wait := h.config.Every
		if busy {
			wait /= 4
		}
		timer := time.NewTimer(max(wait-time.Since(began), minGap))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-news:
			pause := time.NewTimer(minGap) // more mostly follows
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
		timer.Stop()
	}
	if ctx.Err() != nil {
		h.mu.Lock()
		h.running = false
		h.mu.Unlock()
	}
}

// follow makes run ask when the node itself sees something.
func (h *hub) follow(ctx context.Context, news chan<- struct{}) {
	f := h.config.Node.Follow(0)
	for {
		if _, _, err := f.Next(ctx); err != nil {
			return
		}
		select {
		case news <- struct{}{}:
		default:
		}
	}
}

// ask asks all members once and tells what has changed. It says whether partitions move.
func (h *hub) ask(ctx context.Context) (busy bool) {
	status := h.config.Node.Status()
	s := &State{At: time.Now().UTC(), Node: status.Node, Label: status.Label, Ring: status.Ring, Epoch: status.Epoch, Policies: status.Policies}
	ctx, cancel := context.WithTimeout(ctx, askMost)
	defer cancel()
	reports, err := h.config.Node.Reports(ctx, h.question)
	if err != nil {
		h.publish(s, nil)
		return true
	}
	s.Ready = true
	told := h.tell(status.Node, reports)
	h.members(s, status, reports)
	h.wheel(s, reports)
	s.Hot = mergeHot(reports)
	s.HotCount = len(s.Hot)
	h.publish(s, told)
	return s.Moving > 0 || len(s.Moves) > 0
}

// question is what id is asked.
func (h *hub) question(id ring.Member) cluster.Question {
	q := cluster.Question{Hot: hotShown, Holds: true, Events: true}
	if m := h.seen[id]; m != nil {
		q.Boot, q.After = m.boot, m.after
	}
	return q
}

// tell returns what is new: of the membership what self saw, and of partitions what each of the members did.
func (h *hub) tell(self ring.Member, reports []cluster.Report) []Told {
	var told []Told
	for i := range reports {
		r := &reports[i]
		if r.Err != "" {
			continue
		}
		m := h.seen[r.Node]
		if m == nil {
			m = &seen{}
			h.seen[r.Node] = m
		}
		if m.boot != r.Boot {
			m.boot, m.after, m.samples = r.Boot, 0, nil
		}
		for _, ev := range r.Events {
			m.after = ev.Seq
			if ev.Node = r.Node; ev.Kind.IsMembership() {
				if r.Node != self {
					continue
				}
				h.kinds[ev.Member] = ev.Kind
			}
			told = append(told, Told{ev, Sentence(ev)})
		}
	}
	slices.SortStableFunc(told, func(a, b Told) int { return a.At.Compare(b.At) })
	return told
}

// members fills in who there is, and who went a short while ago.
func (h *hub) members(s *State, status cluster.Status, reports []cluster.Report) {
	now := time.Now()
	said := map[ring.Member]*cluster.Report{}
	for i := range reports {
		said[reports[i].Node] = &reports[i]
	}
	here := map[ring.Member]bool{}
	for i := range status.Members {
		of := &status.Members[i]
		here[of.ID] = true
		m := Member{ID: of.ID, Role: of.Role, Self: of.Self, Targets: of.Partitions, Policy: of.Policy, Peer: of.Peer, Gossip: of.Gossip}
		r := said[of.ID]
		if r == nil { // it came between two looks
			r = &cluster.Report{Node: of.ID, Err: "it has just come, or gone", Silent: true}
		}
		known := h.seen[of.ID]
		if known == nil {
			known = &seen{}
			h.seen[of.ID] = known
		}
		if r.Err == "" {
			m.Version, m.Held, m.Wanted, m.Keys, m.Reserved = r.Version, r.Partitions, r.Wanted, r.Keys, r.Reserved
			m.Leases, m.Evicted, m.Uptime, m.Policy = r.Leases, r.Evicted, r.Uptime, r.Policy
			m.Rates, m.Peers = known.rates(now, r.Decisions)
		}
		m.Health, m.Why = health(of, r)
		known.last, known.at = m, now
		s.Rates = s.Rates.plus(m.Rates)
		s.Members = append(s.Members, m)
	}
	for id, known := range h.seen {
		switch {
		case here[id]:
		case now.Sub(known.at) > goneFor:
			delete(h.seen, id)
			delete(h.kinds, id)
		default:
			s.Members = append(s.Members, gone(known.last, h.kinds[id]))
		}
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}

// gone returns m as one who went.
func gone(m Member, kind cluster.EventKind) Member {
	g := Member{ID: m.ID, Role: m.Role, Version: m.Version, Health: Dead, Why: "it is gone without a word", Policy: m.Policy, Peer: m.Peer, Gossip: m.Gossip}
	if kind == cluster.EventLeft || kind == cluster.EventDraining {
		g.Health, g.Why = Left, "it has left"
	}
	return g
}

// health says how a member is, by what the membership and it itself say.
func health(of *cluster.MemberStatus, r *cluster.Report) (Health, string) {
	switch {
	case r.Err != "" && r.Silent:
		return Silent, "it does not answer: " + r.Err
	case r.Err != "":
		return Unknown, r.Err
	case of.Draining:
		return Draining, "it hands over what it holds, and leaves"
	case !r.Ready:
		return Joining, "it is not ready yet"
	case of.Role == cluster.RoleHolder && !r.Deciding:
		return Cut, "too few members hear it, so it does not decide"
	case r.Wanted > 0:
		return Moving, partitions(r.Wanted) + " are on their way to it"
	}
	return Well, ""
}

// rates notes the counts of a member and returns what they are a second.
func (m *seen) rates(now time.Time, d cluster.Decisions) (rates Rates, peers float64) {
	m.samples = append(m.samples, counted{now, d})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= rateOver {
		m.samples = slices.Delete(m.samples, 0, 1)
	}
	from := m.samples[0]
	past := now.Sub(from.at).Seconds()
	if past < 0.05 {
		return Rates{}, 0
	}
	a1, d1, g1 := d.Sum()
	a0, d0, g0 := from.d.Sum()
	per := func(now, then uint64) float64 { return max(float64(now)-float64(then), 0) / past }
	return Rates{per(a1, a0), per(d1, d0), per(g1, g0)}, per(d.Peers.Total(), from.d.Peers.Total())
}

// wheel fills in who holds what.
func (h *hub) wheel(s *State, reports []cluster.Report) {
	members, targets := h.config.Node.Targets()
	s.Partitions = len(targets)
	holders := make([]ring.Member, len(targets))
	for i := range reports {
		r := &reports[i]
		for at, set := range r.Holds {
			for ; set != 0; set &= set - 1 {
				if p := at*8 + bits.TrailingZeros8(set); p < len(holders) {
					holders[p] = r.Node
				}
			}
		}
	}
	h.keepSilent(reports, holders)
	flows, moves := map[Flow]int{}, map[Move]int{}
	for p, at := range targets {
		if int(at) >= len(members) {
			continue
		}
		target, holder := members[at], holders[p]
		flows[Flow{Target: target, Holder: holder}]++
		if holder != target {
			s.Moving++
		}
		if holder == "" {
			s.Unheld++
		}
		if len(h.holders) == len(holders) && h.holders[p] != holder {
			moves[Move{From: h.holders[p], To: holder}]++
		}
	}
	h.holders = holders
	for f, count := range flows {
		f.Count = count
		s.Flows = append(s.Flows, f)
	}
	for m, count := range moves {
		m.Count = count
		s.Moves = append(s.Moves, m)
	}
	slices.SortFunc(s.Flows, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Holder, b.Holder))
	})
	slices.SortFunc(s.Moves, func(a, b Move) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
}

// keepSilent takes those for the holders of what they held who do not say: they are silent, or their version does not tell.
func (h *hub) keepSilent(reports []cluster.Report, holders []ring.Member) {
	quiet := map[ring.Member]bool{}
	for i := range reports {
		if reports[i].Err != "" {
			quiet[reports[i].Node] = true
		}
	}
	if len(quiet) == 0 || len(h.holders) != len(holders) {
		return
	}
	for p, was := range h.holders {
		if holders[p] == "" && quiet[was] {
			holders[p] = was
		}
	}
}

// mergeHot returns the hottest keys of all members together (mergeable summaries: Agarwal et al., PODS 2012).
func mergeHot(reports []cluster.Report) []cluster.HotKey {
	all := map[string]cluster.HotKey{}
	for i := range reports {
		for _, k := range reports[i].Hot {
			sum := all[k.Key]
			all[k.Key] = cluster.HotKey{Key: k.Key, Rate: sum.Rate + k.Rate, Leased: sum.Leased + k.Leased, Denied: sum.Denied + k.Denied}
		}
	}
	hot := make([]cluster.HotKey, 0, len(all))
	for _, k := range all {
		hot = append(hot, k)
	}
	slices.SortFunc(hot, func(a, b cluster.HotKey) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), strings.Compare(a.Key, b.Key))
	})
	return hot[:min(len(hot), hotShown)]
}

// publish makes s the state, and adds told.
func (h *hub) publish(s *State, told []Told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = s
	h.serial++
	h.told = append(h.told, told...)
	h.toldLast += uint64(len(told))
	if over := len(h.told) - toldKept; over > 0 {
		h.told = slices.Delete(h.told, 0, over)
	}
	last := len(h.samples) - 1
	if last < 0 && s.Rates.Sum() > 0 || last >= 0 && s.At.Sub(h.samples[last].At) >= h.config.Every*9/10 {
		h.samples = append(h.samples, Sample{s.At, s.Rates})
	}
	if over := len(h.samples) - samplesKept; over > 0 {
		h.samples = slices.Delete(h.samples, 0, over)
	}
	close(h.more)
	h.more = make(chan struct{})
}
