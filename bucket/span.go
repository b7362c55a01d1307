package bucket

import "time"

// A span is one window: from begin until end on the node's clock. Its name is where it starts in wall time, in ns since
// the Unix epoch, and so the same for all nodes and whatever happens to the clock.
type span struct {
	name       int64
	begin, end Instant
	epoch      int64 // the Plan's when it was worked out
}

// window returns the window that now is in.
func (p *Plan) window(now Instant) *span {
	epoch := p.epoch.Load()
	if s := p.open.Load(); s != nil && s.epoch == epoch && s.begin <= now && now < s.end {
		return s
	}
	s := p.spanAt(epoch, epoch+int64(now))
	p.open.Store(s)
	return s
}

// spanAt returns the window around a wall time in ns since the Unix epoch.
func (p *Plan) spanAt(epoch, wall int64) *span {
	start, end := p.opens(time.Unix(0, wall))
	return &span{
		name:  start.UnixNano(),
		begin: Instant(start.UnixNano() - epoch),
		end:   Instant(end.UnixNano() - epoch),
		epoch: epoch,
	}
}

// named returns the window with that name, which is w or a later one.
func (p *Plan) named(w *span, name int64) *span {
	if name == w.name {
		return w
	}
	return p.spanAt(w.epoch, name)
}

// takeWindow is take for limits that are refilled all at once.
func (b *Bucket) takeWindow(now Instant, p *Plan, cost int64, d *Decision) {
	w := p.window(now)
	name, debt := b.inWindow(w)
	d.Allowed = cost == 0 || debt+cost <= p.empty
	if d.Allowed && cost > 0 {
		debt += cost
		b.debt, b.at = debt, name
	}
	d.Remaining = p.tokens(debt)
	if debt > 0 {
		d.ResetAfter = p.named(w, name).end.Sub(now)
	}
	if !d.Allowed {
		d.RetryAfter = d.ResetAfter
	}
}

// inWindow returns the window that b is charged in, and its debt there. A window never opens twice: after the wall clock
// was set back the debt stays in the later one.
func (b *Bucket) inWindow(w *span) (name, debt int64) {
	if b.debt != 0 && b.at >= w.name {
		return b.at, b.debt
	}
	return w.name, 0
}

// chargeWindow is Charge for limits that are refilled all at once.
func (b *Bucket) chargeWindow(w *span, units int64) {
	name, debt := b.inWindow(w)
	if debt += units; debt > maxDebt || debt < 0 {
		debt = maxDebt
	}
	b.debt, b.at = debt, name
}

// mergeWindow is Merge for limits that are refilled all at once.
func (b *Bucket) mergeWindow(o Bucket) {
	if o.debt != 0 && (b.debt == 0 || o.at > b.at || o.at == b.at && o.debt > b.debt) {
		*b = o
	}
}

// mergeAt is Merge of what came at now. A copy that was on its way for more than half of its window counts in the next one, which
// comes after that of b; what b owes in the one that now is in is not forgotten for it.
func (b *Bucket) mergeAt(now Instant, p *Plan, came Bucket) {
	owed := int64(0)
	if p.opens != nil {
		_, owed = b.inWindow(p.window(now))
	}
	b.Merge(p, came)
	b.debt = max(b.debt, owed)
}
