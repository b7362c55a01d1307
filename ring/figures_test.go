package ring

import (
	"fmt"
	"math"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// A figure is what tables of that many members may cost, on average over some fleets' names.
type figure struct {
	members, each int
	fullest       float64 // partitions of the fullest member, times the mean
	extra         float64 // moves at a join or leave that need not be, per move that must
}

// The figures of balance and movement that the defaults were chosen by.
func figures() []figure {
	return []figure{
		{3, 512, 1.04, 0},
		{10, 512, 1.07, 0},
		{50, 512, 1.17, 0},
		{100, 512, 1.24, 0.005},
		{3, 128, 1.10, 0},
		{10, 128, 1.14, 0.001},
		{50, 128, 1.24, 0.02},
		{100, 128, 1.25, 0.05},
	}
}

// fleets returns n names in each of the manners in which nodes are named.
func fleets(n int) [][]Member {
	var sets [][]Member
	for _, name := range []string{"node-%d", "gw-%03d.eu-west-1.example.com", "10.0.0.%d", "noria-%d", "ip-10-0-3-%d"} {
		var set []Member
		for i := range n {
			set = append(set, Member(fmt.Sprintf(name, i)))
		}
		set, _ = asSet(set)
		sets = append(sets, set)
	}
	return sets
}

// The plain model answers for the tables here, which the Builder equals by other tests, since it is quick enough to look
// at many.
func (f figure) model(load float64) model {
	return model{defaultPartitions, f.each, load, xxhash.Sum64}
}

// check measures tables of f's size and returns an error if they are worse than f.
func (f figure) check(m model) error {
	var fullest float64
	var must, extra int
	for _, set := range fleets(f.members) {
		before, _ := m.table(set)
		most := int(math.Ceil(defaultPartitions / float64(f.members) * m.load))
		full := 0
		for i := range set {
			full = max(full, before.Count(i))
		}
		if full > most {
			return fmt.Errorf("fullest member has %d partitions, bound is %d", full, most)
		}
		fullest += float64(full*f.members) / defaultPartitions / float64(len(fleets(0)))

		gone := set[f.members/2]
		after, _ := m.table(append(append([]Member{}, set[:f.members/2]...), set[f.members/2+1:]...))
		for _, move := range Moves(before, after) { // the leave of gone; read backwards, its join
			if move.From == gone {
				must++
			} else {
				extra++
			}
		}
	}
	if fullest > f.fullest+0.02 {
		return fmt.Errorf("fullest member has %.3f times the mean, want %.2f", fullest, f.fullest)
	}
	if got := float64(extra) / float64(must); got > f.extra {
		return fmt.Errorf("%d partitions move besides the %d that must: %.4f, want at most %.4f", extra, must, got, f.extra)
	}
	return nil
}

// Tables are as even as promised, and a join or leave moves what must and hardly anything else.
func TestBalanceAndMovement(t *testing.T) {
	for _, f := range figures() {
		if err := f.check(f.model(defaultLoad)); err != nil {
			t.Errorf("%d members with %d virtual nodes: %v", f.members, f.each, err)
		}
	}
}

// A tighter bound, and few virtual nodes, move more than must: the figures find both out.
func TestPlantedMovement(t *testing.T) {
	f := figure{members: 10, each: 512, fullest: 1.07}
	if err := f.check(f.model(1.05)); err == nil {
		t.Error("a load of 1.05 was not found out")
	}
	f = figure{members: 10, each: 20, fullest: 1.25}
	if err := f.check(f.model(defaultLoad)); err == nil {
		t.Error("20 virtual nodes were not found out")
	}
}

// The default number of virtual nodes has a border, and what crossing it costs is told in Params: most of the table. This
// test is there so that the sentence stays true.
func TestBorderMovesMost(t *testing.T) {
	few := figure{each: virtualFew}.model(defaultLoad)
	many := figure{each: virtualMany}.model(defaultLoad)
	before, _ := few.table(fleet(fewMembers))
	after, _ := many.table(fleet(fewMembers + 1))
	got := float64(len(Moves(before, after))) / defaultPartitions
	if got < 0.7 || got > 0.8 {
		t.Errorf("the join of member %d moves %.2f of all partitions, Params says three quarters", fewMembers+1, got)
	}
	before, _ = many.table(fleet(fewMembers))
	if got := float64(len(Moves(before, after))) / defaultPartitions; got > 0.02 {
		t.Errorf("with one density it moves %.3f of all partitions, want about 1/101", got)
	}
}
