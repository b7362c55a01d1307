// Package client asks the nodes of a cluster from outside, by the public gRPC API, as a cluster.Node asks from inside: the
// checks of all goroutines share one stream to one node, and those that are made while a message is on its way go into the
// next one together. A node that does not answer is left for another one.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/limiter"
	"github.com/noriahq/noria/transport/bearer"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// Errors of a Client. Those of nodes have a gRPC status.
var (
	ErrConfig = errors.New("client configuration") // what New was given does not do
	ErrClosed = errors.New("client is closed")     // Close was called
	ErrLost   = errors.New("connection lost")      // before the answer came: tokens may have been taken or not
)

// Config says whom a Client asks, and how.
type Config struct {
	// Targets are the gRPC addresses, host:port, of one node or more. A client asks one of them, which it picks by chance,
	// until that cannot be reached, and then the next.
	Targets []string

	// MaxInFlight is how many calls are under way at once; more wait until others are answered. Default: 1,000, which is
	// how many a node decides on at once.
	MaxInFlight int

	// Timeout is how long a call waits for an answer, whatever its ctx says. Default: 1s with Degrade, and else until ctx ends.
	// Less gives up sooner what a slow node would still have decided.
	Timeout time.Duration

	// Degrade makes checks that no node answers within Timeout be answered here, by their OnLost rules, as a node answers those
	// whose holder it cannot reach. Default: they end with an error.
	Degrade bool

	// Clients is how many clients there are, which share the rate of a limit among them where Degrade has to answer by
	// bucket.Share. Default: not known, and such requests are denied.
	Clients int

	// TLS is how to know the nodes, and which certificate to show to those that want one; TLS is spoken where it is not nil.
	// Default: plaintext, for trusted networks.
	TLS *tls.Config

	// Token is shown with every call, for nodes that want one. Without TLS others can read it on its way. Default: none.
	Token string

	// DialOptions come after the client's own. Default: none.
	DialOptions []grpc.DialOption
}

// The defaults and bounds of a client.
const (
	defaultInFlight = 1000
	pingEvery       = 10 * time.Second // to a node that says nothing; nodes take no more
	pingWait        = 3 * time.Second  // for its answer, or the connection is closed
	connectWait     = 2 * time.Second  // for a connection
	degradeAfter    = time.Second      // Timeout with Degrade
	maxWaiting      = 10_000           // callers of Wait
)

// A Client asks a cluster. It is safe for concurrent use by any number of goroutines, and the more use one Client, the less
// a check costs.
type Client struct {
	places  *semaphore.Weighted
	ways    []*way
	current atomic.Int64 // counts how often a way was left; the one in use is at this modulo their number
	closed  atomic.Bool
	timeout time.Duration // 0 for none
	alone   *alone        // nil without Config.Degrade
	lines   *limiter.Lines
}

// New returns a Client, which connects when it is first asked. An error wraps ErrConfig.
func New(c Config) (*Client, error) {
	if len(c.Targets) == 0 {
		return nil, fmt.Errorf("%w: no targets; want the gRPC address, host:port, of one node or more", ErrConfig)
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultInFlight
	}
	if c.MaxInFlight < 0 {
		return nil, fmt.Errorf("%w: %d calls in flight; want 1 or more, or 0 for %d", ErrConfig, c.MaxInFlight, defaultInFlight)
	}
	switch {
	case c.Timeout < 0:
		return nil, fmt.Errorf("%w: Timeout is %v; want more than 0, or 0 for the default", ErrConfig, c.Timeout)
	case c.Clients < 0:
		return nil, fmt.Errorf("%w: %d clients; want 1 or more, or 0 where it is not known", ErrConfig, c.Clients)
	case c.Degrade && c.Timeout == 0:
		c.Timeout = degradeAfter
	}
	own := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingWait}),
		grpc.WithConnectParams(connectParams()),
	}
	if c.TLS != nil {
		own[0] = grpc.WithTransportCredentials(credentials.NewTLS(c.TLS))
	}
	if c.Token != "" {
		own = append(own, grpc.WithPerRPCCredentials(bearer.Credentials{Token: c.Token, Plain: c.TLS == nil}))
	}
	own = append(own, c.DialOptions...)
	client := &Client{places: semaphore.NewWeighted(int64(c.MaxInFlight)), timeout: c.Timeout, lines: limiter.NewLines(maxWaiting)}
	if c.Degrade {
		client.alone = newAlone(c.Clients)
	}
	for _, addr := range c.Targets {
		w, err := newWay(addr, own)
		if err != nil {
			return nil, errors.Join(err, client.Close())
		}
		client.ways = append(client.ways, w)
	}
	rand.Shuffle(len(client.ways), func(i, j int) { client.ways[i], client.ways[j] = client.ways[j], client.ways[i] })
	return client, nil
}

func newWay(addr string, opts []grpc.DialOption) (*way, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("%w: target %q: %w; want host:port", ErrConfig, addr, err)
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: target %q: %w", ErrConfig, addr, err)
	}
	return &way{conn: conn}, nil
}

// Close ends all connections and with them all calls that are under way, with ErrClosed. The error is one of closing.
func (c *Client) Close() error {
	c.closed.Store(true)
	var all error
	for _, w := range c.ways {
		all = errors.Join(all, w.conn.Close())
	}
	return all
}

// Check takes the cost of r from its bucket, or refuses, as cluster.Node.Check does; a refusal is a Decision. It blocks until
// a node answers, all of them are out of reach, or ctx ends.
//
// A node that is frozen is left by the first caller whose ctx ends while it waits there, and by all after 13 s. Nodes
// are tried one after the other as long as it is certain that nothing was taken, or r has an ID, which makes it certain
// that it is taken once. Errors wrap ErrClosed, ErrLost or ctx's, or have a gRPC status: InvalidArgument where r is
// wrong, Unavailable where no node can be reached, ResourceExhausted where the node has too much to do, which
// transport.IsOverloaded tells; others are not asked then, as they have no less. With Config.Degrade there are no errors of nodes that do not answer, but a
// Decision that is Degraded, which says nothing of what a node may have taken.
func (c *Client) Check(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	all, err := c.CheckAll(ctx, []bucket.Request{r})
	if err != nil {
		return bucket.Decision{}, err
	}
	return all[0], nil
}

// CheckAll takes the costs of all of rs, 1 to 1,000, or of none of them. Its Decisions are in the order of rs. It blocks and
// fails as Check does.
func (c *Client) CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error) {
	q := question{checks: make([]*pb.CheckRequest, len(rs)), repeats: true}
	for i := range rs {
		q.checks[i] = checkOf(&rs[i])
		q.bytes += checkBytes + len(rs[i].Key) + len(rs[i].ID) + len(rs[i].Limit.Zone)
		q.repeats = q.repeats && rs[i].ID != ""
	}
	if q.bytes > messageBytes && len(rs) > 1 {
		return nil, status.Errorf(codes.InvalidArgument, "%d checks of %d bytes at once; want at most %d bytes", len(rs), q.bytes, messageBytes)
	}
	short, cancel := c.bounded(ctx)
	answer, err := c.ask(short, &q)
	cancel()
	if err != nil && c.alone != nil && isLost(err) && ctx.Err() == nil {
		return c.alone.decide(time.Now(), rs)
	}
	if err != nil {
		return nil, err
	}
	if c.alone != nil {
		c.alone.reached()
	}
	if len(answer.GetChecks()) != len(rs) {
		return nil, status.Errorf(codes.Internal, "%d decisions on %d checks", len(answer.GetChecks()), len(rs))
	}
	all := make(bucket.Decisions, len(rs))
	for i, m := range answer.GetChecks() {
		all[i] = decisionOf(m)
	}
	return all, nil
}

// bounded returns ctx with an end after Config.Timeout.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.timeout)
}

// ask asks q of one node after the other until one answers.
func (c *Client) ask(ctx context.Context, what *question) (*pb.CheckAllResponse, error) {
	if err := c.places.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer c.places.Release(1)
	for tried := 1; ; tried++ {
		at, q := c.current.Load(), &question{checks: what.checks, bytes: what.bytes, repeats: what.repeats, done: make(chan struct{})}
		answer, err := c.ways[at%int64(len(c.ways))].ask(ctx, q)
		switch {
		case err == nil:
			return answer, nil
		case c.closed.Load():
			return nil, ErrClosed
		case ctx.Err() != nil:
			if errors.Is(err, errSilent) {
				c.current.CompareAndSwap(at, at+1) // it may be frozen: the next are asked elsewhere
			}
			return nil, ctx.Err()
		case !errors.Is(err, errUndecided) && !(q.repeats && errors.Is(err, ErrLost)):
			return nil, err
		}
		c.current.CompareAndSwap(at, at+1)
		if tried > len(c.ways) { // once more than there are: the first may only have ended its stream
			return nil, err
		}
	}
}

// Peek tells the level of key's bucket under limit l and takes nothing. It blocks and fails as Check does.
func (c *Client) Peek(ctx context.Context, key string, l bucket.Limit) (bucket.Decision, error) {
	return c.Check(ctx, bucket.Request{Key: key, Limit: l})
}

// Wait is Check for those who would rather wait than be denied, as that of package cluster/limiter: those who wait here for
// one key are served in the order in which they came. An error that wraps cluster.ErrTooLate comes as soon as it is known that ctx
// ends before that can be, or that no waiting helps; limiter.ErrCrowded where 10,000 wait already; others are those of Check.
func (c *Client) Wait(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	return c.lines.Wait(ctx, r.Key, r.Cost, r.Limit, func(ctx context.Context) (bucket.Decision, error) { return c.Check(ctx, r) })
}

// Settle says what reservations, 1 to 1,000, came to, as cluster.Node.Settle does. It blocks and fails as Check does; with an
// error some may be settled all the same, and may be settled again.
func (c *Client) Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error) {
	q := &pb.SettleRequest{Settlements: make([]*pb.Settlement, len(s))}
	for i := range s {
		q.Settlements[i] = &pb.Settlement{Key: s[i].Key, Id: s[i].ID, Cost: s[i].Cost, RenewNs: int64(s[i].Renew)}
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for tried := 1; ; tried++ {
		at := c.current.Load()
		answer, err := pb.NewNoriaClient(c.ways[at%int64(len(c.ways))].conn).Settle(ctx, q)
		switch {
		case err == nil:
			return settledOf(answer, len(s))
		case c.closed.Load():
			return nil, ErrClosed
		case status.Code(err) != codes.Unavailable || tried > len(c.ways):
			return nil, err
		}
		c.current.CompareAndSwap(at, at+1)
	}
}

// settledOf returns what answer says of want settlements.
func settledOf(answer *pb.SettleResponse, want int) ([]bucket.Settled, error) {
	if len(answer.GetSettled()) != want {
		return nil, status.Errorf(codes.Internal, "%d answers to %d settlements", len(answer.GetSettled()), want)
	}
	said := make([]bucket.Settled, want)
	for i, m := range answer.GetSettled() {
		said[i] = bucket.Settled{Known: m.GetKnown(), Reserved: m.GetReserved(), Charged: m.GetCharged()}
	}
	return said, nil
}

// Reset makes the bucket of key full again. It blocks and fails as Check does.
func (c *Client) Reset(ctx context.Context, key string) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for tried := 1; ; tried++ {
		at := c.current.Load()
		_, err := pb.NewNoriaClient(c.ways[at%int64(len(c.ways))].conn).Reset(ctx, &pb.ResetRequest{Key: key})
		switch {
		case c.closed.Load():
			return ErrClosed
		case status.Code(err) != codes.Unavailable || tried > len(c.ways):
			return err
		}
		c.current.CompareAndSwap(at, at+1)
	}
}
