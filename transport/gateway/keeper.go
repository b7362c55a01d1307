package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A keeper keeps the reservations of requests under way alive, and settles them when the requests have ended. A request
// does not wait for that.
type keeper struct {
	limiter Limiter
	queue   chan unsettled
	left    atomic.Int64  // settlements that are not done
	given   atomic.Uint64 // those given up
	warn    *warner

	mu   sync.Mutex
	held map[*hold]struct{} // guarded by mu
}

// A hold is one reservation of a request under way.
type hold struct {
	key, id string
	long    time.Duration // that it lives without being renewed
	renewed time.Time     // guarded by keeper.mu
}

// unsettled is what a reservation came to, until the holder knows.
type unsettled struct {
	bucket.Settlement
	until time.Time // when the reservation is over
}

const (
	maxUnsettled = 65_536                 // more are given up: what they reserved stays spent, and slots come back by themselves
	settlers     = 4                      // that talk to holders at once
	batchMost    = 256                    // settlements in one call
	renewEvery   = 500 * time.Millisecond // how often is looked at what has to be renewed
	settleWait   = 2 * time.Second        // for one call
	settlePause  = 250 * time.Millisecond // after one that did not work
)

// newKeeper returns a keeper for reservations with l.
func newKeeper(l Limiter, logger *slog.Logger) *keeper {
	return &keeper{limiter: l, queue: make(chan unsettled, maxUnsettled), warn: &warner{logger: logger}, held: map[*hold]struct{}{}}
}

// keep takes care of the reservation that r made.
func (k *keeper) keep(r bucket.Request) *hold {
	h := &hold{key: r.Key, id: r.ID, long: r.Reserve, renewed: time.Now()}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[h] = struct{}{}
	return h
}

// settle says that h came to cost. It does not block.
func (k *keeper) settle(h *hold, cost int64) {
	k.mu.Lock()
	delete(k.held, h)
	until := h.renewed.Add(h.long)
	k.mu.Unlock()
	k.left.Add(1)
	k.put(unsettled{bucket.Settlement{Key: h.key, ID: h.id, Cost: cost}, until})
}

// put queues u, or gives it up where the queue is full.
func (k *keeper) put(u unsettled) {
	select {
	case k.queue <- u:
	default:
		k.giveUp(1, "the queue is full")
	}
}

// giveUp counts n settlements that will not be.
func (k *keeper) giveUp(n int, why string) {
	k.left.Add(int64(-n))
	k.given.Add(uint64(n))
	k.warn.say("reservations are not settled", why)
}

// stats returns what was counted.
func (k *keeper) stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Stats{Held: len(k.held), Unsettled: int(k.left.Load()), Given: k.given.Load()}
}

// run renews and settles until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var children sync.WaitGroup
	for range settlers {
		children.Go(func() { k.work(ctx) })
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-tick.C:
			k.renew(ctx, now)
		case <-ctx.Done():
		}
	}
	children.Wait()
}

// work settles what is queued: as much at once as there is.
func (k *keeper) work(ctx context.Context) {
	batch := make([]unsettled, 0, batchMost)
	for {
		select {
		case u := <-k.queue:
			batch = append(batch[:0], u)
		case <-ctx.Done():
			return
		}
		for len(batch) < batchMost {
			select {
			case u := <-k.queue:
				batch = append(batch, u)
				continue
			default:
			}
			break
		}
		k.send(ctx, batch)
	}
}

// send settles batch. What does not work is queued again until its reservation is over.
func (k *keeper) send(ctx context.Context, batch []unsettled) {
	all := make([]bucket.Settlement, len(batch))
	for i := range batch {
		all[i] = batch[i].Settlement
	}
	call, cancel := context.WithTimeout(ctx, settleWait)
	_, err := k.limiter.Settle(call, all...)
	cancel()
	if err == nil {
		k.left.Add(int64(-len(batch)))
		return
	}
	k.warn.say("reservations are not settled yet", err.Error())
	sleep(ctx, settlePause)
	now := time.Now()
	for _, u := range batch {
		if now.After(u.until) {
			k.giveUp(1, "their time is over")
			continue
		}
		k.put(u) // to settle twice does nothing
	}
}

// renew keeps what is under way for longer, once a third of its time is gone.
func (k *keeper) renew(ctx context.Context, now time.Time) {
	var (
		due []bucket.Settlement
		of  []*hold
	)
	k.mu.Lock()
	for h := range k.held {
		if now.Sub(h.renewed) >= h.long/3 {
			due = append(due, bucket.Settlement{Key: h.key, ID: h.id, Renew: h.long})
			of = append(of, h)
		}
	}
	k.mu.Unlock()
	for len(due) > 0 && ctx.Err() == nil {
		n := min(len(due), batchMost)
		call, cancel := context.WithTimeout(ctx, settleWait)
		_, err := k.limiter.Settle(call, due[:n]...)
		cancel()
		if err != nil {
			k.warn.say("reservations are not renewed yet", err.Error())
			return // the next time, soon enough
		}
		k.mu.Lock()
		for _, h := range of[:n] {
			h.renewed = now
		}
		k.mu.Unlock()
		due, of = due[n:], of[n:]
	}
}

// drain blocks until everything is settled or ctx ends, and returns how much is not.
func (k *keeper) drain(ctx context.Context) int {
	for k.left.Load() > 0 && ctx.Err() == nil {
		sleep(ctx, 10*time.Millisecond)
	}
	return int(k.left.Load())
}

// sleep blocks for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
