package bucket

import (
	"slices"
	"sync"
	"unsafe"
)

// A shard is the buckets of some neighbouring partitions under one lock. An index finds them, an open-addressing table
// with linear probing, and its entries point into a log of records. Neither holds a pointer, so the collector never looks
// into them. A decision touches the shard, one line of the index and one or two of the record; with a record in each slot
// of the table it would be as many, in a table four times as large. One shard is 1/1,024 of a node's keys, so
// whatever takes time that grows with it takes little and stops nobody else.
//
// It fills one cache line.
type shard struct {
	mu     sync.Mutex
	index  []entry  // as many as indexSize says; guarded by mu, like all that follows
	log    []uint64 // records, one behind the other, and dead ones among them
	used   uint32   // entries in use
	takes  uint16   // wraps; tells which takes are sampled for the top keys
	frozen uint16   // a bit for each partition, by its number, that is moving, or elsewhere
}

// maxWidth is the bits of the number that a partition has in its shard, at most.
const maxWidth = 4

// An entry of the index says where the record of a key is in the log. A tag of 0 means that it is free.
type entry struct {
	tag uint32 // the partition within the shard, then bits of the key's hash
	at  uint32
}

// A record is one key's bucket. The bytes of the key follow it.
type record struct {
	bucket Bucket
	tag    uint32 // 0 if it is dead
	bits   uint16 // the number of its plan in Store.plans, and marks
	length uint16 // of the key
}

// The marks of a record.
const (
	changed uint16 = maxPlans      // its place is in Store.changed
	lowered uint16 = maxPlans << 1 // since it was marked as changed it came to owe less other than by refill
	lent    uint16 = maxPlans << 2 // it has leases or reservations: it is in Store.leases
)

const (
	wordSize   = 8 // bytes
	recordSize = int(unsafe.Sizeof(record{})) / wordSize
)

// words returns the size of a record with a key of length bytes.
func words(length int) int { return recordSize + (length+wordSize-1)/wordSize }

// record returns the record at a place of the log. It is good until the log grows or the shard is unlocked.
func (sh *shard) record(at uint32) *record { return (*record)(unsafe.Pointer(&sh.log[at])) }

// place returns where in the log r is.
func (sh *shard) place(r *record) uint32 {
	return uint32((uintptr(unsafe.Pointer(r)) - uintptr(unsafe.Pointer(&sh.log[0]))) / wordSize)
}

// plan returns the number of r's plan in Store.plans.
func (r *record) plan() uint16 { return r.bits & (maxPlans - 1) }

// unchanged makes r not marked as changed.
func (r *record) unchanged() { r.bits &= maxPlans - 1 | lent }

// key returns r's key as a view into the log, which is good as long as r is.
func (r *record) key() string {
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(r), unsafe.Sizeof(*r))), int(r.length))
}

// find returns the record of key, nil if it has none.
func (sh *shard) find(tag uint32, key string) *record {
	n := len(sh.index)
	if n == 0 {
		return nil
	}
	for i := home(tag, n); ; {
		e := &sh.index[i]
		if e.tag == tag {
			if r := sh.record(e.at); r.key() == key {
				return r
			}
		}
		if e.tag == 0 {
			return nil
		}
		if i++; i == n {
			i = 0
		}
	}
}

// add makes a record for key, which has none. All other records may move. The caller holds a reference to the plan for
// it.
func (sh *shard) add(tag uint32, key string, plan uint16) *record {
	size := words(len(key))
	sh.room(size)
	if (int(sh.used)+1)*2 > len(sh.index) {
		sh.reindex(int(sh.used) + 1)
	}
	at := uint32(len(sh.log))
	sh.log = sh.log[:len(sh.log)+size]
	r := sh.record(at)
	*r = record{tag: tag, bits: plan, length: uint16(len(key))}
	copy(unsafe.Slice(unsafe.StringData(r.key()), len(key)), key)
	sh.point(tag, at)
	sh.used++
	return r
}

// remove makes r dead. It stays in the log until the next rebuild.
func (sh *shard) remove(r *record) {
	i := home(r.tag, len(sh.index))
	for sh.index[i].tag != r.tag || sh.record(sh.index[i].at) != r {
		if i++; i == len(sh.index) {
			i = 0
		}
	}
	sh.unpoint(i)
	sh.used--
	r.tag = 0
}

// each calls do with every record, in the order of the log. It must not add any.
func (sh *shard) each(do func(r *record)) {
	for at := 0; at < len(sh.log); {
		r := sh.record(uint32(at))
		at += words(int(r.length))
		if r.tag != 0 {
			do(r)
		}
	}
}

// live returns the words of the log that records in use have.
func (sh *shard) live() int {
	live := 0
	sh.each(func(r *record) { live += words(int(r.length)) })
	return live
}

// room makes room for size more words in the log: by leaving out dead records if they are a third of it, or else by making
// it longer. It says whether records have other places now.
func (sh *shard) room(size int) (moved bool) {
	if len(sh.log)+size <= cap(sh.log) {
		return false
	}
	live := sh.live()
	if live <= len(sh.log)/3*2 {
		sh.rebuild(live+live/4+size, func(*record) bool { return true })
		return true
	}
	sh.log = slices.Grow(sh.log, size)
	return false
}

// rebuild makes the log anew, with room for at least size words, of those records that keep says to keep, and an index
// as large as they need.
func (sh *shard) rebuild(size int, keep func(*record) bool) {
	old := shard{log: sh.log}
	sh.index, sh.log, sh.used = nil, nil, 0
	if size > 0 {
		sh.log = make([]uint64, 0, size)
	}
	old.each(func(r *record) {
		if keep(r) {
			sh.log = append(sh.log, unsafe.Slice((*uint64)(unsafe.Pointer(r)), words(int(r.length)))...)
			sh.used++
		}
	})
	if sh.used == 0 {
		return
	}
	sh.index = make([]entry, indexSize(int(sh.used)))
	for at := 0; at < len(sh.log); {
		r := sh.record(uint32(at))
		sh.point(r.tag, uint32(at))
		at += words(int(r.length))
	}
}

// of returns the records of one partition, by the number that it has in the shard.
func (sh *shard) of(partition uint32, width int) []*record {
	var records []*record
	n := len(sh.index)
	if n == 0 {
		return nil
	}
	first := home(partition<<(32-width), n)
	last := home(partition<<(32-width)|(1<<32-1)>>width, n)
	for i := range n { // those that found no place before last come behind it, up to the first free entry
		e := sh.index[(first+i)%n]
		switch {
		case e.tag == 0 && first+i >= last:
			return records
		case e.tag != 0 && e.tag>>(32-width) == partition:
			records = append(records, sh.record(e.at))
		}
	}
	return records
}
