package clustertest

import (
	"bytes"
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// echo answers what it is told with the same bytes, and keeps them. It takes some time for that.
type echo struct {
	told  [][]byte
	takes time.Duration
}

func (*echo) Hello(cluster.Hello) error { return nil }

func (e *echo) Answer(_ ring.Member, asks []cluster.Ask) {
	time.Sleep(e.takes)
	for i := range asks {
		e.told = append(e.told, asks[i].Body)
		asks[i].Answer = cluster.Answer{Holder: "b", Body: asks[i].Body}
	}
}

// wired returns a peer b that answers as echo does, and its network and hosts.
func wired(t *testing.T) (n *Net, a, b string, p cluster.Peer, e *echo) {
	t.Helper()
	n, e = NewNet(1), &echo{}
	ws := NewWires(n)
	a, b = n.Host(), n.Host()
	asker, _ := serve(t, ws, a, "a", e)
	_, addr := serve(t, ws, b, "b", e)
	p = asker.Peer("b", addr)
	synctest.Wait()
	return n, a, b, p, e
}

// serve returns a transport on host, and its address, by which h answers as id.
func serve(t *testing.T, ws *Wires, host string, id ring.Member, h cluster.Handler) (tr cluster.Transport, addr string) {
	t.Helper()
	tr = ws.Transport(host)
	addr, err := tr.Listen()
	if err != nil {
		t.Fatalf("Listen of %s: %v", id, err)
	}
	go tr.Serve(context.Background(), cluster.Hello{ID: id}, h)
	t.Cleanup(func() { tr.Close() })
	return tr, addr
}

func tell(p cluster.Peer, body []byte) *cluster.Ask {
	a := cluster.NewAsk()
	a.Op, a.Body, a.Wait = cluster.OpTell, body, time.Second
	p.Ask(a)
	<-a.Finished()
	return a
}

// Bodies arrive both ways and nobody shares their memory.
func TestTell(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, _, _, p, e := wired(t)
		body := []byte("told")
		a := tell(p, body)
		if a.Err != nil || string(a.Answer.Body) != "told" {
			t.Fatalf("tell: %q, %v; want what was told", a.Answer.Body, a.Err)
		}
		copy(body, "xxxx")
		copy(a.Answer.Body, "yyyy")
		if got := string(e.told[0]); got != "told" {
			t.Errorf("what was told is %q after the others wrote to theirs, want %q", got, "told")
		}
	})
}

// What no transport carries is refused.
func TestTellInvalid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, _, _, p, _ := wired(t)
		for _, body := range [][]byte{nil, make([]byte, cluster.MaxBody+1)} {
			if a := tell(p, body); !errors.Is(a.Err, cluster.ErrAskInvalid) {
				t.Errorf("tell of %d bytes: %v, want ErrAskInvalid", len(body), a.Err)
			}
		}
		a := cluster.NewAsk()
		a.Checks, a.Body, a.Wait = make([]cluster.Check, 1), bytes.Repeat([]byte("b"), 9), time.Second
		p.Ask(a)
		if <-a.Finished(); !errors.Is(a.Err, cluster.ErrAskInvalid) {
			t.Errorf("a check with a body: %v, want ErrAskInvalid", a.Err)
		}
	})
}

// A killed host refuses, at once; one that is cut off or frozen is silent, killed or not.
func TestRefusedOrSilent(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      func(n *Net, a, b string)
		refused bool
	}{
		{"killed", func(n *Net, _, b string) { n.Kill(b) }, true},
		{"cut", func(n *Net, a, b string) { n.Cut([]string{a}, []string{b}) }, false},
		{"frozen", func(n *Net, _, b string) { n.Freeze(b) }, false},
		{"cut and killed", func(n *Net, a, b string) { n.Cut([]string{a}, []string{b}); n.Kill(b) }, false},
	} {
		bubble.Test(t, func(t *testing.T) {
			n, a, b, p, _ := wired(t)
			c.do(n, a, b)
			began := time.Now()
			err := tell(p, []byte("b")).Err
			took := time.Since(began)
			if c.refused && (!errors.Is(err, cluster.ErrPeerLost) || !errors.Is(err, syscall.ECONNREFUSED) || took > 0) {
				t.Errorf("%s: %v after %v, want ErrPeerLost and ECONNREFUSED at once", c.name, err, took)
			}
			if !c.refused && (!errors.Is(err, cluster.ErrPeerSilent) || errors.Is(err, syscall.ECONNREFUSED) || took != time.Second) {
				t.Errorf("%s: %v after %v, want ErrPeerSilent after a second", c.name, err, took)
			}
		})
	}
}

// A host that takes its time is waited for up to Most while it is heard of, and else for Wait.
func TestSlow(t *testing.T) {
	for _, c := range []struct {
		takes, most, want time.Duration
		do                func(n *Net, a, b string)
		err               error
	}{
		{takes: 3 * time.Second, most: 5 * time.Second, want: 3 * time.Second},
		{takes: 6 * time.Second, most: 5 * time.Second, want: 5 * time.Second, err: cluster.ErrPeerSilent},
		{takes: 3 * time.Second, want: time.Second, err: cluster.ErrPeerSilent},
		{
			takes: 3 * time.Second, most: 5 * time.Second, want: time.Second, err: cluster.ErrPeerSilent,
			do: func(n *Net, _, b string) { n.Freeze(b) },
		},
		{
			takes: 3 * time.Second, most: 5 * time.Second, want: time.Second, err: cluster.ErrPeerSilent,
			do: func(n *Net, a, b string) { n.CutOneWay([]string{b}, []string{a}) },
		},
	} {
		bubble.Test(t, func(t *testing.T) {
			n, ha, hb, p, e := wired(t)
			e.takes = c.takes
			a := cluster.NewAsk()
			a.Op, a.Body, a.Wait, a.Most = cluster.OpTell, []byte("told"), time.Second, c.most
			began := time.Now()
			p.Ask(a)
			synctest.Wait()
			if c.do != nil {
				c.do(n, ha, hb)
			}
			if <-a.Finished(); !errors.Is(a.Err, c.err) || time.Since(began) != c.want {
				t.Errorf("Most %v, %v to answer: %v after %v, want %v after %v", c.most, c.takes, a.Err, time.Since(began), c.err, c.want)
			}
			time.Sleep(c.takes) // the handler ends
		})
	}
}
