package peer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A sale has fewer tickets than buyers, each of whom asks again under its id until a holder has told it.
type sale struct {
	c       *clustertest.Cluster
	tickets bucket.Request
	shops   []*cluster.Node // nodes that buyers ask, whether they live or not
	sold    atomic.Int64
	asked   atomic.Int64
}

// buy asks until it is certain, and says whether the buyer has a ticket.
func (s *sale) buy(ctx context.Context, buyer int) (has bool, err error) {
	r := s.tickets
	r.ID = fmt.Sprint("buyer-", buyer)
	for {
		ask, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		d, err := s.shops[rand.IntN(len(s.shops))].Check(ask, r)
		cancel()
		s.asked.Add(1)
		if err == nil && !d.Degraded {
			return d.Allowed, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("never told: %+v, %w", d, err)
		case <-time.After(20*time.Millisecond + rand.N(40*time.Millisecond)):
		}
	}
}

// Of 100 tickets that 10,000 buyers want, while the node that sells them is killed, never 101 are sold, and nobody is charged twice:
// before a buyer is told, the heir knows of its ticket and of its id, and who asks again still has one. What was in flight when the
// seller died may be lost. Tickets that are reserved are not lost either, so exactly 100 are sold.
func TestFlashSale(t *testing.T) {
	for _, reserve := range []time.Duration{0, bucket.MaxReserve} {
		for _, killAfter := range []int64{10, 60, 95} {
			t.Run(fmt.Sprintf("reserved for %v, killed after %d", reserve, killAfter), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					sold := sell(t, bucket.Request{Reserve: reserve, Durability: bucket.Sync, ColdStart: bucket.Empty}, killAfter)
					least := tickets
					if reserve == 0 {
						least -= atOnce // in flight when the holder was killed
					}
					if sold > tickets || sold < least {
						t.Errorf("%d tickets sold, want %d to %d", sold, least, tickets)
					}
				})
			})
		}
	}
}

// A limit that keeps no replica sells the tickets twice: the sale is one that can fail.
func TestFlashSaleForgets(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		if sold := sell(t, bucket.Request{Durability: bucket.Ephemeral}, 60); sold <= tickets {
			t.Errorf("%d tickets sold by a holder that forgets, want more than %d", sold, tickets)
		}
	})
}

// tickets, and how many buyers ask at once.
const tickets, atOnce = 100, 20

// sell holds a sale under rules, whose holder is killed once killAfter tickets are sold, and returns how many were.
func sell(t *testing.T, rules bucket.Request, killAfter int64) int {
	t.Helper()
	const buyers = 10_000
	c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
	s := &sale{c: c, tickets: rules}
	s.tickets.Key, s.tickets.Limit, s.tickets.Cost, s.tickets.OnLost = c.KeyAt("b", "sale"), bucket.Limit{Burst: tickets}, 1, bucket.Deny
	for _, name := range c.Names() {
		s.shops = append(s.shops, c.Node(name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	owners := s.open(ctx, t, buyers, func() bool { return s.sold.Load() >= killAfter })
	t.Logf("%d sold to %d buyers who asked %d times", len(owners), buyers, s.asked.Load())
	c.Settle()
	if rules.Durability == bucket.Sync {
		s.askAgain(ctx, t, owners)
	}
	peek := s.tickets
	peek.Cost, peek.Reserve = 0, 0
	if d, err := c.Node(c.Names()[0]).Check(ctx, peek); err != nil || d.Degraded || d.Remaining != 0 {
		t.Errorf("after the sale: %+v, %v; want nothing left", d, err)
	}
	return len(owners)
}

// open lets all buyers buy, atOnce at a time, kills the holder as soon as due says so, and returns who has a ticket.
func (s *sale) open(ctx context.Context, t *testing.T, buyers int, due func() bool) (owners []int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	queue := make(chan int)
	for range atOnce {
		all.Go(func() {
			for buyer := range queue {
				has, err := s.buy(ctx, buyer)
				if err != nil {
					t.Errorf("buyer %d: %v", buyer, err)
				}
				if has {
					s.sold.Add(1)
					mu.Lock()
					owners = append(owners, buyer)
					mu.Unlock()
				}
			}
		})
	}
	killed := false
	for _, buyer := range rand.Perm(buyers) {
		if !killed && due() {
			killed = true
			s.c.Kill(s.c.Holder(s.tickets.Key))
		}
		queue <- buyer
	}
	close(queue)
	all.Wait()
	if !killed {
		t.Error("the holder was not killed while the sale was open")
	}
	return owners
}

// askAgain lets those who have a ticket ask again: they still have it.
func (s *sale) askAgain(ctx context.Context, t *testing.T, owners []int) {
	t.Helper()
	for _, buyer := range owners {
		if has, err := s.buy(ctx, buyer); err != nil || !has {
			t.Errorf("buyer %d asks again: %v, %v; want the ticket", buyer, has, err)
		}
	}
}
