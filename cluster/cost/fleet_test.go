package cost

import (
	"testing"

	"pgregory.net/rapid"
)

// Figures that are off by more than the tolerance are found, in either direction, and others are not.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		got, want float64
		near      bool
	}{{100, 100, true}, {100, 119, true}, {100, 81, true}, {100, 121, false}, {100, 79, false}, {0, 0, true}, {0, 1, false}, {1, 0, false}} {
		if err := Near("x", c.got, c.want); (err == nil) != c.near {
			t.Errorf("Near(%v, %v) = %v, want near: %v", c.got, c.want, err, c.near)
		}
	}
}

// The planted bugs: formulas that are easily got wrong differ by more than the tolerance from the right ones, so that the tests
// that count find them.
func TestWrongFormulasAreFound(t *testing.T) {
	f := Fleet{Holders: 5, Gateways: 10, Partitions: 1024, Keys: 500, Active: 500, Checks: 10_000, KeyLen: 13, NameLen: 8}
	for what, v := range map[string][2]float64{
		"every change is a message of its own":      {f.Replicas(), f.Checks / float64(f.Holders)},
		"every check is a change":                   {f.Changed(), f.Checks / float64(f.Holders) * Tick.Seconds()},
		"the mesh is full although there are roles": {float64(f.Ways()), float64(f.Nodes() * (f.Nodes() - 1))},
		"holders beat gateways":                     {f.Beats(), perSecond(Beat) * float64(f.Nodes()-1)},
		"a join moves half of what is there":        {f.Join().Moved, float64(f.Partitions) / 2},
		"only what moves is made a replica of":      {f.Join().Filled, f.Join().Moved},
	} {
		if Near(what, v[0], v[1]) == nil {
			t.Errorf("nobody would see that %s: %v and %v", what, v[0], v[1])
		}
	}
}

// Whatever the fleet, shares are shares and nothing is less than nothing.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Fleet{
			Holders: rapid.IntRange(1, 1000).Draw(t, "holders"), Gateways: rapid.IntRange(0, 1000).Draw(t, "gateways"), Partitions: Ring,
			Keys: rapid.Float64Range(0, 1e9).Draw(t, "keys"), Checks: rapid.Float64Range(0, 1e7).Draw(t, "checks"), KeyLen: 16, NameLen: 28,
		}
		f.Active = rapid.Float64Range(0, f.Keys).Draw(t, "active")
		if l := f.Local(); l <= 0 || l > 1 {
			t.Errorf("%+v: %v of all checks are local", f, l)
		}
		if c := f.Changed(); c < 0 || c > f.Active || c > f.Checks/float64(f.Holders)*Tick.Seconds()*1.000001 {
			t.Errorf("%+v: %v keys change in a tick", f, c)
		}
		if h := f.Heirs(); h < 0 || h > float64(f.Holders-1)+1e-9 {
			t.Errorf("%+v: %v heirs", f, h)
		}
		if f.Replicas() < 0 || f.ReplicaBytes() < 0 || f.Streams() < 0 {
			t.Errorf("%+v: %v messages, %v bytes, %v streams", f, f.Replicas(), f.ReplicaBytes(), f.Streams())
		}
	})
}
