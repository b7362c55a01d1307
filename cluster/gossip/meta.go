package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashicorp/memberlist"
)

// meta is what a node says of itself in each message about it, besides its name and its gossip address.
//
// Its form: the magic byte, the version of the form, flags, the protocol as a varint, then label, ring parameters and
// peer address, each after its length as a varint, then with its flag eight bytes of the policy, and with its flag the newest protocol as a varint. More may follow and is
// ignored, so that it can grow.
type meta struct {
	draining bool
	gateway  bool
	protocol uint32 // the oldest that it accepts
	newest   uint32 // that it speaks, if it is more than protocol; else 0
	label    string
	ring     string
	peer     string
	policy   uint64
}

const (
	metaMagic    = 'n'
	metaForm     = 1
	flagDraining = 1 << 0
	flagGateway  = 1 << 1
	flagPolicy   = 1 << 2
	flagNewest   = 1 << 3
)

var (
	errNoMeta    = errors.New("not a node of this kind")
	errShortMeta = errors.New("metadata is cut short")
)

func (m meta) encode() []byte {
	var flags byte
	if m.draining {
		flags |= flagDraining
	}
	if m.gateway {
		flags |= flagGateway
	}
	if m.policy != 0 {
		flags |= flagPolicy
	}
	if m.newest > m.protocol {
		flags |= flagNewest
	}
	b := []byte{metaMagic, metaForm, flags}
	b = binary.AppendUvarint(b, uint64(m.protocol))
	for _, s := range []string{m.label, m.ring, m.peer} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	if m.policy != 0 {
		b = binary.BigEndian.AppendUint64(b, m.policy)
	}
	if m.newest > m.protocol {
		b = binary.AppendUvarint(b, uint64(m.newest))
	}
	return b
}

// speaks returns the newest protocol that the node speaks.
func (m meta) speaks() uint32 { return max(m.protocol, m.newest) }

// spoken returns the protocols that the node speaks, for people.
func (m meta) spoken() string {
	if m.newest <= m.protocol {
		return strconv.FormatUint(uint64(m.protocol), 10)
	}
	return fmt.Sprintf("%d to %d", m.protocol, m.newest)
}

// check says whether m fits into what memberlist sends. It panics at more.
func (m meta) check() error {
	m.policy = 1 // it may come later
	if size := len(m.encode()); size > memberlist.MetaMaxSize {
		return fmt.Errorf("label (%d bytes), ring parameters (%d) and peer address (%d) take %d bytes of metadata: want at most %d",
			len(m.label), len(m.ring), len(m.peer), size, memberlist.MetaMaxSize)
	}
	return nil
}

func parseMeta(b []byte) (meta, error) {
	if len(b) < 3 || b[0] != metaMagic {
		return meta{}, errNoMeta
	}
	if b[1] != metaForm {
		return meta{}, fmt.Errorf("metadata of form %d, this node knows form %d", b[1], metaForm)
	}
	flags := b[2]
	m := meta{draining: flags&flagDraining != 0, gateway: flags&flagGateway != 0}
	protocol, k := binary.Uvarint(b[3:])
	if k <= 0 || protocol > 1<<32-1 {
		return meta{}, errShortMeta
	}
	m.protocol = uint32(protocol)
	b = b[3+k:]
	for _, s := range []*string{&m.label, &m.ring, &m.peer} {
		size, k := binary.Uvarint(b)
		if k <= 0 || size > uint64(len(b)-k) {
			return meta{}, errShortMeta
		}
		*s = string(b[k : k+int(size)])
		b = b[k+int(size):]
	}
	if flags&flagPolicy != 0 {
		if len(b) < 8 {
			return meta{}, errShortMeta
		}
		m.policy, b = binary.BigEndian.Uint64(b), b[8:]
	}
	if flags&flagNewest != 0 {
		newest, k := binary.Uvarint(b)
		if k <= 0 || newest > 1<<32-1 {
			return meta{}, errShortMeta
		}
		if newest > protocol {
			m.newest = uint32(newest)
		}
	}
	return m, nil
}

// fits says whether a node with metadata o, at an address, and one with m may be in one cluster.
func (m meta) fits(o meta, at string) error {
	differ := func(what, here, there string) error {
		return fmt.Errorf("%w: %s %q here, %q at %s", ErrMismatch, what, here, there, at)
	}
	switch {
	case m.label != o.label:
		return differ("label", m.label, o.label)
	case m.speaks() < o.protocol || o.speaks() < m.protocol:
		return fmt.Errorf("%w: protocol %s here, %s at %s", ErrMismatch, m.spoken(), o.spoken(), at)
	case m.ring != o.ring:
		return differ("ring parameters", m.ring, o.ring)
	}
	return nil
}
