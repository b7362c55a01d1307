package gossip

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What a node says of itself is read as it was said, also by those who know less of it.
func TestMeta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := meta{
			draining: rapid.Bool().Draw(t, "draining"),
			gateway:  rapid.Bool().Draw(t, "gateway"),
			protocol: rapid.Uint32().Draw(t, "protocol"),
			label:    rapid.String().Draw(t, "label"),
			ring:     rapid.String().Draw(t, "ring"),
			peer:     rapid.String().Draw(t, "peer"),
			policy:   rapid.Uint64().Draw(t, "policy"),
		}
		if newest := rapid.Uint32().Draw(t, "newest"); newest > m.protocol {
			m.newest = newest
		}
		b := append(m.encode(), rapid.SliceOf(rapid.Byte()).Draw(t, "more")...)
		got, err := parseMeta(b)
		if err != nil {
			t.Fatalf("parseMeta(%q): %v", b, err)
		}
		if got != m {
			t.Fatalf("parseMeta(%q) = %+v, want %+v", b, got, m)
		}
	})
}

// No bytes upset the reader, what it accepts it can say again, and what is cut short it refuses.
func FuzzMeta(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("n\x01\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("n\x02\x00\x01\x00\x00\x00"))
	f.Add(meta{draining: true, protocol: 1, label: "prod", ring: "partitions 16384", peer: "10.0.0.1:7947"}.encode())
	f.Add(meta{protocol: 1, label: "prod", ring: "r", peer: "h:1", policy: 1 << 40}.encode())
	f.Add(meta{protocol: 4, newest: 300, label: "prod", ring: "r", peer: "h:1", policy: 1 << 40}.encode())
	f.Add([]byte("n\x01\x08\x04\x00\x00\x00\x03"))                             // the newest is older than the oldest
	f.Add([]byte("n\x01\x04\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) // a policy of 0
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		said := m.encode()
		if again, err := parseMeta(said); err != nil || again != m {
			t.Errorf("parseMeta(%q) = %+v, %v, want %+v", said, again, err, m)
		}
		for k := range said {
			if _, err := parseMeta(said[:k]); err == nil {
				t.Errorf("parseMeta(%q) accepts what is cut short", said[:k])
			}
		}
	})
}

// The bytes of metadata are fixed: nodes of one protocol must read each other.
func TestMetaBytes(t *testing.T) {
	got := string(meta{draining: true, protocol: 300, label: "prod", ring: "r", peer: "h:1"}.encode())
	if want := "n\x01\x01\xac\x02\x04prod\x01r\x03h:1"; got != want {
		t.Errorf("metadata is %q, want %q", got, want)
	}
	got = string(meta{gateway: true, protocol: 300, label: "prod", ring: "r", peer: "h:1"}.encode())
	if want := "n\x01\x02\xac\x02\x04prod\x01r\x03h:1"; got != want {
		t.Errorf("metadata of a gateway is %q, want %q", got, want)
	}
	got = string(meta{protocol: 300, label: "prod", ring: "r", peer: "h:1", policy: 0x0102030405060708}.encode())
	if want := "n\x01\x04\xac\x02\x04prod\x01r\x03h:1\x01\x02\x03\x04\x05\x06\x07\x08"; got != want {
		t.Errorf("metadata with a policy is %q, want %q", got, want)
	}
	got = string(meta{protocol: 4, newest: 300, label: "prod", ring: "r", peer: "h:1", policy: 0x0102030405060708}.encode())
	if want := "n\x01\x0c\x04\x04prod\x01r\x03h:1\x01\x02\x03\x04\x05\x06\x07\x08\xac\x02"; got != want {
		t.Errorf("metadata with several protocols is %q, want %q", got, want)
	}
}

// What is no metadata of ours is refused with a reason.
func TestMetaRefused(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "not a node of this kind",
		"consul":                            "not a node of this kind",
		"n\x02\x00\x01\x00\x00\x00":         "metadata of form 2, this node knows form 1",
		"n\x01\x00\xff\xff\xff\xff\xff\x01": "metadata is cut short",
		"n\x01\x00\x01\x05prod":             "metadata is cut short",
	} {
		if _, err := parseMeta([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("parseMeta(%q) = %v, want %q", in, err, want)
		}
	}
}

// A run's name tells ID and boot, whatever is in the ID.
func TestName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ringID.Draw(t, "id")
		boot := rapid.Uint64().Draw(t, "boot")
		gotID, gotBoot, err := parseName(nameOf(id, boot))
		if err != nil || gotID != id || gotBoot != boot {
			t.Fatalf("parseName(%q) = %q, %d, %v", nameOf(id, boot), gotID, gotBoot, err)
		}
	})
	for _, name := range []string{"", "a", "a/", "/1", "a/b", "a/-1", "a/01", "a\n/1", "\xff/1", strings.Repeat("x", 129) + "/1"} {
		if id, boot, err := parseName(name); err == nil {
			t.Errorf("parseName(%q) = %q, %d, want an error", name, id, boot)
		}
	}
}

// Of several nodes with one ID the newest is told, whatever the order, and those at other addresses are in conflict.
func TestNewest(t *testing.T) {
	a := Member{ID: "a", Boot: 1, Gossip: "10.0.0.1:1"}
	b1 := Member{ID: "b", Boot: 1, Gossip: "10.0.0.2:1"}
	b2 := Member{ID: "b", Boot: 2, Gossip: "10.0.0.2:1"}
	b3 := Member{ID: "b", Boot: 3, Gossip: "10.0.0.3:1"}
	for _, c := range []struct {
		in        []Member
		set       []Member
		conflicts []Conflict
	}{
		{nil, []Member{}, nil},
		{[]Member{b1, a}, []Member{a, b1}, nil},
		{[]Member{b1, a, b2}, []Member{a, b2}, nil},
		{[]Member{b3, b1, a, b2}, []Member{a, b3}, []Conflict{{Newer: b3, Older: b2}}},
	} {
		set, conflicts := newest(append([]Member(nil), c.in...))
		if diff := cmp.Diff(set, c.set) + cmp.Diff(conflicts, c.conflicts); diff != "" {
			t.Errorf("newest(%v) differs:\n%s", c.in, diff)
		}
	}
}
