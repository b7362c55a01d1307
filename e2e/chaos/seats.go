package chaos

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// seats say which nodes clients ask, and how many of each client's requests are under way at each. They are safe for
// concurrent use.
type seats struct {
	mu    sync.Mutex
	names []string          // every node that ever was, by index; guarded by mu
	asked []bool            // by index: clients ask it; guarded by mu
	under [][MaxClients]int // requests under way, by index and client; guarded by mu
}

// newSeats returns seats without nodes.
func newSeats() *seats { return &seats{} }

// open has clients ask a node from now on.
func (s *seats) open(node string) { s.set(node, true) }

// shut has clients ask a node no more, as a load balancer does with one that is stopped.
func (s *seats) shut(node string) { s.set(node, false) }

func (s *seats) set(node string, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[s.find(node)] = asked
}

// find returns the index of node, which it is given if it has none. s.mu must be held.
func (s *seats) find(node string) int {
	i := slices.Index(s.names, node)
	if i < 0 {
		i = len(s.names)
		s.names, s.asked, s.under = append(s.names, node), append(s.asked, false), append(s.under, [MaxClients]int{})
	}
	return i
}

// index returns the index of node.
func (s *seats) index(node string) uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint16(s.find(node))
}

// nodes returns the names of all nodes, by index.
func (s *seats) nodes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// take returns a node for a request of the client, -1 if each has perNode of its requests under way.
func (s *seats) take(client int, r *rand.Rand) (index int, node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var free [MaxNodes * 2]int
	n := 0
	for i, asked := range s.asked {
		if asked && s.under[i][client] < perNode && n < len(free) {
			free[n] = i
			n++
		}
	}
	if n == 0 {
		return -1, ""
	}
	i := free[r.IntN(n)]
	s.under[i][client]++
	return i, s.names[i]
}

// leave ends what take began.
func (s *seats) leave(client, index int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under[index][client]--
}
