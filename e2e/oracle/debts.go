package oracle

import "math"

// none is far below every debt, with room for what is added.
const none = math.MinInt64 / 2

// debts is a row of numbers to whose tail something can be added and whose tail's maximum can be asked for, both in the
// time of the logarithm of its length: a segment tree whose node i has the children 2i and 2i+1.
type debts struct {
	leaves int     // a power of two
	added  []int64 // to all leaves below a node
	top    []int64 // maximum of the leaves below a node, without what was added above it
	where  []int   // the leaf that has it, the first of equals
}

// newDebts returns a row of n numbers, of which the i-th is first(i).
func newDebts(n int, first func(i int) int64) *debts {
	leaves := 1
	for leaves < n {
		leaves *= 2
	}
	d := &debts{leaves: leaves, added: make([]int64, 2*leaves), top: make([]int64, 2*leaves), where: make([]int, 2*leaves)}
	for i := range leaves {
		d.where[leaves+i] = i
		d.top[leaves+i] = none
		if i < n {
			d.top[leaves+i] = first(i)
		}
	}
	for i := leaves - 1; i > 0; i-- {
		d.update(i)
	}
	return d
}

// update takes over the maximum of node's children.
func (d *debts) update(node int) {
	larger := 2 * node
	if d.top[larger+1] > d.top[larger] {
		larger++
	}
	d.top[node], d.where[node] = d.top[larger]+d.added[node], d.where[larger]
}

// add adds amount to the numbers from on.
func (d *debts) add(from int, amount int64) { d.addBelow(1, 0, d.leaves, from, amount) }

// addBelow is add for the numbers low to high, which node covers.
func (d *debts) addBelow(node, low, high, from int, amount int64) {
	if from >= high {
		return
	}
	if from <= low {
		d.top[node] += amount
		d.added[node] += amount
		return
	}
	mid := (low + high) / 2
	d.addBelow(2*node, low, mid, from, amount)
	d.addBelow(2*node+1, mid, high, from, amount)
	d.update(node)
}

// most returns the largest of the numbers from on and where it is.
func (d *debts) most(from int) (value int64, at int) { return d.mostBelow(1, 0, d.leaves, from) }

// mostBelow is most for the numbers low to high, which node covers.
func (d *debts) mostBelow(node, low, high, from int) (value int64, at int) {
	if from >= high {
		return none, low
	}
	if from <= low {
		return d.top[node], d.where[node]
	}
	mid := (low + high) / 2
	value, at = d.mostBelow(2*node, low, mid, from)
	if right, rightAt := d.mostBelow(2*node+1, mid, high, from); right > value {
		value, at = right, rightAt
	}
	return value + d.added[node], at
}
