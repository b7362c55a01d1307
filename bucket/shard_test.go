package bucket

import (
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// intact returns an error if a shard breaks a rule of its own.
func (sh *shard) intact() error {
	var err error
	used, dead := 0, 0
	sh.each(func(r *record) {
		used++
		if got := sh.find(r.tag, r.key()); got != r {
			err = fmt.Errorf("record of %q: find = %v", r.key(), got)
		}
	})
	for i, e := range sh.index {
		if e.tag == 0 {
			dead++
		} else if got := sh.record(e.at).tag; got != e.tag {
			err = fmt.Errorf("entry %d: tag %x, of its record %x", i, e.tag, got)
		}
	}
	switch {
	case err != nil:
		return err
	case used != int(sh.used) || used != len(sh.index)-dead:
		return fmt.Errorf("%d records, %d entries in use, used is %d", used, len(sh.index)-dead, sh.used)
	case used*2 > len(sh.index):
		return fmt.Errorf("%d of %d entries are in use", used, len(sh.index))
	}
	return nil
}

// intact returns an error if s breaks a rule of its own. No call may be under way.
func (s *Store) intact() error {
	keys, refs := 0, make(map[uint16]int64)
	for i := range s.shards {
		sh := &s.shards[i]
		if err := sh.intact(); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
		if err := s.listed(i); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
		keys += int(sh.used)
		sh.each(func(r *record) { refs[r.plan()]++ })
	}
	if got := int(s.keys.Load()); got != keys || got > int(s.maxKeys) {
		return fmt.Errorf("%d keys in shards, %d counted, %d are the most", keys, got, s.maxKeys)
	}
	for number := range s.crowds.buckets {
		refs[number]++
	}
	for l, i := range s.plans.of {
		if got := s.plans.at(i).refs.Load(); got != refs[i] || s.plans.at(i).limit != l {
			return fmt.Errorf("limit %v has %d references, %d of records", l, got, refs[i])
		}
	}
	return nil
}

// listed returns an error if not each record of shard i that is marked as changed is listed once, and else only dead ones.
func (s *Store) listed(i int) error {
	sh, times := &s.shards[i], make(map[uint32]int)
	for _, at := range s.changed[i] {
		if times[at]++; times[at] > 1 {
			return fmt.Errorf("place %d is listed twice", at)
		}
	}
	var err error
	sh.each(func(r *record) {
		if marked := r.bits&changed != 0; marked != (times[sh.place(r)] == 1) || r.bits&lowered != 0 && !marked {
			err = fmt.Errorf("record of %q: marks %x, listed %d times", r.key(), r.bits&^(maxPlans-1), times[sh.place(r)])
		}
		delete(times, sh.place(r))
	})
	for at := range times {
		if sh.record(at).tag != 0 {
			return fmt.Errorf("place %d is listed and no record", at)
		}
	}
	return err
}

// A shard is a map for each of its partitions, whatever is added and removed, in however small a part of all tags.
func TestShardIsAMap(t *testing.T) {
	checkMany(t, 5, func(t *rapid.T) {
		type name struct {
			part uint32
			key  string
		}
		var sh shard
		want := make(map[name]uint16)
		width := rapid.IntRange(0, maxWidth).Draw(t, "width")
		keys := rapid.SampledFrom([]string{"nine byte", "a", "b", "c", "ab", "d", "e", "f", "g", "h", "i", "k", "l", "m", "a longer one"})
		hashes := rapid.SampledFrom([]uint64{0, 1 << 32, 1 << 63, math.MaxUint64})
		few := hashes.Draw(t, "few") // most have this one
		tag := func(n name) uint32 {
			if len(n.key) == 1 && n.key < "f" {
				return tagOf(n.part, width, few)
			}
			return tagOf(n.part, width, uint64(crc32.ChecksumIEEE([]byte(n.key)))<<32)
		}
		draw := func(t *rapid.T) name {
			return name{rapid.SampledFrom([]uint32{0, 1, 1<<width - 1}).Draw(t, "part") & (1<<width - 1), keys.Draw(t, "key")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := draw(t)
				if _, ok := want[n]; !ok {
					plan := uint16(len(want))
					if r := sh.add(tag(n), n.key, plan); r.bucket != (Bucket{}) {
						t.Fatalf("add(%v) = %+v, want a full bucket", n, r)
					}
					sh.find(tag(n), n.key).bucket.debt = int64(plan) + 1
					want[n] = plan
				}
			},
			"remove": func(t *rapid.T) {
				n := draw(t)
				if r := sh.find(tag(n), n.key); r != nil {
					sh.remove(r)
					delete(want, n)
				}
			},
			"rebuild": func(t *rapid.T) {
				gone := draw(t)
				sh.rebuild(rapid.IntRange(0, 100).Draw(t, "size"), func(r *record) bool { return r.key() != gone.key })
				maps.DeleteFunc(want, func(n name, _ uint16) bool { return n.key == gone.key })
			},
			"": func(t *rapid.T) {
				if err := sh.intact(); err != nil {
					t.Fatal(err)
				}
				of := make(map[uint32]int)
				for n, plan := range want {
					r := sh.find(tag(n), n.key)
					if r == nil || r.plan() != plan || r.bucket.debt != int64(plan)+1 {
						t.Fatalf("find(%v) = %+v, want plan %d", n, r, plan)
					}
					of[n.part]++
				}
				for part := range uint32(1) << width {
					if got := len(sh.of(part, width)); got != of[part] {
						t.Fatalf("%d records of partition %d, want %d", got, part, of[part])
					}
				}
			},
		})
	})
}

// A log never grows to more than a few times what its records need, however often they come and go.
func TestLogIsBounded(t *testing.T) {
	var sh shard
	key := func(i int) (uint32, string) { return uint32(i)*2654435761 | 1, fmt.Sprintf("some key number %09d", i) }
	const live = 100
	for i := range 100_000 {
		tag, name := key(i)
		sh.add(tag, name, 0)
		if i >= live {
			sh.remove(sh.find(key(i - live)))
		}
	}
	if err := sh.intact(); err != nil {
		t.Fatal(err)
	}
	if got, want := cap(sh.log), 3*sh.live(); got > want {
		t.Errorf("a log of %d words for %d, want at most %d", got, sh.live(), want)
	}
	if got := len(sh.index); got > 4*live {
		t.Errorf("%d entries for %d keys", got, live)
	}
}

// The records of each partition are found, and no others, in shards of every number of partitions.
func TestPartitionsOfShards(t *testing.T) {
	for _, parts := range []int{1, 2, 1000, 1024, 1025, 3000, 16384, 65535, 65536} {
		s := storeOf(t, StoreConfig{Partitions: parts})
		if got := len(s.shards); got < min(parts, manyShards/2) || got > max(2*manyShards-1, parts>>maxWidth+1) {
			t.Errorf("%d partitions have %d shards", parts, got)
		}
		for _, part := range []int{0, 1 % parts, parts / 2, parts - 1} {
			for i := range 5 {
				r := &Request{Key: fmt.Sprint("key ", i), Limit: Limit{Burst: 9}, Cost: int64(1 + part%7)}
				if _, err := s.Take(0, part, r); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.Freeze(parts - 1)
		if got := s.Held(0); got != (parts > 1) {
			t.Errorf("of %d partitions, after the last was frozen the first is held: %v", parts, got)
		}
		for _, part := range []int{0, 1 % parts, parts / 2, parts - 1} {
			states := s.Export(0, part)
			if len(states) != 5 || s.Held(part) != (part != parts-1) {
				t.Errorf("of %d partitions, %d has %+v and is held: %v", parts, part, states, s.Held(part))
			}
		}
		if s.Drop(parts / 2); parts > 2 && (len(s.Export(0, parts/2)) != 0 || len(s.Export(0, 1)) != 5) {
			t.Errorf("of %d partitions, Drop(%d) left %v and %v", parts, parts/2, s.Export(0, parts/2), s.Export(0, 1))
		}
		if err := s.intact(); err != nil {
			t.Error(err)
		}
	}
}

func TestIndexSize(t *testing.T) {
	for keys := range 100_000 {
		n := indexSize(keys)
		if n < firstIndex || n < 2*keys || n > firstIndex && n > 3*keys+1 {
			t.Fatalf("indexSize(%d) = %d", keys, n)
		}
	}
}

// Where there may be more keys there are more shards, so that none has so many that it stops for long when it grows.
func TestShardsOfManyKeys(t *testing.T) {
	for _, c := range []struct{ keys, parts, most int }{
		{10_000_000, 16384, shardKeys},
		{100_000_000, 16384, shardKeys},
		{100_000_000, 1024, 100_000_000/1024 + 1}, // there are no more shards than partitions
		{1_000_000_000, 65536, 1_000_000_000/65536 + 1},
	} {
		s := storeOf(t, StoreConfig{Partitions: c.parts, MaxKeys: c.keys})
		if got := c.keys / len(s.shards); got > c.most {
			t.Errorf("%d keys of %d partitions are %d in a shard, want at most %d", c.keys, c.parts, got, c.most)
		}
	}
}
