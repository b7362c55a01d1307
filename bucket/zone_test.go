package bucket

import (
	"os"
	"strings"
	"testing"
	_ "time/tzdata" // for systems without a time zone database
)

// zoneNames returns the names of all time zones (tzdata 2025).
func zoneNames(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// Every zone is accepted under its name, and most in any case.
func TestZoneNames(t *testing.T) {
	names := zoneNames(t)
	known := 0
	for _, name := range names {
		l := Limit{Burst: 1, Window: Day, Zone: name}
		if err := l.Validate(); err != nil {
			t.Errorf("%v: Validate() = %v, want nil", l, err)
		}
		if zoneName(strings.ToLower(name)) == name {
			known++
		}
	}
	if known < len(names)*9/10 {
		t.Errorf("%d of %d zones are known in lower case, want nine of ten", known, len(names))
	}
}
