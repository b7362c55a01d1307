package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/transport/client"
)

// Of 100 tickets that 10,000 buyers want, over real sockets, while kill -9 ends the node that sells them, never 101 are sold, and
// nobody is charged twice. Buyers ask again under their ids until they have been told, and who has a ticket and asks again still has
// it. What was in flight at that moment may be lost, but not where tickets are reserved: then exactly 100 are sold.
func TestFlashSale(t *testing.T) {
	t.Run("charged", func(t *testing.T) { flashSale(t, 0) })
	t.Run("reserved", func(t *testing.T) { flashSale(t, time.Minute) })
}

// tickets and who wants them.
const (
	tickets = 100
	buyers  = 10_000
	crowd   = 20 // buyers at once
)

func flashSale(t *testing.T, reserve time.Duration) {
	t.Helper()
	fleet := harness.Start(t, 3, harness.Options{})
	seller := fleet.Node("b")
	var targets []string
	for _, n := range fleet.Alive() {
		targets = append(targets, n.Addr.GRPC)
	}
	c, err := client.New(client.Config{Targets: targets, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := &ticketSale{t: t, client: c, ticket: bucket.Request{
		Key: fleet.KeyOf(seller, "sale", "quota 100"), Limit: bucket.Limit{Burst: tickets}, Cost: 1, Reserve: reserve,
		Durability: bucket.Sync, OnLost: bucket.Deny, ColdStart: bucket.Empty,
	}}
	ctx, others := bounded(t), fleet.Others(seller)
	before := changesOf(others)
	began := time.Now()
	owners := s.open(ctx, seller.Kill)
	t.Logf("%d sold to %d buyers who asked %d times, in %v", len(owners), buyers, s.asked.Load(), time.Since(began).Round(time.Millisecond))
	if seller.Alive() {
		t.Error("the seller was not killed")
	}
	if len(owners) > tickets {
		t.Errorf("%d tickets sold, want at most %d", len(owners), tickets)
	}
	for _, buyer := range owners {
		if !s.buy(ctx, buyer) {
			t.Errorf("buyer %d has a ticket, asks again and hears that it has none", buyer)
		}
	}
	if changesOf(others) > before+len(others) {
		t.Log("nodes took each other for dead besides: nothing is said of how many tickets were lost")
		return
	}
	least := tickets
	if reserve == 0 {
		least -= crowd // in flight when the seller was killed
	}
	if len(owners) < least {
		t.Errorf("%d tickets sold, want at least %d", len(owners), least)
	}
}

// changesOf returns how often nodes have changed their minds about who is a member, in all.
func changesOf(nodes []*harness.Node) (changes int) {
	for _, n := range nodes {
		for _, line := range n.Log.Lines() {
			if strings.Contains(line, `"msg":"members changed"`) {
				changes++
			}
		}
	}
	return changes
}

// A ticketSale sells until all who want a ticket have been told whether they have one.
type ticketSale struct {
	t      *testing.T
	client *client.Client
	ticket bucket.Request
	asked  atomic.Int64
	sold   atomic.Int64
}

// buy asks, again and again under the buyer's id, until a holder has answered, and says whether the buyer has a ticket.
func (s *ticketSale) buy(ctx context.Context, buyer int) bool {
	r := s.ticket
	r.ID = fmt.Sprint("buyer-", buyer)
	for {
		d, err := s.client.Check(ctx, r)
		s.asked.Add(1)
		if err == nil && !d.Degraded {
			return d.Allowed
		}
		select {
		case <-ctx.Done():
			s.t.Errorf("buyer %d was never told: %+v, %v", buyer, d, err)
			return false
		case <-time.After(20*time.Millisecond + rand.N(20*time.Millisecond)):
		}
	}
}

// open lets all buyers buy, crowd at a time, kills the seller when half of the tickets are sold, and returns who has one.
func (s *ticketSale) open(ctx context.Context, kill func()) (owners []int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	queue := make(chan int)
	for range crowd {
		all.Go(func() {
			for buyer := range queue {
				if !s.buy(ctx, buyer) {
					continue
				}
				s.sold.Add(1)
				mu.Lock()
				owners = append(owners, buyer)
				mu.Unlock()
			}
		})
	}
	for killed, buyer := false, 0; buyer < buyers; buyer++ {
		if !killed && s.sold.Load() >= tickets/2 {
			killed = true
			kill() // those who have asked wait for their answers
		}
		queue <- buyer
	}
	close(queue)
	all.Wait()
	return owners
}
