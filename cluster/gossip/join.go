package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	joinAtOnce   = 8  // seeds that are tried at the same time
	joinAddrMost = 16 // addresses that are tried for the name of one seed
)

// Join tries once to join the cluster by each of seeds, the gossip addresses, host:port, of some of its nodes, all at the
// same time. It returns how many of them did; the node is a member then, and View knows all others. It waits for Run to
// have started.
//
// The error is nil if one seed did, or if all seeds are this node itself. Otherwise it wraps ErrNoSeed and what was wrong
// with each seed: ErrMismatch, syscall.ECONNREFUSED, a net.Error whose Timeout is true, and so on. ErrClosed says that
// Run has ended, ctx's error that ctx has.
//
// Whether another node has this one's ID is to be seen in View's Conflicts after the Join.
func (g *Gossip) Join(ctx context.Context, seeds []string) (n int, err error) {
	select {
	case <-g.ready:
	case <-g.done:
		return 0, ErrClosed
	case <-g.stop:
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	g.seeds.add(seeds)
	errs := make([]error, len(seeds))
	var tasks sync.WaitGroup
	turns := make(chan struct{}, joinAtOnce)
	for i, seed := range seeds {
		turns <- struct{}{}
		tasks.Go(func() {
			errs[i] = g.joinSeed(ctx, seed)
			<-turns
		})
	}
	tasks.Wait()
	return g.joined(seeds, errs)
}

// joined sums up what became of each seed.
func (g *Gossip) joined(seeds []string, errs []error) (n int, err error) {
	var failed seedErrors
	for i, err := range errs {
		switch {
		case err == nil:
			n++
		case !errors.Is(err, errSelf):
			failed = append(failed, fmt.Errorf("seed %s: %w", seeds[i], err))
		}
	}
	if n > 0 || len(failed) == 0 {
		for _, err := range failed {
			g.config.Logger.Warn("seed is of no use", "err", err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("%w: %w", ErrNoSeed, failed)
}

// seedErrors says what was wrong with each of several seeds.
type seedErrors []error

func (e seedErrors) Unwrap() []error { return e }

func (e seedErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// errSelf says that an address is this node's own.
var errSelf = errors.New("it is this node itself")

// joinSeed joins by one of the addresses of a seed.
func (g *Gossip) joinSeed(ctx context.Context, seed string) error {
	addrs, err := lookup(ctx, seed)
	if err != nil {
		return err
	}
	var errs seedErrors
	for _, addr := range addrs {
		err := g.joinAddr(ctx, addr)
		if err == nil || ctx.Err() != nil || len(addrs) == 1 {
			return err
		}
		if !errors.Is(err, errSelf) {
			errs = append(errs, fmt.Errorf("%s: %w", addr, err))
		}
	}
	if len(errs) == 0 {
		return errSelf
	}
	return errs
}

// lookup returns the addresses, IP:port, of a seed.
func lookup(ctx context.Context, seed string) ([]string, error) {
	host, port, err := splitHostPort(seed)
	if err != nil {
		return nil, err
	}
	if port == 0 || host == "" {
		return nil, errors.New("want host:port")
	}
	text := strconv.Itoa(int(port))
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(ip.Unmap().String(), text)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, 0, len(ips))
	for _, ip := range ips[:min(len(ips), joinAddrMost)] {
		addrs = append(addrs, net.JoinHostPort(ip.Unmap().String(), text))
	}
	return addrs, nil
}

// joinAddr joins by one address.
func (g *Gossip) joinAddr(ctx context.Context, addr string) error {
	w, err := g.open()
	if err != nil {
		return err
	}
	if addr == w.addr() {
		return errSelf
	}
	token, try, err := w.attempt(ctx, addr)
	if err != nil {
		return err
	}
	defer w.endAttempt(token)
	if _, err = g.list.Join([]string{token + "/" + addr}); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return g.explain(addr, try.failed(), err)
	}
	for range 100 {
		if !g.roster.metNobody() {
			return nil
		}
		select { // who answered may still be on its way into the roster
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errSelf // it was this node, by another of its addresses
}

// explain says why an attempt failed: lost came from the network, if it was that, and err from memberlist, as text.
func (g *Gossip) explain(addr string, lost, err error) error {
	var many interface{ WrappedErrors() []error } // there is one
	text := err.Error()
	if errors.As(err, &many) {
		text = many.WrappedErrors()[0].Error()
	}
	if _, after, ok := strings.Cut(text, ErrMismatch.Error()+": "); ok {
		return fmt.Errorf("%w: %s", ErrMismatch, after)
	}
	if lost != nil {
		return g.explainLost(lost)
	}
	for _, k := range known() {
		if strings.Contains(text, k.part) {
			return errors.New(k.means)
		}
	}
	return errors.New(strings.TrimPrefix(text, "failed to join "+addr+": "))
}

func (g *Gossip) explainLost(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // which leaves out the address
	}
	var late interface{ Timeout() bool }
	switch {
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("no answer within %v: %w", g.config.StreamTimeout, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE): // by which of the two hurried more
		return fmt.Errorf("hung up without an answer; is it a gossip address? %w", err)
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed): // and ctx has not ended
		return ErrClosed
	}
	return err
}

// known returns parts of what memberlist says, from most to least special.
func known() [4]struct{ part, means string } {
	return [...]struct{ part, means string }{
		{"remote state is encrypted and encryption is not configured", "its gossip is encrypted with a secret key, and this node has none"},
		{"encryption is configured but remote state is not encrypted", "its gossip is not encrypted, and this node has a secret key"},
		{"no installed keys could decrypt", "its gossip is encrypted with another key"},
		{"invalid msgType", "it answers, but not with gossip; is it a gossip address?"},
	}
}
