package keys_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/keys"
	"github.com/noriahq/noria/transport/peerpb"
)

// A fleet is some nodes with keyrings, which ask each other.
type fleet struct {
	t        *testing.T
	ids      []ring.Member
	rings    map[ring.Member]*gossip.Keyring
	services map[ring.Member]*keys.Service

	mu      sync.Mutex
	missing []ring.Member
	left    int // requests to others that are still answered; guarded by mu
	extra   []keys.Member
}

const forever = 1 << 30

// newFleet returns nodes that share a key.
func newFleet(t *testing.T, ids ...ring.Member) *fleet {
	t.Helper()
	f := &fleet{t: t, ids: ids, rings: map[ring.Member]*gossip.Keyring{}, services: map[ring.Member]*keys.Service{}, left: forever}
	for _, id := range ids {
		k, err := gossip.NewKeyring([][]byte{[]byte("0123456789abcdef")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.rings[id] = k
		f.services[id] = keys.New(keys.Config{Keyring: k, Self: id, Members: f.members, Ask: f.ask})
	}
	return f
}

// members returns all nodes.
func (f *fleet) members() (all []keys.Member, missing []ring.Member) {
	for _, id := range f.ids {
		all = append(all, keys.Member{ID: id, Peer: string(id)})
	}
	return append(all, f.extra...), f.missing
}

// ask asks a node, if it still answers, and looks after each answer whether all understand each other.
func (f *fleet) ask(ctx context.Context, m keys.Member, r *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left < 0 && r.GetAction() != peerpb.KeysAction_KEYS_ACTION_END {
		return nil, errors.New("connection lost")
	}
	a, err := f.services[m.ID].Answer(ctx, r)
	f.understand()
	return a, err
}

// understand checks that what one encrypts all can read.
func (f *fleet) understand() {
	f.t.Helper()
	for _, from := range f.ids {
		for _, to := range f.ids {
			if used := f.rings[from].IDs()[0]; !slices.Contains(f.rings[to].IDs(), used) {
				f.t.Errorf("%s uses a key that %s does not understand", from, to)
			}
		}
	}
}

// A rotation that breaks off, wherever, leaves all nodes understanding each other, and the next one ends what it began.
func TestRotate(t *testing.T) {
	const before = "0123456789abcdef"
	for left := 0; ; left++ {
		f := newFleet(t, "a", "b", "c")
		f.left = left
		result, err := f.services["b"].Do(t.Context(), keys.Request{Action: "rotate"})
		f.understand()
		if err == nil && result.Same && left < 100 && f.left >= 0 {
			if left < 8 {
				t.Errorf("a rotation was done with %d requests", left)
			}
			break // it was not broken off
		}
		if err == nil || !errors.Is(err, keys.ErrMembers) && f.left >= 0 {
			t.Errorf("broken off after %d requests: %+v, %v", left, result, err)
		}
		f.left = forever
		result, err = f.services["c"].Do(t.Context(), keys.Request{Action: "rotate"})
		if err != nil || !result.Same || len(result.Members) != 3 {
			t.Fatalf("after one that broke off after %d requests: %+v, %v", left, result, err)
		}
		for _, m := range result.Members {
			if !slices.Equal(m.Keys, []string{result.Key}) || result.Key == gossip.KeyID([]byte(before)) {
				t.Errorf("after one that broke off after %d requests %s has %v, want the new key alone", left, m.ID, m.Keys)
			}
		}
	}
}

// Steps that would leave somebody out are not taken.
func TestRefusals(t *testing.T) {
	f := newFleet(t, "a", "b")
	old := gossip.KeyID([]byte("0123456789abcdef"))
	do := func(want error, text string, r keys.Request) keys.Result {
		t.Helper()
		result, err := f.services["a"].Do(t.Context(), r)
		if !errors.Is(err, want) || err != nil && (!strings.Contains(err.Error(), text) || result.Error != "" && result.Error != err.Error()) {
			t.Errorf("%+v = %+v, %v; want %v, %q", r, result, err, want, text)
		}
		f.understand()
		return result
	}
	do(keys.ErrRequest, "want list, install, use, remove or rotate", keys.Request{Action: "rotat"})
	do(keys.ErrRequest, "not base64", keys.Request{Action: "install", Key: "?"})
	do(keys.ErrRequest, "wants the id of a key", keys.Request{Action: "use"})
	do(keys.ErrRequest, "a has no key", keys.Request{Action: "use", ID: "0123"})
	do(keys.ErrRequest, "nobody has a key", keys.Request{Action: "remove", ID: "0123"})
	do(keys.ErrRequest, "a uses the key", keys.Request{Action: "remove", ID: old})
	f.missing = []ring.Member{"gone"}
	do(keys.ErrMissing, "gone", keys.Request{Action: "rotate"})
	if r := do(nil, "", keys.Request{Action: "list"}); !slices.Equal(r.Missing, f.missing) || !r.Same {
		t.Errorf("list says %+v", r)
	}
	installed := do(nil, "", keys.Request{Action: "install", Force: true})
	f.missing = nil
	do(nil, "", keys.Request{Action: "use", ID: installed.Key})
	do(nil, "", keys.Request{Action: "remove", ID: old})
	if r := do(nil, "", keys.Request{Action: "list"}); !r.Same || !slices.Equal(r.Members[1].Keys, []string{installed.Key}) {
		t.Errorf("list says %+v", r)
	}

	begin := &peerpb.KeysRequest{Run: "other", Action: peerpb.KeysAction_KEYS_ACTION_BEGIN}
	if _, err := f.services["b"].Answer(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	do(keys.ErrBusy, "b: another run", keys.Request{Action: "rotate"})
	begin.Action = peerpb.KeysAction_KEYS_ACTION_END
	if _, err := f.services["b"].Answer(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	do(nil, "", keys.Request{Action: "rotate"})
	for _, action := range []peerpb.KeysAction{peerpb.KeysAction_KEYS_ACTION_INSTALL, peerpb.KeysAction_KEYS_ACTION_USE, peerpb.KeysAction_KEYS_ACTION_REMOVE} {
		if _, err := f.services["b"].Answer(t.Context(), &peerpb.KeysRequest{Action: action, Key: []byte("fedcba9876543210")}); status.Code(err) != codes.Aborted {
			t.Errorf("%v outside a run: %v", action, err)
		}
	}
	none := keys.New(keys.Config{Self: "x"})
	if _, err := none.Do(t.Context(), keys.Request{Action: "list"}); !errors.Is(err, keys.ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
	if _, err := none.Answer(t.Context(), begin); status.Code(err) != codes.Unimplemented {
		t.Errorf("without keys: %v", err)
	}
}

// Who joins while keys are replaced may have the old ones alone: they stay.
func TestJoinsMeanwhile(t *testing.T) {
	f := newFleet(t, "a", "b")
	asked := 0
	inner := f.services["b"]
	f.services["a"] = keys.New(keys.Config{Keyring: f.rings["a"], Self: "a", Members: f.members, Ask: func(ctx context.Context, _ keys.Member, r *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
		if asked++; r.GetAction() == peerpb.KeysAction_KEYS_ACTION_USE {
			f.extra = []keys.Member{{ID: "late", Peer: "late"}}
		}
		return inner.Answer(ctx, r)
	}})
	_, err := f.services["a"].Do(t.Context(), keys.Request{Action: "rotate"})
	if !errors.Is(err, keys.ErrMembers) || !strings.Contains(err.Error(), "came or went") || len(f.rings["b"].IDs()) != 2 {
		t.Errorf("Do = %v, and b has %v", err, f.rings["b"].IDs())
	}
}
