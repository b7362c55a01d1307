package cluster

import (
	"fmt"
	"strconv"
)

// newest returns the newest protocol that whoever says h speaks.
func (h Hello) newest() uint32 { return max(h.Protocol, h.Newest) }

// meets says whether those who say h and o have a protocol that both speak.
func (h Hello) meets(o Hello) bool { return h.newest() >= o.Protocol && o.newest() >= h.Protocol }

// spoken returns the protocols of whoever says h, for people.
func (h Hello) spoken() string {
	if h.newest() == h.Protocol {
		return strconv.FormatUint(uint64(h.Protocol), 10)
	}
	return fmt.Sprintf("%d to %d", h.Protocol, h.newest())
}

// speaks says whether m and this node both speak protocol, or a newer one. What a protocol brought is said to those who speak
// it alone: others would call it invalid, which harms nobody, and would do without.
func (m *member) speaks(protocol uint32) bool { return min(m.Protocol, Protocol) >= protocol }
