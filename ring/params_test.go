package ring

import (
	"math"
	"testing"
)

// The words are stable: nodes of different releases compare them.
func TestParamsWords(t *testing.T) {
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{}, "v1 partitions=16384 vnodes=512/128 load=1.25 hash=xxhash64"},
		{Params{Partitions: 16384, Load: 1.25}, "v1 partitions=16384 vnodes=512/128 load=1.25 hash=xxhash64"},
		{Params{VirtualNodes: 512}, "v1 partitions=16384 vnodes=512 load=1.25 hash=xxhash64"},
		{Params{Partitions: 64, VirtualNodes: 20, Load: 2}, "v1 partitions=64 vnodes=20 load=2 hash=xxhash64"},
	} {
		if got := c.p.String(); got != c.want {
			t.Errorf("%#v.String() = %q, want %q", c.p, got, c.want)
		}
	}
}

// Parameters out of range are refused with words that say which and what would be right.
func TestParamsValidate(t *testing.T) {
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{}, ""},
		{Params{Partitions: 1, VirtualNodes: 1, Load: 1}, ""},
		{Params{Partitions: 65536, VirtualNodes: 4096, Load: 100}, ""},
		{Params{Partitions: -1}, "ring partitions are -1, want a power of two from 1 to 65536"},
		{Params{Partitions: 1000}, "ring partitions are 1000, want a power of two from 1 to 65536"},
		{Params{Partitions: 131072}, "ring partitions are 131072, want a power of two from 1 to 65536"},
		{Params{Partitions: math.MinInt}, "ring partitions are -9223372036854775808, want a power of two from 1 to 65536"},
		{Params{VirtualNodes: -1}, "ring virtual nodes are -1, want 1 to 4096, or 0 for 512/128"},
		{Params{VirtualNodes: 4097}, "ring virtual nodes are 4097, want 1 to 4096, or 0 for 512/128"},
		{Params{Load: 0.99}, "ring load is 0.99, want 1 to 100"},
		{Params{Load: -1}, "ring load is -1, want 1 to 100"},
		{Params{Load: math.NaN()}, "ring load is NaN, want 1 to 100"},
		{Params{Load: math.Inf(1)}, "ring load is +Inf, want 1 to 100"},
	} {
		var got string
		if err := c.p.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%#v.Validate() = %q, want %q", c.p, got, c.want)
		}
		if _, err := NewBuilder(c.p); (err != nil) != (c.want != "") {
			t.Errorf("NewBuilder(%#v): error %v, want the one of Validate", c.p, err)
		}
	}
}

// Up to 100 members have 512 points each, more have 128, unless one number is set for all.
func TestVirtualNodes(t *testing.T) {
	for _, c := range []struct{ set, members, want int }{
		{0, 1, 512},
		{0, 100, 512},
		{0, 101, 128},
		{0, 65535, 128},
		{64, 1, 64},
		{64, 101, 64},
	} {
		if got := (Params{VirtualNodes: c.set}).virtualNodes(c.members); got != c.want {
			t.Errorf("VirtualNodes %d are %d at %d members, want %d", c.set, got, c.members, c.want)
		}
	}
}
