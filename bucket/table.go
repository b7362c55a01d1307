package bucket

import (
	"math/bits"
	"sync"
	"unsafe"
)

// A partition is the buckets of one part of the key space: an open-addressing table with linear probing whose slots hold
// no pointers, so the collector never looks into it, and an arena with the bytes of the keys. One partition is 1/16,384
// of a node's keys, so whatever takes time that grows with the table takes little, and stops nobody else. It fills one
// cache line.
type partition struct {
	mu     sync.Mutex
	slots  []slot // as many as tableSize says; guarded by mu, like all that follows
	arena  []byte // keys, one behind the other
	used   uint32 // slots in use
	takes  uint16 // wraps; tells which takes are sampled for the top keys
	frozen bool   // its buckets are moving, or elsewhere
}

// A slot is half a cache line. A tag of 0 means that it is free.
type slot struct {
	tag    uint32 // of the key's hash
	plan   uint16 // its number in Store.plans
	length uint16 // of the key
	key    uint64 // where the key is in the arena
	bucket Bucket
}

// firstSlots is the size of a partition's first table; at most 7 of 8 slots are ever used.
const firstSlots = 8

// tagOf makes a slot's tag of a key's hash.
func tagOf(hash uint64) uint32 {
	if tag := uint32(hash >> 32); tag != 0 {
		return tag
	}
	return 1
}

// home returns where the search for tag begins in a table of n slots (multiply-shift, Lemire, arXiv:1805.10941). It
// rises with tag.
func home(tag uint32, n int) int { return int(uint64(tag) * uint64(n) >> 32) }

// find returns the index of key's slot, -1 if it has none.
func (p *partition) find(tag uint32, key string) int {
	n := len(p.slots)
	if n == 0 {
		return -1
	}
	for i := home(tag, n); ; {
		s := &p.slots[i]
		if s.tag == tag && p.keyOf(s) == key {
			return i
		}
		if s.tag == 0 {
			return -1
		}
		if i++; i == n {
			i = 0
		}
	}
}

// keyOf returns the key of s as a view into the arena, which is good as long as the partition is locked.
func (p *partition) keyOf(s *slot) string { return view(p.arena[s.key:][:s.length]) }

// view returns b as a string without a copy. b must not change while the string is in use.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// add makes a slot for key, which has none. The caller holds a reference to the plan for it.
func (p *partition) add(tag uint32, key string, plan uint16) *slot {
	if len(p.arena)+len(key) > cap(p.arena) && p.live() < len(p.arena)/2 {
		p.rebuild(func(*slot) bool { return true }, nil)
	}
	if (int(p.used)+1)*8 > len(p.slots)*7 {
		p.resize(int(p.used) + 1)
	}
	at := uint64(len(p.arena))
	p.arena = append(p.arena, key...)
	s := p.free(tag)
	*s = slot{tag: tag, plan: plan, length: uint16(len(key)), key: at}
	p.used++
	return s
}

// free returns the first free slot for tag.
func (p *partition) free(tag uint32) *slot {
	n := len(p.slots)
	for i := home(tag, n); ; {
		if p.slots[i].tag == 0 {
			return &p.slots[i]
		}
		if i++; i == n {
			i = 0
		}
	}
}

// resize makes a table with room for keys and moves all slots to it; the arena is left as it is.
func (p *partition) resize(keys int) {
	old := p.slots
	p.slots = make([]slot, tableSize(keys))
	for i := range old {
		if old[i].tag != 0 {
			*p.free(old[i].tag) = old[i]
		}
	}
}

// tableSize returns the least of 8, 12, 16, 24, 32, 48, ... of which 7/8 are at least keys. These sizes fill the
// allocator's size classes, and a table is never less than 58 % full after it has grown.
func tableSize(keys int) int {
	need := (keys*8 + 6) / 7
	if need <= firstSlots {
		return firstSlots
	}
	n := 1 << bits.Len(uint(need-1))
	if three := n / 4 * 3; need <= three {
		return three
	}
	return n
}

// remove frees the slot at hole and moves back those behind it that would no longer be found. The key stays in the arena
// until rebuild.
func (p *partition) remove(hole int) {
	n := len(p.slots)
	for i := hole; ; {
		if i++; i == n {
			i = 0
		}
		c := &p.slots[i]
		if c.tag == 0 {
			break
		}
		if from := home(c.tag, n); (i-from+n)%n >= (i-hole+n)%n {
			p.slots[hole] = *c
			hole = i
		}
	}
	p.slots[hole] = slot{}
	p.used--
}

// rebuild makes table and arena anew with those slots that keep says to keep, in the size that they need, and calls drop
// for the others.
func (p *partition) rebuild(keep func(*slot) bool, drop func(*slot)) {
	old, arena := p.slots, p.arena
	kept, bytes := 0, 0
	for i := range old {
		switch s := &old[i]; {
		case s.tag == 0:
		case keep(s):
			kept++
			bytes += int(s.length)
		default:
			drop(s)
			s.tag = 0
		}
	}
	p.slots, p.arena, p.used = nil, nil, uint32(kept)
	if kept == 0 {
		return
	}
	p.slots, p.arena = make([]slot, tableSize(kept)), make([]byte, 0, bytes)
	for i := range old {
		if s := old[i]; s.tag != 0 {
			key := arena[s.key:][:s.length]
			s.key = uint64(len(p.arena))
			p.arena = append(p.arena, key...)
			*p.free(s.tag) = s
		}
	}
}

// live returns the bytes of the arena that keys in use have.
func (p *partition) live() int {
	bytes := 0
	for i := range p.slots {
		if p.slots[i].tag != 0 {
			bytes += int(p.slots[i].length)
		}
	}
	return bytes
}
