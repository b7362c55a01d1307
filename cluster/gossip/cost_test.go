package gossip_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/cost"
	"github.com/noriahq/noria/cluster/gossip"
)

// A tally is what nodes have sent.
type tally struct{ packets, bytes, streams, streamed atomic.Int64 }

// A counted transport notes what goes through it.
type counted struct {
	memberlist.NodeAwareTransport
	*tally
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (c counted) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	c.packets.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.NodeAwareTransport.WriteToAddress(b, to)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (c counted) DialAddressTimeout(to memberlist.Address, wait time.Duration) (net.Conn, error) {
	c.streams.Add(1)
	conn, err := c.NodeAwareTransport.DialAddressTimeout(to, wait)
	return countedConn{conn, c.tally}, err
}

type countedConn struct {
	net.Conn
	*tally
}

// Read implements net.Conn.
func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.streamed.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.streamed.Add(int64(n))
	return n, err
}

// What the model of package cost says of gossip is what memberlist sends while nobody comes or goes.
func TestCost(t *testing.T) {
	for _, size := range []int{3, 10, 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f, all := newFleet(t), &tally{}
				nodes := f.many(size, func(c *gossip.Config) { c.Transport = counted{c.Transport, all} })
				time.Sleep(time.Minute)
				packets, bytes, streams, streamed := all.packets.Load(), all.bytes.Load(), all.streams.Load(), all.streamed.Load()
				const long = 5 * time.Minute
				time.Sleep(long)
				name := len(fmt.Sprintf("n00/%d", time.Now().UnixNano()))
				m := cost.Fleet{Holders: len(nodes), NameLen: name}
				each := float64(size) * long.Seconds()
				for what, v := range map[string][2]float64{
					"packets":           {float64(all.packets.Load() - packets), m.Packets()},
					"bytes of packets":  {float64(all.bytes.Load() - bytes), m.PacketBytes()},
					"exchanges":         {float64(all.streams.Load() - streams), m.Exchanges()},
					"bytes of exchange": {float64(all.streamed.Load() - streamed), m.ExchangeBytes()},
				} {
					if err := cost.Near(what+" a node and second", v[0]/each, v[1]); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
