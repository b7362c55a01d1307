package peer

import (
	"fmt"
	"sync/atomic"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// pair is the two ways to one member, each with a stream and a connection of its own: checks never wait behind what is
// told, not in a queue, not for the window of a connection, and not for the peer to take it in. It implements
// cluster.Peer.
type pair struct {
	t             *Transport
	checks, tells *link
}

func newPair(t *Transport, id ring.Member, addr string) *pair {
	heard := new(atomic.Int64)
	return &pair{t: t, checks: newLink(t, id, addr, false, heard), tells: newLink(t, id, addr, true, heard)}
}

func (p *pair) links() []*link { return []*link{p.checks, p.tells} }

// Ask implements cluster.Peer.
func (p *pair) Ask(a *cluster.Ask) {
	if a.Op.Tells() {
		p.tells.ask(a)
		return
	}
	p.checks.ask(a)
}

// Back implements cluster.Peer.
func (p *pair) Back() {
	p.checks.retry()
	p.tells.retry()
}

// Close implements cluster.Peer.
func (p *pair) Close() {
	err := fmt.Errorf("%w: closed", cluster.ErrPeerLost)
	p.checks.shut(err)
	p.tells.shut(err)
	p.t.forget(p)
}
