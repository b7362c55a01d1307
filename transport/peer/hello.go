package peer

import (
	"errors"
	"fmt"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

func appendHello(b []byte, h cluster.Hello) []byte {
	b = appendUint(b, 1, uint64(h.Protocol))
	b = appendText(b, 2, h.Label)
	b = appendText(b, 3, h.Ring)
	b = appendText(b, 4, string(h.ID))
	b = appendFixed(b, 5, h.Boot)
	return appendUint(b, 6, uint64(h.Newest))
}

// appendOpening appends the first frame of a stream.
func appendOpening(b []byte, h cluster.Hello) []byte {
	b, at := begin(b, 1)
	return end(appendHello(b, h), at)
}

// decodeHello returns a Hello with memory of its own.
func decodeHello(b []byte) (h cluster.Hello, err error) {
	c := cursor{rest: b}
	for tag := c.next(); tag != 0; tag = c.next() {
		switch tag {
		case 1<<3 | asVarint:
			h.Protocol = uint32(c.varint())
		case 2<<3 | asBytes:
			h.Label = string(c.bytes())
		case 3<<3 | asBytes:
			h.Ring = string(c.bytes())
		case 4<<3 | asBytes:
			h.ID = ring.Member(c.bytes())
		case 5<<3 | asFixed64:
			h.Boot = c.fixed64()
		case 6<<3 | asVarint:
			h.Newest = uint32(c.varint())
		default:
			c.skip(tag)
		}
	}
	return h, checkHello(h, c.bad)
}

func checkHello(h cluster.Hello, bad bool) error {
	switch {
	case bad:
		return errors.New("the hello is not one")
	case len(h.ID) == 0:
		return errors.New("the hello names nobody")
	case len(h.ID) > maxName:
		return fmt.Errorf("the hello's id has %d bytes, at most %d are allowed", len(h.ID), maxName)
	}
	return nil
}

func toProto(h cluster.Hello) *peerpb.Hello {
	return &peerpb.Hello{Protocol: h.Protocol, Label: h.Label, Ring: h.Ring, Id: string(h.ID), Boot: h.Boot, Newest: h.Newest}
}

func fromProto(h *peerpb.Hello) cluster.Hello {
	return cluster.Hello{
		Protocol: h.GetProtocol(), Label: h.GetLabel(), Ring: h.GetRing(), ID: ring.Member(h.GetId()), Boot: h.GetBoot(), Newest: h.GetNewest(),
	}
}
