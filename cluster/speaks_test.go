package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/noriahq/noria/cluster/gossip"
)

// Two nodes speak if both speak a protocol that both accept, and say which they speak if not.
func TestHelloMeets(t *testing.T) {
	for _, c := range []struct {
		a, b  Hello
		meets bool
	}{
		{Hello{Protocol: 4}, Hello{Protocol: 4}, true},            // who knows no newest
		{Hello{Protocol: 4}, Hello{Protocol: 4, Newest: 5}, true}, // and who does
		{Hello{Protocol: 4, Newest: 6}, Hello{Protocol: 4, Newest: 5}, true},
		{Hello{Protocol: 5, Newest: 6}, Hello{Protocol: 4, Newest: 5}, true},
		{Hello{Protocol: 5, Newest: 6}, Hello{Protocol: 4}, false},
		{Hello{Protocol: 6, Newest: 7}, Hello{Protocol: 4, Newest: 5}, false},
		{Hello{Protocol: 4, Newest: 3}, Hello{Protocol: 4}, true}, // nonsense: it accepts what it speaks
	} {
		if got := c.a.meets(c.b); got != c.meets {
			t.Errorf("%s meets %s: %v, want %v", c.a.spoken(), c.b.spoken(), got, c.meets)
		}
		if got := c.b.meets(c.a); got != c.meets {
			t.Errorf("%s meets %s: %v, want %v", c.b.spoken(), c.a.spoken(), got, c.meets)
		}
	}
}

// A node takes in who says the one protocol that nodes said before there were several, and refuses politely what is too old or
// too new.
func TestHelloRefused(t *testing.T) {
	n := &Node{config: Config{Name: "a", Label: "noria"}, name: "a"}
	say := func(oldest, newest uint32) error {
		return n.Hello(Hello{Protocol: oldest, Newest: newest, Label: "noria", Ring: n.hello().Ring, ID: "b"})
	}
	for _, c := range [][2]uint32{{4, 0}, {4, 5}, {4, 9}, {Protocol, Protocol + 3}} {
		if err := say(c[0], c[1]); err != nil {
			t.Errorf("Hello of %v: %v, want it to be let in", c, err)
		}
	}
	err := say(OldestProtocol-1, 0)
	if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "b speaks protocol 3, a speaks 4 to 5") {
		t.Errorf("Hello of one that is too old: %v", err)
	}
	err = say(Protocol+1, Protocol+2)
	if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "b speaks protocol 6 to 7, a speaks 4 to 5") {
		t.Errorf("Hello of one that is too new: %v", err)
	}
}

// A node says to another what both speak, and nothing newer.
func TestSpeaks(t *testing.T) {
	old, same, newer := &member{Member: gossip.Member{Protocol: 4}}, &member{Member: gossip.Member{Protocol: Protocol}}, &member{Member: gossip.Member{Protocol: Protocol + 1}}
	if old.speaks(5) || !old.speaks(4) || !same.speaks(Protocol) || !newer.speaks(Protocol) || newer.speaks(Protocol+1) {
		t.Error("speaks is wrong of one of three members")
	}
}
