package metrics

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
)

// The limits that decisions are counted by are those of the policy, and no more than MaxLimits of each way in, as a policy can be
// read anew any number of times. A key is never a label.
const (
	MaxLimits = 200

	AdHoc = "ad-hoc" // a limit that came with its request
	Other = "other"  // those beyond MaxLimits, and those without a name that can be read
)

// Decisions count what was decided, and how long it took, at all ways in to one node. Counting costs some 200 ns a check, none of
// it in the node: the clock is read twice. It is safe for concurrent use.
type Decisions struct {
	self  string // the node's id
	took  *prometheus.HistogramVec
	paths [paths]prometheus.Observer

	mu   sync.Mutex
	ways []*way // guarded by mu
}

// A path is how far a check had to go.
type path uint8

const (
	local     path = iota // decided on this node: held here, lent, or denied by what a holder had said
	forwarded             // decided by another node
	degraded              // decided without a holder
	paths
)

func (p path) String() string { return [...]string{"local", "forwarded", "degraded"}[p] }

// NewDecisions returns counters for the node with the id self.
func NewDecisions(self string) *Decisions {
	d := &Decisions{self: self, took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: checkDuration, Help: checkDurationHelp,
		Buckets: []float64{1e-6, 5e-6, 25e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1},
		// Native ones are what Prometheus reads where it can: finer, and as many buckets as there are sizes.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"path"})}
	for p := range d.paths {
		d.paths[p] = d.took.WithLabelValues(path(p).String())
	}
	return d
}

// Describe implements prometheus.Collector.
func (d *Decisions) Describe(to chan<- *prometheus.Desc) { d.took.Describe(to) }

// Collect implements prometheus.Collector, for the time that checks take.
func (d *Decisions) Collect(to chan<- prometheus.Metric) { d.took.Collect(to) }

// A Limiter decides, and takes tokens back. *cluster.Node is one.
type Limiter interface {
	api.Limiter

	// GiveBack gives r's cost back to its bucket.
	GiveBack(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// Drain takes as much of r's cost as is there.
	Drain(ctx context.Context, r bucket.Request) (bucket.Decision, error)
}

// A way is one way in.
type way struct {
	Limiter
	of    *Decisions
	name  string
	limit func(key string) string

	tallies atomic.Pointer[map[string]*tally] // by limit; replaced, never changed
	adding  sync.Mutex                        // held while it is replaced

	settled [settlements]atomic.Uint64
	given   atomic.Uint64
	failed  sync.Map // from codes to *atomic.Uint64
}

// An outcome is what became of one limit of a request.
type outcome uint8

const (
	allowed   outcome = iota // charged
	denied                   // by this limit
	uncharged                // not denied by this limit and by another of the same request
	outcomes
)

func (o outcome) String() string { return [...]string{"allowed", "denied", "uncharged"}[o] }

// sources is how many bucket.Source there are.
const sources = int(bucket.FromDegraded) + 1

// A tally counts the decisions of one limit.
type tally [outcomes][sources]atomic.Uint64

// A settlement is what became of a reservation.
type settlement uint8

const (
	settled settlement = iota
	renewed
	unknown // there was none, or no more
	settlements
)

func (s settlement) String() string { return [...]string{"settled", "renewed", "unknown"}[s] }

// Limiter returns l, what goes through which is counted as of the way in with that name. limit names the limit of a key, "" if it
// cannot; without it all limits are AdHoc. A name that comes again is the same way in.
func (d *Decisions) Limiter(name string, l Limiter, limit func(key string) string) Limiter {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.ways, func(w *way) bool { return w.name == name }); i >= 0 {
		return d.ways[i]
	}
	w := &way{Limiter: l, of: d, name: name, limit: limit}
	w.tallies.Store(&map[string]*tally{})
	d.ways = append(d.ways, w)
	return w
}

// Check implements api.Limiter.
func (w *way) Check(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	began := time.Now()
	d, err := w.Limiter.Check(ctx, r)
	if err != nil {
		w.fail(err)
		return d, err
	}
	w.of.observe(began, w.of.pathOf(&d))
	w.add(&r, &d, true)
	return d, nil
}

// CheckAll implements api.Limiter.
func (w *way) CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error) {
	began := time.Now()
	ds, err := w.Limiter.CheckAll(ctx, rs)
	if err != nil {
		w.fail(err)
		return ds, err
	}
	far, all := local, true
	for i := range ds {
		far, all = max(far, w.of.pathOf(&ds[i])), all && ds[i].Allowed
	}
	w.of.observe(began, far)
	for i := range min(len(rs), len(ds)) {
		w.add(&rs[i], &ds[i], all)
	}
	return ds, nil
}

// Settle implements api.Limiter.
func (w *way) Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error) {
	said, err := w.Limiter.Settle(ctx, s...)
	if err != nil {
		w.fail(err)
		return said, err
	}
	for i := range min(len(s), len(said)) {
		switch {
		case !said[i].Known:
			w.settled[unknown].Add(1)
		case s[i].Renew > 0:
			w.settled[renewed].Add(1)
		default:
			w.settled[settled].Add(1)
		}
	}
	return said, nil
}

// GiveBack implements Limiter.
func (w *way) GiveBack(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	d, err := w.Limiter.GiveBack(ctx, r)
	if err != nil {
		w.fail(err)
		return d, err
	}
	w.given.Add(1)
	return d, nil
}

// Drain implements Limiter.
func (w *way) Drain(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	began := time.Now()
	d, err := w.Limiter.Drain(ctx, r)
	if errors.Is(err, cluster.ErrOld) {
		return d, err // who asks knows another way
	}
	if err != nil {
		w.fail(err)
		return d, err
	}
	w.of.observe(began, w.of.pathOf(&d))
	w.add(&r, &d, true)
	return d, nil
}

// observe notes how long a check took.
func (d *Decisions) observe(began time.Time, p path) { d.paths[p].Observe(time.Since(began).Seconds()) }

// pathOf returns how far the check went that e answers.
func (d *Decisions) pathOf(e *bucket.Decision) path {
	switch {
	case e.Degraded:
		return degraded
	case e.Source == bucket.FromHolder && e.Node != "" && e.Node != d.self:
		return forwarded
	}
	return local
}

// add counts e, the decision on r; all says whether everything that was asked for with it was allowed. Who asks only how much there
// is takes nothing and is not counted.
func (w *way) add(r *bucket.Request, e *bucket.Decision, all bool) {
	if r.Cost == 0 {
		return
	}
	what, from := allowed, e.Source
	switch {
	case !e.Allowed:
		what = denied
	case !all:
		what = uncharged
	}
	if e.Degraded {
		from = bucket.FromDegraded
	}
	if int(from) < sources {
		w.tally(r.Key)[what][from].Add(1)
	}
}

// tally returns the tally of the limit of key.
func (w *way) tally(key string) *tally {
	limit := AdHoc
	if w.limit != nil {
		if limit = w.limit(key); limit == "" {
			limit = Other
		}
	}
	if t := (*w.tallies.Load())[limit]; t != nil {
		return t
	}
	return w.first(limit)
}

// first returns the tally of a limit that had none.
func (w *way) first(limit string) *tally {
	w.adding.Lock()
	defer w.adding.Unlock()
	all := *w.tallies.Load()
	if all[limit] == nil && len(all) >= MaxLimits {
		limit = Other
	}
	t := all[limit]
	if t == nil {
		more := maps.Clone(all)
		t = new(tally)
		more[strings.Clone(limit)] = t // else it would keep the key that it is a part of
		w.tallies.Store(&more)
	}
	return t
}

// fail counts what was not decided.
func (w *way) fail(err error) {
	code := transport.FailureOf(err).Code.String()
	n, ok := w.failed.Load(code)
	if !ok {
		n, _ = w.failed.LoadOrStore(code, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Totals are all decisions of a node.
type Totals struct{ Allowed, Denied, Degraded uint64 }

// Totals returns how much was decided since NewDecisions: requests to limits that were allowed, that were denied, and those of
// both that were answered without a holder.
func (d *Decisions) Totals() (all Totals) {
	d.each(func(_, _ string, t *tally) {
		for o := range t {
			for s := range t[o] {
				n := t[o][s].Load()
				switch outcome(o) {
				case allowed:
					all.Allowed += n
				case denied:
					all.Denied += n
				default:
					continue // another limit of its request is counted
				}
				if bucket.Source(s) == bucket.FromDegraded {
					all.Degraded += n
				}
			}
		}
	})
	return all
}

// each calls do for each tally, in order.
func (d *Decisions) each(do func(way, limit string, t *tally)) {
	for _, w := range d.list() {
		tallies := *w.tallies.Load()
		for _, limit := range slices.Sorted(maps.Keys(tallies)) {
			do(w.name, limit, tallies[limit])
		}
	}
}

// list returns the ways in.
func (d *Decisions) list() []*way {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ways)
}

// names returns the keys of m, which are strings, in order.
func names(m *sync.Map) (all []string) {
	m.Range(func(name, _ any) bool {
		all = append(all, name.(string))
		return true
	})
	slices.SortFunc(all, cmp.Compare)
	return all
}

const (
	checkDuration     = "noria_check_duration_seconds"
	checkDurationHelp = "Time until a check was decided, by path: local on this node, forwarded to its holder, or degraded without one. Not what it then waited for its turn."
)

// decisionsTable are the metrics of what was decided.
func decisionsTable() []Metric {
	return []Metric{
		counters("noria_decisions_total", "Decisions on requests to limits, by way in, limit of the policy (ad-hoc where it came with the request, other beyond 200), outcome (allowed; denied; uncharged where another limit of the request denied), and source (holder, lease, denial, degraded).",
			[]string{"way", "limit", "outcome", "source"}, func(m *Moment, put put) {
				if m.Decisions == nil {
					return
				}
				m.Decisions.each(func(way, limit string, t *tally) {
					for o := range t {
						for s := range t[o] {
							if n := t[o][s].Load(); n > 0 || outcome(o) != uncharged && bucket.Source(s) == bucket.FromHolder {
								put(float64(n), way, limit, outcome(o).String(), bucket.Source(s).String())
							}
						}
					}
				})
			}),
		counters("noria_check_errors_total", "Requests that were not decided, by way in and gRPC code: Canceled where the client went away, Unavailable where the node is not ready.", []string{"way", "code"}, func(m *Moment, put put) {
			if m.Decisions == nil {
				return
			}
			for _, w := range m.Decisions.list() {
				for _, code := range names(&w.failed) {
					n, _ := w.failed.Load(code)
					put(float64(n.(*atomic.Uint64).Load()), w.name, code)
				}
			}
		}),
		counters("noria_settlements_total", "Settlements of reservations, by way in and what came of them: settled, renewed, or unknown where there was no such reservation any more.", []string{"way", "result"}, func(m *Moment, put put) {
			if m.Decisions == nil {
				return
			}
			for _, w := range m.Decisions.list() {
				for s := range w.settled {
					if n := w.settled[s].Load(); n > 0 || settlement(s) == settled {
						put(float64(n), w.name, settlement(s).String())
					}
				}
			}
		}),
		counters("noria_given_back_total", "Calls that gave tokens back without a reservation, by way in: negative hits of the APIs that have them.", []string{"way"}, func(m *Moment, put put) {
			if m.Decisions == nil {
				return
			}
			for _, w := range m.Decisions.list() {
				if n := w.given.Load(); n > 0 || w.name == "rls" || w.name == "gubernator" {
					put(float64(n), w.name)
				}
			}
		}),
		{Name: checkDuration, Kind: Histogram, Labels: []string{"path"}, Help: checkDurationHelp},
	}
}
