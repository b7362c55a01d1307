package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/snapshot"
	"github.com/noriahq/noria/ring"
)

// A saving is what the node saves, and had saved.
type saving struct {
	dir  *snapshot.Dir // nil for a node that saves nothing
	wall func() time.Time

	writing sync.Mutex       // one write at a time; guards what follows
	had     []bucket.Instant // of each partition, when it was here last, or was not merged yet, as a write saw it
	final   bool             // the last one was written
	took    time.Duration    // for the last write

	mu     sync.Mutex
	status StateStatus // guarded by mu
}

// StateStatus is what a node with Config.State has saved.
type StateStatus struct {
	Dir        string        `json:"dir"`
	Saved      time.Time     `json:"saved,omitzero"` // when the last write ended; zero before the first
	Took       time.Duration `json:"took_ns"`        // for that
	Partitions int           `json:"partitions"`     // in it
	Bytes      int64         `json:"bytes"`          // of it
	Failures   uint64        `json:"failures"`       // writes that failed
	Loaded     int           `json:"loaded"`         // partitions that were read at the start
	Unmerged   int           `json:"unmerged"`       // of them, those that are not merged yet with what the others know
	Skipped    int           `json:"skipped"`        // files that were not read at the start, or not to their end, because they are torn or corrupted
}

// elapsedMost bounds how long ago something was saved: what says more than that comes from a broken clock.
const elapsedMost = 50 * 366 * 24 * time.Hour

// keepFor is for how many Config.StateEvery a partition stays saved by who had it, until who has it has saved it too.
const keepFor = 3

// initState makes the node save in Config.State. It is called before the node's boot is used.
func (n *Node) initState(partitions int) error {
	d := n.config.State
	n.saving.dir, n.saving.wall = d, time.Now
	if d == nil {
		return nil
	}
	if n.isGateway() {
		return fmt.Errorf("%w: State: a gateway holds nothing that it could save", ErrConfig)
	}
	info := d.Info()
	if mine := n.config.Ring.String(); info.Ring != "" && info.Ring != mine {
		return fmt.Errorf("%w: State: %s was saved with the ring %q, this node has %q", ErrConfig, d.Path(), info.Ring, mine)
	}
	n.boot = max(n.boot, info.Boot+1) // also where the clock was set back meanwhile
	n.saving.had = make([]bucket.Instant, partitions)
	for p := range n.saving.had {
		n.saving.had[p] = -bucket.Instant(elapsedMost)
	}
	n.saving.status = StateStatus{Dir: d.Path(), Skipped: len(d.Skipped())}
	return nil
}

// load reads what the node had saved. What cannot be read is skipped.
func (n *Node) load(ctx context.Context) {
	d := n.saving.dir
	if d == nil {
		return
	}
	began, info := time.Now(), d.Info()
	for _, err := range d.Skipped() {
		n.log.Error("what was saved cannot be read, it is skipped", "err", err)
	}
	loaded, err := n.loadParts(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Error("some of what was saved cannot be read, it is skipped", "err", err)
	}
	n.holding.mu.Lock()
	if info.Members > 1 {
		n.core.AwaitOthers()
	}
	if err != nil || len(d.Skipped()) > 0 {
		n.core.LostSaved()
	}
	n.holding.mu.Unlock()
	n.saving.mu.Lock()
	n.saving.status.Loaded = loaded
	if err != nil {
		n.saving.status.Skipped++
	}
	n.saving.mu.Unlock()
	if info.Node != "" {
		n.log.Info("loaded what was saved", "partition", loaded, "took", time.Since(began))
	}
}

// loadParts gives the core all that was saved, and returns how many partitions there are and the last error.
func (n *Node) loadParts(ctx context.Context) (loaded int, err error) {
	now, last, skipped := n.saving.wall(), -1, error(nil)
	err = n.saving.dir.Read(func(p snapshot.Part) error {
		msg, err := core.ReadMessage(p.Message)
		if err == nil {
			err = n.loadPart(now.Sub(p.Saved), msg)
		}
		switch {
		case err != nil:
			skipped = err
		case p.Partition != last && p.Partition < len(n.saving.had):
			n.saving.had[p.Partition] = n.now()
			loaded++
			last = p.Partition
		}
		return ctx.Err()
	})
	return loaded, errors.Join(err, skipped)
}

// loadPart gives the core what was saved some time ago: as old as the wall clock says, but never as if it were yet to come.
func (n *Node) loadPart(elapsed time.Duration, msg *core.Message) error {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	now := n.now()
	return n.core.Load(now, now-bucket.Instant(min(max(elapsed, 0), elapsedMost)), msg)
}

// unmerged returns of how many partitions the node had saved something that is not merged yet.
func (n *Node) unmerged() int {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return n.core.Unsaved()
}

// stateStatus returns what the node has saved, nil if it saves nothing.
func (n *Node) stateStatus() *StateStatus {
	if n.saving.dir == nil {
		return nil
	}
	n.saving.mu.Lock()
	s := n.saving.status
	n.saving.mu.Unlock()
	s.Unmerged = n.unmerged()
	return &s
}

// saveOften saves what the node has every Config.StateEvery, until ctx ends.
func (n *Node) saveOften(ctx context.Context) error {
	if n.saving.dir == nil {
		return nil
	}
	if err := n.poll(ctx, func() bool { return n.view.Load() != nil }); err != nil {
		return err
	}
	every := n.config.StateEvery
	for {
		n.saving.writing.Lock()
		wait := max(every-n.saving.took, every/2) // so that what is saved is no older than that when the next is
		n.saving.writing.Unlock()
		if err := n.sleep(ctx, wait); err != nil {
			return err
		}
		_ = n.save(ctx, every/8, false) // logged and counted, and tried again
	}
}

// saveFirst saves what the node has before others take it over: they have not saved it yet. It takes a third of what is left of
// ctx at most.
func (n *Node) saveFirst(ctx context.Context) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/3)
		defer cancel()
	}
	_ = n.save(ctx, 0, false) // the last time tells
}

// saveLast makes the node decide on nothing any more, and saves what it has: what others have not taken over. An error is an
// ErrNotSaved.
func (n *Node) saveLast() error {
	if n.saving.dir == nil {
		return nil
	}
	n.step(func(c *core.Core, now bucket.Instant) { c.Seal(now) })
	return n.save(context.Background(), 0, true)
}

// save writes what the node has, and of what it lacks what it had saved: for a while, or, if it is the last time, for good. It
// takes spread longer than it has to, so that checks have the processors meanwhile. An error, an ErrNotSaved, is logged and
// counted; that ctx ended is none.
func (n *Node) save(ctx context.Context, spread time.Duration, last bool) error {
	if n.saving.dir == nil {
		return nil
	}
	n.saving.writing.Lock()
	defer n.saving.writing.Unlock()
	if n.saving.final {
		return nil
	}
	n.saving.final = last
	began := time.Now()
	info, err := n.saving.dir.Write(n.stateHead(last), func(w *snapshot.Writer) error { return n.saveParts(ctx, w, spread, last) })
	n.saving.took = time.Since(began)
	n.saving.mu.Lock()
	defer n.saving.mu.Unlock()
	s := &n.saving.status
	switch {
	case err == nil:
		s.Saved, s.Took, s.Partitions, s.Bytes = n.saving.wall(), n.saving.took, info.Partitions, info.Bytes
		n.log.Debug("saved", "partition", info.Partitions, "took", s.Took)
	case ctx.Err() == nil:
		s.Failures++
		n.log.Error("cannot save, what was saved before stays", "err", err)
		return fmt.Errorf("%w: %w", ErrNotSaved, err)
	}
	return nil
}

// stateHead returns what the node writes of itself.
func (n *Node) stateHead(last bool) snapshot.Head {
	h := snapshot.Head{Ring: n.config.Ring.String(), Boot: n.boot, Written: n.saving.wall(), Members: 1}
	if v := n.view.Load(); v != nil {
		h.Members = max(len(v.holders()), 1)
	}
	if last { // others have left a moment before, perhaps to come back with it
		h.Members = max(h.Members, n.saving.dir.Info().Members)
	}
	return h
}

// pauses is in how many pieces the partitions are saved.
const pauses = 256

func (n *Node) saveParts(ctx context.Context, w *snapshot.Writer, spread time.Duration, last bool) error {
	count := len(n.saving.had)
	for p := range count {
		if p%(count/pauses+1) == 0 {
			if err := n.sleep(ctx, spread/pauses); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := n.savePart(w, p, last); err != nil {
			return err
		}
	}
	return nil
}

// savePart saves what the node has of p.
func (n *Node) savePart(w *snapshot.Writer, p int, last bool) error {
	n.holding.mu.Lock()
	now, wall := n.now(), n.saving.wall()
	parcels, has := n.core.Save(now, ring.Partition(p))
	unmerged := n.core.IsUnsaved(ring.Partition(p))
	n.holding.mu.Unlock()
	if has || unmerged {
		n.saving.had[p] = now
	}
	if !has && (last || unmerged || now.Sub(n.saving.had[p]) <= keepFor*n.config.StateEvery) {
		return w.Keep(p)
	}
	for _, msg := range core.Messages(parcels) {
		if err := w.Add(p, wall, msg.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}
