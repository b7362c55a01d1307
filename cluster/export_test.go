package cluster

// What can be wrong with what a node remembers of denials.
const (
	DenyLong  = denyLong
	DenyKept  = denyKept
	DenyMoved = denyMoved
)

// PlantDenials makes something wrong with what n remembers.
func (n *Node) PlantDenials(bug int) { n.denials.plant = bug }

// Lendings returns how often this node has asked for a lease or given one back, if it has checked nothing all or nothing.
func (n *Node) Lendings() uint64 { return n.lastHold.Load() - n.boot }

// AddEvent adds ev to what n tells.
func (n *Node) AddEvent(ev Event) { n.events.add(ev) }
