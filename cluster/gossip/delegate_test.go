package gossip

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

// Whoever is not of this cluster is kept out also when he does not ask to join: news of him are not heard. The dead and
// those who left do not keep anybody from joining.
func TestNews(t *testing.T) {
	g, err := New(Config{
		ID: "a", PeerAddr: "10.0.0.1:7947", Label: "test", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := delegate{g, &wire{}}
	ours := g.config.meta(false, 0)
	other := ours
	other.label = "prod"
	for _, c := range []struct {
		name, want string
		meta       []byte
	}{
		{"b/1", "", ours.encode()},
		{"b/1", `label "test" here, "prod" at 10.0.0.2:7946`, other.encode()},
		{"b", `name "b": want id/boot at 10.0.0.2:7946`, ours.encode()},
		{"consul-1", "not a node of this kind at 10.0.0.2:7946", nil},
	} {
		n := &memberlist.Node{Name: c.name, Addr: net.IPv4(10, 0, 0, 2), Port: 7946, Meta: c.meta}
		err := d.NotifyAlive(n)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrMismatch) || !strings.HasSuffix(err.Error(), c.want)) {
			t.Errorf("NotifyAlive(%s) = %v, want %q", c.name, err, c.want)
		}
		n.State = memberlist.StateDead
		if err := d.NotifyMerge([]*memberlist.Node{n}); err != nil {
			t.Errorf("NotifyMerge with %s, dead: %v, want nil", c.name, err)
		}
	}
}
