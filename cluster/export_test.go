package cluster

// What can be wrong with what a node remembers of denials.
const (
	DenyLong  = denyLong
	DenyKept  = denyKept
	DenyMoved = denyMoved
)

// PlantDenials makes something wrong with what n remembers.
func (n *Node) PlantDenials(bug int) { n.denials.plant = bug }
