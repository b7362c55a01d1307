package ring

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"
	"strconv"
)

// model is a second, plain way to the slots of a table, from the paper: sort all points, give each partition to the next
// point's member that has room. It is the judge of what the Builder makes, and knows no
// history.
type model struct {
	partitions int
	each       int // virtual nodes a member
	load       float64
	sum        func([]byte) uint64
}

type modelPoint struct {
	hash   uint64
	member int
}

// slots returns the table of set, which is sorted. ok is false if points of two members collide.
func (m model) slots(set []Member) (slots []uint16, ok bool) {
	points, ok := m.points(set)
	if !ok {
		return nil, false
	}
	slots = make([]uint16, m.partitions)
	most := int(math.Ceil(float64(m.partitions) / float64(len(set)) * m.load))
	loads := make([]int, len(set))
	for p := range slots {
		slots[p] = nobody
		if len(set) == 0 {
			continue
		}
		key := m.sum(binary.LittleEndian.AppendUint64(nil, uint64(p)))
		i := sort.Search(len(points), func(i int) bool { return points[i].hash >= key })
		for i == len(points) || loads[points[i].member] >= most {
			i = (i + 1) % (len(points) + 1)
		}
		loads[points[i].member]++
		slots[p] = uint16(points[i].member)
	}
	return slots, true
}

func (m model) points(set []Member) (points []modelPoint, ok bool) {
	points = make([]modelPoint, 0, len(set)*m.each)
	for i, name := range set {
		for v := range m.each {
			points = append(points, modelPoint{m.sum([]byte(strconv.Itoa(v) + ":" + string(name))), i})
		}
	}
	slices.SortFunc(points, func(a, b modelPoint) int {
		if a.hash < b.hash {
			return -1
		}
		if a.hash > b.hash {
			return 1
		}
		return a.member - b.member
	})
	for i := range len(points) - 1 {
		if points[i].hash == points[i+1].hash && points[i].member != points[i+1].member {
			return nil, false
		}
	}
	return points, true
}

// table is the model's answer as a Table.
func (m model) table(set []Member) (*Table, bool) {
	slots, ok := m.slots(set)
	if !ok {
		return nil, false
	}
	return newTable(Params{Partitions: m.partitions, VirtualNodes: m.each, Load: m.load}, set, slots), true
}
