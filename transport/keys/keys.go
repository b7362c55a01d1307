// Package keys looks at and changes the keys that encrypt gossip, at all members of a cluster together.
//
// Any member may be asked, and asks the others at their peer ports. A new key is installed at all before one of them uses
// it, and used by all before the old one is removed, so that at any time each understands each. A step is taken only where
// the one before it is confirmed by all.
package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

// Errors of Do.
var (
	ErrRequest = errors.New("bad request for keys")         // it makes no sense
	ErrNoKeys  = errors.New("gossip is not encrypted")      // at the node that was asked
	ErrMissing = errors.New("not all members can be asked") // some are missing, and Force was not said
	ErrBusy    = errors.New("keys are being changed already")
	ErrMembers = errors.New("not all members have done it") // Result says what all have
)

// Bounds of a run.
const (
	stepWait = 5 * time.Second  // for the answer of a member
	runWait  = time.Minute      // for all steps
	idle     = 30 * time.Second // a run of which nothing was heard for so long has ended
	keySize  = 32               // of those that are made here
)

// A Member is whom to ask.
type Member struct {
	ID   ring.Member
	Peer string // address at which other members reach it
}

// Config is what a Service is made of. All are required, but for Keyring.
type Config struct {
	// Keyring has the keys of this node. nil says that its gossip has none.
	Keyring *gossip.Keyring

	// Self is this node.
	Self ring.Member

	// Members returns the members, this node among them, and the ids of those that are missing: dead, or cut off.
	Members func() (all []Member, missing []ring.Member)

	// Ask asks another member for a step.
	Ask func(context.Context, Member, *peerpb.KeysRequest) (*peerpb.KeysResponse, error)
}

// A Service looks at and changes keys. It is safe for concurrent use.
type Service struct {
	config Config

	mu   sync.Mutex
	run  string    // that this node takes part in, "" for none; guarded by mu
	last time.Time // when something was heard of it; guarded by mu
}

// New returns a Service.
func New(c Config) *Service { return &Service{config: c} }

// Answer does a step at this node, for a run of any member. Errors have a gRPC status.
func (s *Service) Answer(_ context.Context, r *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
	k := s.config.Keyring
	if k == nil {
		return nil, status.Error(codes.Unimplemented, "its gossip has no keys: it was started without --gossip-keyring")
	}
	if len(r.GetRun()) > 64 {
		return nil, status.Error(codes.InvalidArgument, "the name of the run is too long")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter(r); err != nil {
		return nil, err
	}
	var err error
	switch r.GetAction() {
	case peerpb.KeysAction_KEYS_ACTION_INSTALL:
		err = k.Install(r.GetKey())
	case peerpb.KeysAction_KEYS_ACTION_USE:
		err = k.Use(r.GetId())
	case peerpb.KeysAction_KEYS_ACTION_REMOVE:
		err = k.Remove(r.GetId())
	default: // changes none
	}
	switch {
	case errors.Is(err, gossip.ErrKey):
		return nil, status.Error(codes.InvalidArgument, err.Error())
	case err != nil:
		return nil, status.Errorf(codes.Internal, "its keys cannot be written: %v", err)
	}
	return &peerpb.KeysResponse{Ids: k.IDs()}, nil
}

// enter takes part in r's run, or says that there is another one. It is called under mu.
func (s *Service) enter(r *peerpb.KeysRequest) error {
	now := time.Now()
	free := s.run == "" || now.Sub(s.last) > idle
	switch r.GetAction() {
	case peerpb.KeysAction_KEYS_ACTION_LIST:
		return nil
	case peerpb.KeysAction_KEYS_ACTION_END:
		if s.run == r.GetRun() {
			s.run = ""
		}
		return nil
	case peerpb.KeysAction_KEYS_ACTION_BEGIN:
		if free {
			s.run = r.GetRun()
		}
	default: // in a run that has begun
	}
	if s.run != r.GetRun() || s.run == "" {
		return status.Error(codes.Aborted, "another run is changing its keys, or has ended this one")
	}
	s.last = now
	return nil
}

// A Request says what to do with the keys of all members.
type Request struct {
	// Action is list, install, use, remove or rotate.
	Action string `json:"action"`

	// Key is the key to install, in base64.
	Key string `json:"key,omitempty"`

	// ID is the id of the key to use or to remove.
	ID string `json:"id,omitempty"`

	// Force does it although members are missing: they have to be given the new key by hand before they can come back.
	Force bool `json:"force,omitempty"`
}

// A Result says which keys members have.
type Result struct {
	// Key is the id of the key that was installed, used or removed, "" for list.
	Key string `json:"key,omitempty"`

	// Steps are those that were taken.
	Steps []Step `json:"steps,omitempty"`

	// Members are all that were asked, in order of their ids, and what they have now.
	Members []MemberKeys `json:"members"`

	// Missing are members that could not be asked.
	Missing []ring.Member `json:"missing,omitempty"`

	// Same says that all have the same keys and use the same.
	Same bool `json:"same"`

	// Error says what went wrong, "" for nothing.
	Error string `json:"error,omitempty"`
}

// A Step is what all members were asked to do.
type Step struct {
	Action    string `json:"action"`
	Key       string `json:"key"`
	Confirmed int    `json:"confirmed"` // by so many members
	Members   int    `json:"members"`   // of so many
}

// MemberKeys are the keys of a member.
type MemberKeys struct {
	ID    ring.Member `json:"id"`
	Keys  []string    `json:"keys,omitempty"` // ids; the first is in use
	Error string      `json:"error,omitempty"`
}

// Do does r at all members. Where it fails the Result says how far it came; to ask again is safe. Errors wrap one of those
// above.
func (s *Service) Do(ctx context.Context, r Request) (Result, error) {
	if s.config.Keyring == nil {
		return Result{}, fmt.Errorf("%w: this node was started without --gossip-keyring", ErrNoKeys)
	}
	ctx, cancel := context.WithTimeout(ctx, runWait)
	defer cancel()
	members, missing := s.config.Members()
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	if len(members) == 0 {
		return Result{}, fmt.Errorf("%w: this node has not joined yet", ErrMissing)
	}
	run := &run{s: s, name: rand.Text(), members: members, result: Result{Missing: missing}}
	err := run.do(ctx, r)
	if listErr := run.list(ctx); err == nil {
		err = listErr
	}
	if err != nil {
		run.result.Error = err.Error()
	}
	return run.result, err
}

// A run is one Do.
type run struct {
	s       *Service
	name    string
	members []Member
	result  Result
}

// do takes the steps of q.
func (r *run) do(ctx context.Context, q Request) error {
	steps, err := r.plan(q)
	if err != nil || len(steps) == 0 {
		return err
	}
	if len(r.result.Missing) > 0 && !q.Force {
		return fmt.Errorf("%w: %v missing: wait for them, or forget them with --force; they then need the new key by hand", ErrMissing, r.result.Missing)
	}
	if err := r.step(ctx, "begin", &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_BEGIN}); err != nil {
		r.end(ctx)
		return err
	}
	defer r.end(ctx)
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// plan returns what to do for q.
func (r *run) plan(q Request) ([]func(context.Context) error, error) {
	switch q.Action {
	case "list":
		return nil, nil
	case "install", "rotate":
		key := make([]byte, keySize)
		_, _ = rand.Read(key) // never fails
		if q.Key != "" {
			var err error
			if key, err = gossip.ParseKey(q.Key); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrRequest, err)
			}
		}
		id := gossip.KeyID(key)
		r.result.Key = id
		install := func(ctx context.Context) error { return r.install(ctx, key) }
		if q.Action == "install" {
			return []func(context.Context) error{install}, nil
		}
		return []func(context.Context) error{
			install,
			func(ctx context.Context) error { return r.use(ctx, id) },
			func(ctx context.Context) error { return r.removeOthers(ctx, id) },
		}, nil
	case "use", "remove":
		if q.ID == "" {
			return nil, fmt.Errorf("%w: %s wants the id of a key, as list shows it", ErrRequest, q.Action)
		}
		r.result.Key = q.ID
		do := r.use
		if q.Action == "remove" {
			do = r.remove
		}
		return []func(context.Context) error{func(ctx context.Context) error { return do(ctx, q.ID) }}, nil
	}
	return nil, fmt.Errorf("%w: action %.20q, want list, install, use, remove or rotate", ErrRequest, q.Action)
}

// install makes key understood by all.
func (r *run) install(ctx context.Context, key []byte) error {
	return r.step(ctx, "install", &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_INSTALL, Key: key})
}

// use makes all use the key with the id, which all have.
func (r *run) use(ctx context.Context, id string) error {
	if err := r.list(ctx); err != nil {
		return err
	}
	for _, m := range r.result.Members {
		if !slices.Contains(m.Keys, id) {
			return fmt.Errorf("%w: %s has no key %.16q: install it first", ErrRequest, m.ID, id)
		}
	}
	return r.step(ctx, "use", &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_USE, Id: id})
}

// remove makes the key with the id not understood any more. Nobody uses it.
func (r *run) remove(ctx context.Context, id string) error {
	if err := r.list(ctx); err != nil {
		return err
	}
	if err := r.unchanged(); err != nil {
		return err
	}
	known := false
	for _, m := range r.result.Members {
		if m.Keys[0] == id {
			return fmt.Errorf("%w: %s uses the key %s: use another one first", ErrRequest, m.ID, id)
		}
		known = known || slices.Contains(m.Keys, id)
	}
	if !known {
		return fmt.Errorf("%w: nobody has a key %.16q", ErrRequest, id)
	}
	return r.step(ctx, "remove", &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_REMOVE, Id: id})
}

// removeOthers removes all keys but the one with the id, which all use.
func (r *run) removeOthers(ctx context.Context, id string) error {
	if err := r.list(ctx); err != nil {
		return err
	}
	if err := r.unchanged(); err != nil {
		return err
	}
	others := map[string]bool{}
	for _, m := range r.result.Members {
		if m.Keys[0] != id {
			return fmt.Errorf("%w: %s uses the key %s and not %s", ErrMembers, m.ID, m.Keys[0], id)
		}
		for _, k := range m.Keys[1:] {
			others[k] = true
		}
	}
	for _, old := range slices.Sorted(maps.Keys(others)) {
		if err := r.step(ctx, "remove", &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_REMOVE, Id: old}); err != nil {
			return err
		}
	}
	return nil
}

// unchanged says that members came or went since the run began, who may have none but the old keys.
func (r *run) unchanged() error {
	now, _ := r.s.config.Members()
	slices.SortFunc(now, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	if !slices.EqualFunc(now, r.members, func(a, b Member) bool { return a.ID == b.ID }) {
		return fmt.Errorf("%w: members came or went meanwhile; run it again", ErrMembers)
	}
	return nil
}

// list asks all which keys they have, and notes them.
func (r *run) list(ctx context.Context) error {
	return r.step(ctx, "list", &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_LIST})
}

// end lets all take part in other runs, also when ctx has ended. Who does not hear it knows some seconds later.
func (r *run) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepWait)
	defer cancel()
	r.all(ctx, &peerpb.KeysRequest{Action: peerpb.KeysAction_KEYS_ACTION_END})
}

// step asks all members for q and notes what they have then. It fails unless all have done it.
func (r *run) step(ctx context.Context, action string, q *peerpb.KeysRequest) error {
	answers := r.all(ctx, q)
	var wrong []string
	busy := false
	r.result.Members = nil
	for i, a := range answers {
		m := MemberKeys{ID: r.members[i].ID, Keys: a.keys}
		if a.err != nil {
			m.Error = reason(a.err)
			wrong = append(wrong, fmt.Sprintf("%s: %s", m.ID, m.Error))
			busy = busy || status.Code(a.err) == codes.Aborted
		}
		r.result.Members = append(r.result.Members, m)
	}
	r.result.Same = len(wrong) == 0 && same(r.result.Members)
	if q.GetAction() > peerpb.KeysAction_KEYS_ACTION_BEGIN {
		id := q.GetId()
		if id == "" {
			id = gossip.KeyID(q.GetKey())
		}
		r.result.Steps = append(r.result.Steps, Step{action, id, len(answers) - len(wrong), len(answers)})
	}
	switch {
	case busy:
		return fmt.Errorf("%w: %s; try again in %v", ErrBusy, strings.Join(wrong, "; "), idle)
	case len(wrong) > 0:
		return fmt.Errorf("%w: %s: %s; run it again once that is mended", ErrMembers, action, strings.Join(wrong, "; "))
	}
	return nil
}

// same says whether all have the same keys and use the same.
func same(all []MemberKeys) bool {
	for _, m := range all {
		a, b := slices.Sorted(slices.Values(all[0].Keys)), slices.Sorted(slices.Values(m.Keys))
		if !slices.Equal(a, b) || len(a) == 0 || m.Keys[0] != all[0].Keys[0] {
			return false
		}
	}
	return true
}

// An answer is what a member said.
type answer struct {
	keys []string
	err  error
}

// all asks all members for q at the same time.
func (r *run) all(ctx context.Context, q *peerpb.KeysRequest) []answer {
	q.Run = r.name
	answers := make([]answer, len(r.members))
	var asked sync.WaitGroup
	for i, m := range r.members {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, stepWait)
			defer cancel()
			ask := r.s.config.Ask
			if m.ID == r.s.config.Self {
				ask = func(ctx context.Context, _ Member, q *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
					return r.s.Answer(ctx, q)
				}
			}
			a, err := ask(ctx, m, q)
			if err == nil && len(a.GetIds()) == 0 {
				err = errors.New("it says that it has no keys")
			}
			answers[i] = answer{a.GetIds(), err}
		})
	}
	asked.Wait()
	return answers
}

// reason returns what err says without the words that gRPC puts around it.
func reason(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}
