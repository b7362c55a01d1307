package bucket

import "math/bits"

// firstIndex is the size of a shard's first index; at most half of the entries are ever used, so that most keys are found
// at once. With 7 of 8 a decision takes a tenth longer, for 5 bytes a key.
const firstIndex = 8

// tagOf makes a record's tag of the number that its partition has in its shard, in as many bits, and of its key's hash.
func tagOf(partition uint32, width int, hash uint64) uint32 {
	tag := partition<<(32-width) | uint32(hash>>32)>>width
	if tag == 0 {
		return 1
	}
	return tag
}

// isFrozen says whether the partition with that number is moving, or elsewhere.
func (sh *shard) isFrozen(partition uint32) bool {
	return sh.frozen&(1<<(partition%(1<<maxWidth))) != 0
}

// home returns where the search for tag begins in an index of n entries (multiply-shift, Lemire, arXiv:1805.10941). It
// rises with tag, so the entries of one partition are side by side.
func home(tag uint32, n int) int { return int(uint64(tag) * uint64(n) >> 32) }

// point makes the first free entry for tag say that its record is at.
func (sh *shard) point(tag, at uint32) {
	n := len(sh.index)
	for i := home(tag, n); ; {
		if sh.index[i].tag == 0 {
			sh.index[i] = entry{tag, at}
			return
		}
		if i++; i == n {
			i = 0
		}
	}
}

// unpoint frees the entry at hole and moves back those behind it that would no longer be found.
func (sh *shard) unpoint(hole int) {
	n := len(sh.index)
	for i := hole; ; {
		if i++; i == n {
			i = 0
		}
		e := sh.index[i]
		if e.tag == 0 {
			break
		}
		if from := home(e.tag, n); (i-from+n)%n >= (i-hole+n)%n {
			sh.index[hole] = e
			hole = i
		}
	}
	sh.index[hole] = entry{}
}

// reindex makes an index with room for keys and moves all entries to it.
func (sh *shard) reindex(keys int) {
	old := sh.index
	sh.index = make([]entry, indexSize(keys))
	for _, e := range old {
		if e.tag != 0 {
			sh.point(e.tag, e.at)
		}
	}
}

// indexSize returns the least of 8, 12, 16, 24, 32, 48, ... of which half are at least keys. These sizes fill the
// allocator's size classes.
func indexSize(keys int) int {
	need := 2 * keys
	if need <= firstIndex {
		return firstIndex
	}
	n := 1 << bits.Len(uint(need-1))
	if three := n / 4 * 3; need <= three {
		return three
	}
	return n
}
