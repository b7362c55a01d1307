package bucket

import (
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// intact returns an error if a partition breaks a rule of its own.
func (p *partition) intact() error {
	used, size := 0, len(p.slots)
	for i := range p.slots {
		s := &p.slots[i]
		if s.tag == 0 {
			continue
		}
		used++
		if end := int(s.key) + int(s.length); end > len(p.arena) {
			return fmt.Errorf("slot %d: key up to %d in an arena of %d", i, end, len(p.arena))
		}
		if got := p.find(s.tag, p.keyOf(s)); got != i {
			return fmt.Errorf("slot %d with key %q: find = %d", i, p.keyOf(s), got)
		}
	}
	switch {
	case used != int(p.used):
		return fmt.Errorf("%d slots in use, used is %d", used, p.used)
	case used*8 > size*7:
		return fmt.Errorf("%d of %d slots are in use", used, size)
	}
	return nil
}

// intact returns an error if s breaks a rule of its own. No call may be under way.
func (s *Store) intact() error {
	keys, refs := 0, make(map[uint16]int64)
	for i := range s.parts {
		p := &s.parts[i]
		if err := p.intact(); err != nil {
			return fmt.Errorf("partition %d: %w", i, err)
		}
		keys += int(p.used)
		for j := range p.slots {
			if p.slots[j].tag != 0 {
				refs[p.slots[j].plan]++
			}
		}
	}
	if got := int(s.keys.Load()); got != keys || got > int(s.maxKeys) {
		return fmt.Errorf("%d keys in tables, %d counted, %d are the most", keys, got, s.maxKeys)
	}
	for l, i := range s.plans.of {
		if got := s.plans.at(i).refs.Load(); got != refs[i] || s.plans.at(i).limit != l {
			return fmt.Errorf("limit %v has %d references, %d of slots", l, got, refs[i])
		}
	}
	return nil
}

// A partition is a map, whatever is added and removed, in however small a part of all tags.
func TestPartitionIsAMap(t *testing.T) {
	checkMany(t, 5, func(t *rapid.T) {
		var p partition
		want := make(map[string]uint16)
		names := rapid.SampledFrom([]string{"", "a", "b", "c", "ab", "d", "e", "f", "g", "h", "i", "k", "l", "m", "a longer one"})
		tags := rapid.SampledFrom([]uint32{1, 2, 3, math.MaxUint32 - 1, math.MaxUint32, 1 << 31, 1<<31 + 1})
		few := tags.Draw(t, "few") // most have this one
		tagOf := func(key string) uint32 {
			if len(key) == 1 && key < "f" {
				return few
			}
			return crc32.ChecksumIEEE([]byte(key)) | 1
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				key := names.Draw(t, "key")
				if _, ok := want[key]; !ok {
					p.add(tagOf(key), key, uint16(len(want)))
					want[key] = uint16(len(want))
				}
			},
			"remove": func(t *rapid.T) {
				key := names.Draw(t, "key")
				if i := p.find(tagOf(key), key); i >= 0 {
					p.remove(i)
					delete(want, key)
				}
			},
			"rebuild": func(t *rapid.T) {
				gone := names.Draw(t, "gone")
				p.rebuild(func(s *slot) bool { return p.keyOf(s) != gone }, func(*slot) { delete(want, gone) })
			},
			"": func(t *rapid.T) {
				if err := p.intact(); err != nil {
					t.Fatal(err)
				}
				for key, plan := range want {
					if i := p.find(tagOf(key), key); i < 0 || p.slots[i].plan != plan {
						t.Fatalf("find(%q) = %d", key, i)
					}
				}
				if int(p.used) != len(want) {
					t.Fatalf("%d keys, want %d", p.used, len(want))
				}
			},
		})
	})
}

// An arena never grows to more than a few times what its keys need, however often they come and go.
func TestArenaIsBounded(t *testing.T) {
	var p partition
	key := func(i int) (uint32, string) { return uint32(i)*2654435761 | 1, fmt.Sprintf("some key number %09d", i) }
	const live = 100
	for i := range 100_000 {
		tag, name := key(i)
		p.add(tag, name, 0)
		if i >= live {
			tag, name := key(i - live)
			p.remove(p.find(tag, name))
		}
	}
	if err := p.intact(); err != nil {
		t.Fatal(err)
	}
	if got, want := cap(p.arena), 4*p.live(); got > want {
		t.Errorf("arena of %d bytes for %d, want at most %d", got, p.live(), want)
	}
	if got := len(p.slots); got > 4*live {
		t.Errorf("%d slots for %d keys", got, live)
	}
}

func TestTableSize(t *testing.T) {
	for keys := range 100_000 {
		n := tableSize(keys)
		if n < firstSlots || n*7 < keys*8 || n > firstSlots && (n/4*3*7 >= keys*8 && n%3 != 0) {
			t.Fatalf("tableSize(%d) = %d", keys, n)
		}
	}
}
