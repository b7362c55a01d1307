package gossip

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/noriahq/noria/ring"
)

// A Member is a node as others know it.
type Member struct {
	// ID is the node's name, the same in all its runs.
	ID ring.Member

	// Boot tells apart the runs of a node. The newest has the largest.
	Boot uint64

	// Peer is where other nodes reach it with checks, host:port.
	Peer string

	// Gossip is where other nodes reach it with gossip, IP:port.
	Gossip string

	// Draining says that the node is about to leave and wants no more partitions.
	Draining bool

	// Gateway says that the node never wants any. It is so for a whole run.
	Gateway bool

	// Protocol is the newest that it speaks.
	Protocol uint32

	// Policy is a hash of the policy that it goes by; 0 for none. It changes when the node reads another one.
	Policy uint64
}

// A View is what one node knows of the cluster at one moment.
type View struct {
	// Members are alive, this node among them. They are sorted by ID, one for each ID: the one with the newest boot.
	Members []Member

	// Missing were members in the last 24 hours, and went without a farewell: dead or cut off. They are sorted by ID.
	// A member that was draining when it went has left. At most 1,000 are kept, the last ones that went.
	Missing []Missing

	// Conflicts are IDs under which two nodes seem to be alive. They are sorted by ID.
	Conflicts []Conflict
}

// A Missing is a member that went without a farewell.
type Missing struct {
	Member
	Since time.Time // when this node took it for dead
}

// A Conflict is two nodes under one ID, with different boots and at different gossip addresses: either the old one is
// dead and not yet missed, and the node came back elsewhere, or somebody gave two nodes one name. Whether Older is alive
// tells only a question to Older.Peer. Until one of them is gone all nodes go by Newer, Older itself too.
type Conflict struct {
	Newer, Older Member
}

const (
	seenFor  = 24 * time.Hour // a member that went is looked for so long
	seenMost = 1000           // of them
	idMost   = 128            // bytes
)

func checkID(id ring.Member) error {
	s := string(id)
	if s == "" || len(s) > idMost {
		return fmt.Errorf("id of %d bytes: want 1 to %d", len(s), idMost)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("id %q: want printable characters", s)
	}
	return nil
}

// nameOf returns the name that memberlist knows a run of a node by. It differs between runs because memberlist reports
// nothing when a node comes back under the name under which it was not missed.
func nameOf(id ring.Member, boot uint64) string {
	return string(id) + "/" + strconv.FormatUint(boot, 10)
}

func parseName(name string) (id ring.Member, boot uint64, err error) {
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return "", 0, fmt.Errorf("name %q: want id/boot", name)
	}
	id = ring.Member(name[:at])
	if err := checkID(id); err != nil {
		return "", 0, fmt.Errorf("name %q: %w", name, err)
	}
	boot, err = strconv.ParseUint(name[at+1:], 10, 64)
	if err != nil || nameOf(id, boot) != name {
		return "", 0, fmt.Errorf("name %q: want id/boot, boot a number", name)
	}
	return id, boot, nil
}

// newest returns, of members in any order, the newest of each ID, sorted by ID, and the IDs that several addresses claim.
// It sorts members.
func newest(members []Member) (set []Member, conflicts []Conflict) {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(b.Boot, a.Boot))
	})
	set = make([]Member, 0, len(members))
	for _, m := range members {
		last := len(set) - 1
		if last < 0 || set[last].ID != m.ID {
			set = append(set, m)
			continue
		}
		known := len(conflicts) > 0 && conflicts[len(conflicts)-1].Newer.ID == m.ID
		if set[last].Gossip != m.Gossip && !known {
			conflicts = append(conflicts, Conflict{Newer: set[last], Older: m})
		}
	}
	return set, conflicts
}
