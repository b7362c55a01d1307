package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/client"
)

// A fleet is what a client talks to: nodes that share one store, by the real API.
type fleet struct {
	t     *testing.T
	store *bucket.Store
	start time.Time
	nodes map[string]*node

	mu    sync.Mutex
	asked []bucket.Request // guarded by mu
}

// A node of a fleet is an api.Limiter.
type node struct {
	*fleet
	addr     string
	door     *bufconn.Listener
	server   *grpc.Server
	stopping chan struct{}
	blocked  chan struct{} // checks wait until it is closed; nil: they do not
	messages atomic.Int64  // that came
}

func newFleet(t *testing.T, addrs ...string) *fleet {
	t.Helper()
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, store: store, start: time.Now(), nodes: map[string]*node{}}
	for _, addr := range addrs {
		f.add(addr)
	}
	return f
}

// add starts a node.
func (f *fleet) add(addr string) *node {
	n := &node{fleet: f, addr: addr, door: bufconn.Listen(64 << 10), stopping: make(chan struct{})}
	n.server = api.NewGRPC(n, api.Config{Stopping: n.stopping}, grpc.StatsHandler(n))
	f.mu.Lock()
	f.nodes[addr] = n
	f.mu.Unlock()
	served := make(chan error, 1)
	go func() { served <- n.server.Serve(n.door) }()
	f.t.Cleanup(func() {
		n.server.Stop()
		if err := <-served; err != nil {
			f.t.Errorf("%s: %v", addr, err)
		}
	})
	return n
}

// client returns a client of all nodes, addrs first that need not be there.
func (f *fleet) client(more ...string) *client.Client {
	f.t.Helper()
	targets := more
	for addr := range f.nodes {
		targets = append(targets, addr)
	}
	c, err := client.New(client.Config{Targets: targets, MaxInFlight: 5000, DialOptions: []grpc.DialOption{grpc.WithContextDialer(f.dial)}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

func (f *fleet) dial(ctx context.Context, addr string) (net.Conn, error) {
	f.mu.Lock()
	n := f.nodes[addr]
	f.mu.Unlock()
	if n == nil {
		return nil, errors.New("nobody is there")
	}
	return n.door.DialContext(ctx)
}

func (f *fleet) now() bucket.Instant { return bucket.Instant(time.Since(f.start)) }

func (n *node) Settle(_ context.Context, all ...bucket.Settlement) ([]bucket.Settled, error) {
	said := make([]bucket.Settled, len(all))
	for i := range all {
		var err error
		if said[i], err = n.store.Settle(n.now(), 0, &all[i]); err != nil {
			return nil, err
		}
	}
	return said, nil
}

func (n *node) Check(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	all, err := n.CheckAll(ctx, []bucket.Request{r})
	if err != nil {
		return bucket.Decision{}, err
	}
	return all[0], nil
}

func (n *node) CheckAll(_ context.Context, rs []bucket.Request) (bucket.Decisions, error) {
	if n.blocked != nil {
		<-n.blocked
	}
	n.mu.Lock()
	n.asked = append(n.asked, rs...)
	n.mu.Unlock()
	items := make([]bucket.Item, len(rs))
	for i := range rs {
		items[i].Request = &rs[i]
	}
	if _, err := n.store.TakeAll(n.now(), items, false); err != nil {
		return nil, err
	}
	all := make(bucket.Decisions, len(rs))
	for i := range items {
		all[i] = items[i].Decision
		all[i].Node = n.addr
	}
	return all, nil
}

func (n *node) Reset(_ context.Context, key string) error { return n.store.Reset(0, key) }
func (n *node) Status() cluster.Status                    { return cluster.Status{Ready: true} }

func (n *node) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (n *node) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (n *node) HandleConn(context.Context, stats.ConnStats)                       {}
func (n *node) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, is := s.(*stats.InPayload); is {
		n.messages.Add(1)
	}
}

func limit(t testing.TB, text string) bucket.Limit {
	t.Helper()
	l, err := bucket.ParseLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Every field of a request comes to the node as it was asked, and every field of its decision back.
func TestFields(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1")
		c := f.client()
		want := []bucket.Request{
			{Key: "a", Limit: limit(t, "100/s burst 200 queue 50"), Cost: 7, ID: "id", OnLost: bucket.Deny, Durability: bucket.Sync, ColdStart: bucket.Empty},
			{Key: "b", Limit: limit(t, "quota 10000 per month in Europe/Berlin"), Cost: 0, OnLost: bucket.Allow, Durability: bucket.Ephemeral},
			{Key: "c", Limit: limit(t, "window 100 per 1m"), Cost: 1},
			{Key: "d", Limit: limit(t, "quota 5"), Cost: 5},
		}
		for _, text := range []string{"quota 1 per hour", "quota 1 per day", "quota 1 per week", "quota 1 per year"} {
			want = append(want, bucket.Request{Key: text, Limit: limit(t, text), Cost: 1})
		}
		got, err := c.CheckAll(t.Context(), want)
		if err != nil || len(got) != len(want) || !got[0].Allowed || got[0].Remaining != 193 || got[0].Node != "a:1" {
			t.Fatalf("CheckAll = %+v, %v", got, err)
		}
		if fmt.Sprint(f.asked) != fmt.Sprint(want) {
			t.Errorf("the node was asked\n%+v, want\n%+v", f.asked, want)
		}
		d, err := c.Check(t.Context(), want[3])
		if err != nil || d.Allowed || d.RetryAfter != bucket.Never || d.ResetAfter != bucket.Never || d.Source != bucket.FromHolder {
			t.Errorf("Check of a spent quota = %+v, %v", d, err)
		}
		if err := c.Reset(t.Context(), "d"); err != nil {
			t.Error(err)
		}
		if d, err := c.Peek(t.Context(), "d", want[3].Limit); err != nil || d.Remaining != 5 {
			t.Errorf("Peek after Reset = %+v, %v, want 5 there", d, err)
		}
	})
}

// Checks that are made at once share messages, are each decided on once, and get each its own answer.
func TestBatches(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1")
		c := f.client()
		const callers, each = 100, 50
		var allowed atomic.Int64
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				for k := range each {
					r := bucket.Request{Key: "k", Limit: limit(t, "quota 1000"), Cost: 1}
					own := bucket.Request{Key: fmt.Sprint(i, " ", k, " ", strings.Repeat("x", 400)), Limit: limit(t, fmt.Sprint("quota ", k+1)), Cost: 1}
					got, err := c.CheckAll(t.Context(), []bucket.Request{own})
					if err != nil || got[0].Remaining != int64(k) {
						t.Errorf("check of an own key = %+v, %v, want %d left", got, err, k)
					}
					d, err := c.Check(t.Context(), r)
					if err != nil {
						t.Error(err)
					}
					if d.Allowed {
						allowed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if got := allowed.Load(); got != 1000 {
			t.Errorf("%d of 5000 allowed, want 1000", got)
		}
		asks, messages := int64(2*callers*each), f.nodes["a:1"].messages.Load()
		if t.Logf("%d asks in %d messages", asks, messages); messages > asks/4 {
			t.Errorf("%d asks went in %d messages: they were not put together", asks, messages)
		}
	})
}

// A thousand checks with the longest keys, from many callers at once, fit into what a node takes.
func TestBatchesFit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1")
		c := f.client()
		var all sync.WaitGroup
		for i := range 4000 {
			all.Go(func() {
				key := fmt.Sprintf("%0512d", i)
				if d, err := c.Check(t.Context(), bucket.Request{Key: key, Limit: limit(t, "quota 1"), Cost: 1}); err != nil || !d.Allowed {
					t.Errorf("Check = %+v, %v", d, err)
				}
			})
		}
		all.Wait()
		rs := make([]bucket.Request, 1001)
		for i := range rs {
			rs[i] = bucket.Request{Key: fmt.Sprint("many", i), Limit: limit(t, "quota 1"), Cost: 1}
		}
		if got, err := c.CheckAll(t.Context(), rs[:1000]); err != nil || len(got) != 1000 {
			t.Errorf("CheckAll of 1000 = %d, %v", len(got), err)
		}
		for name, bad := range map[string][]bucket.Request{
			"1001 checks": rs, "none": nil, "no key": {{Limit: limit(t, "quota 1")}}, "a limit": {{Key: "k", Cost: 1}},
			"a window": {{Key: "k", Limit: bucket.Limit{Burst: 1, Window: 99}}}, "on_lost": {{Key: "k", Limit: rs[0].Limit, OnLost: 99}},
		} {
			if _, err := c.CheckAll(t.Context(), bad); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s: %v, want InvalidArgument", name, err)
			}
		}
	})
}

// When a node stops, its callers go on at another one: no call fails, and none is decided on twice.
func TestNodeStops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1", "b:1")
		c := f.client()
		var allowed, stop atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for stop.Load() == 0 {
					d, err := c.Check(t.Context(), bucket.Request{Key: "k", Limit: limit(t, "quota 1000000"), Cost: 1})
					if err != nil || !d.Allowed {
						t.Errorf("Check = %+v, %v", d, err)
						return
					}
					allowed.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		for _, addr := range []string{"a:1", "b:1", "a:1"} { // there is another one each time
			time.Sleep(100 * time.Millisecond)
			f.mu.Lock()
			n := f.nodes[addr]
			delete(f.nodes, addr)
			f.mu.Unlock()
			close(n.stopping)
			n.server.GracefulStop()
			f.add(addr)
			time.Sleep(3 * time.Second) // until it is tried again
		}
		stop.Store(1)
		all.Wait()
		d, err := c.Peek(t.Context(), "k", limit(t, "quota 1000000"))
		if err != nil || d.Remaining != 1000000-allowed.Load() {
			t.Errorf("%d left after %d allowed, %v", d.Remaining, allowed.Load(), err)
		}
	})
}

// block makes the node that c asks, as it does with r, answer nothing any more, and returns it and its name.
func (f *fleet) block(c *client.Client, r bucket.Request) (n *node, name string) {
	f.t.Helper()
	d, err := c.Check(f.t.Context(), r)
	if err != nil {
		f.t.Fatal(err)
	}
	n = f.nodes[d.Node]
	n.blocked = make(chan struct{})
	return n, d.Node
}

// When a node is killed, calls that are under way there end with ErrLost, but for those with ids, which are asked again; the next go
// to another node.
func TestNodeKilled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1", "b:1")
		c := f.client()
		r := bucket.Request{Key: "k", Limit: limit(t, "quota 10"), Cost: 1}
		n, name := f.block(c, r)
		errs, with := make(chan error, 1), make(chan bucket.Decision, 1)
		go func() {
			_, err := c.Check(t.Context(), r)
			errs <- err
		}()
		go func() {
			r := r
			r.ID = "id"
			d, err := c.Check(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			with <- d
		}()
		synctest.Wait()
		f.mu.Lock()
		delete(f.nodes, name)
		f.mu.Unlock()
		go n.server.Stop()
		if err := <-errs; !errors.Is(err, client.ErrLost) || status.Code(err) != codes.Unavailable {
			t.Errorf("a call under way at a node that is killed: %v, want ErrLost", err)
		}
		if got := <-with; !got.Allowed || got.Node == name {
			t.Errorf("the same with an id: %+v, want it allowed by the other node", got)
		}
		close(n.blocked)
		if got, err := c.Check(t.Context(), r); err != nil || got.Node == name {
			t.Errorf("the next: %+v, %v, want an answer of the other node", got, err)
		}
	})
}

// With nobody there a call ends with Unavailable, soon; and once somebody is there, calls are answered.
func TestNobody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := f.client("a:1", "b:1")
		r := bucket.Request{Key: "k", Limit: limit(t, "quota 10"), Cost: 1}
		began := time.Now()
		if _, err := c.Check(t.Context(), r); status.Code(err) != codes.Unavailable || time.Since(began) > 5*time.Second {
			t.Errorf("Check with nobody there: %v after %v, want Unavailable", err, time.Since(began))
		}
		if err := c.Reset(t.Context(), "k"); status.Code(err) != codes.Unavailable {
			t.Errorf("Reset with nobody there: %v, want Unavailable", err)
		}
		f.add("b:1")
		time.Sleep(5 * time.Second)
		if d, err := c.Check(t.Context(), r); err != nil || !d.Allowed {
			t.Errorf("Check once a node is there = %+v, %v", d, err)
		}
	})
}

// Who waits gives up when its context ends, whatever its node does, and so does who waits for others to be answered. Close ends
// the rest.
func TestGivesUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1")
		f.nodes["a:1"].blocked = make(chan struct{})
		c, err := client.New(client.Config{Targets: []string{"a:1"}, MaxInFlight: 2, DialOptions: []grpc.DialOption{grpc.WithContextDialer(f.dial)}})
		if err != nil {
			t.Fatal(err)
		}
		r := bucket.Request{Key: "k", Limit: limit(t, "quota 10"), Cost: 1}
		errs := make(chan error, 2)
		for i := range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if i < 2 {
				ctx = t.Context()
				go func() {
					_, err := c.Check(ctx, r)
					errs <- err
				}()
				synctest.Wait()
				continue
			}
			if _, err := c.Check(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a third call where two are the most: %v, want the end of its context", err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, client.ErrClosed) {
				t.Errorf("a call under way at Close: %v, want ErrClosed", err)
			}
		}
		if _, err := c.Check(t.Context(), r); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a call after Close: %v, want ErrClosed", err)
		}
		close(f.nodes["a:1"].blocked)
	})
}

// An answer that comes after its caller gave up is nobody else's.
func TestLateAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1")
		c := f.client()
		blocked := make(chan struct{})
		f.nodes["a:1"].blocked = blocked
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Check(ctx, bucket.Request{Key: "late", Limit: limit(t, "quota 7"), Cost: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Check = %v, want the end of its context", err)
		}
		close(blocked)
		if d, err := c.Check(t.Context(), bucket.Request{Key: "k", Limit: limit(t, "quota 3"), Cost: 1}); err != nil || d.Remaining != 2 {
			t.Errorf("the next check = %+v, %v, want 2 left", d, err)
		}
	})
}

// A node that says nothing costs its callers one wait, and the next are asked elsewhere.
func TestSilentNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1", "b:1")
		c := f.client()
		r := bucket.Request{Key: "k", Limit: limit(t, "quota 10"), Cost: 1}
		silent, name := f.block(c, r)
		defer close(silent.blocked)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Check(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Check = %v, want the end of its context", err)
		}
		if got, err := c.Check(t.Context(), r); err != nil || got.Node == name {
			t.Errorf("the next: %+v, %v, want an answer of the other node", got, err)
		}
	})
}

// What New cannot use it says.
func TestConfig(t *testing.T) {
	for want, bad := range map[string]client.Config{
		"no targets":                          {},
		`target "a": address a: missing port`: {Targets: []string{"a"}},
		"-1 calls in flight":                  {Targets: []string{"a:1"}, MaxInFlight: -1},
	} {
		if _, err := client.New(bad); !errors.Is(err, client.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want ErrConfig and %q", bad, err, want)
		}
	}
}

// What is reserved by one node is settled by another, once; bad settlements are refused.
func TestSettle(t *testing.T) {
	f := newFleet(t, "a:1", "b:1")
	c := f.client("gone:1")
	for _, tt := range []struct {
		limit bucket.Limit
		left  int64
	}{{bucket.Limit{Burst: 100}, 93}, {bucket.Limit{Burst: 100, Window: bucket.Concurrency}, 100}} {
		key := tt.limit.String()
		r := bucket.Request{Key: key, Limit: tt.limit, Cost: 40, ID: "r", Reserve: time.Minute}
		if d, err := c.Check(t.Context(), r); err != nil || !d.Allowed || d.Remaining != 60 {
			t.Fatalf("Check(%+v) = %+v, %v", r, d, err)
		}
		for range 2 {
			said, err := c.Settle(t.Context(), bucket.Settlement{Key: key, ID: "r", Cost: 7}, bucket.Settlement{Key: key, ID: "other"})
			if err != nil || len(said) != 2 || !said[0].Known || said[0].Reserved != 40 || said[1].Known {
				t.Errorf("Settle = %+v, %v", said, err)
			}
		}
		if d, err := c.Peek(t.Context(), key, tt.limit); err != nil || d.Remaining != tt.left {
			t.Errorf("Peek(%s) = %+v, %v, want %d left", key, d, err, tt.left)
		}
	}
	for _, s := range [][]bucket.Settlement{{}, {{Key: "k"}}, {{Key: "k", ID: "i", Renew: -1}}, make([]bucket.Settlement, 1001)} {
		if _, err := c.Settle(t.Context(), s...); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Settle of %d settlements: %v, want InvalidArgument", len(s), err)
		}
	}
}
