// Package identity says who sends a request: whose API key or JSON web token it carries, what a trusted proxy says of its
// sender, and which address it comes from.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/noriahq/noria/bucket/policy"
)

var (
	// ErrConfig is wrapped by errors about a Config, and about the files that it names.
	ErrConfig = errors.New("bad identity configuration")

	// ErrCredentials is wrapped by what Caller returns for credentials that are not good: 401, with Challenge. The text says
	// why in a way that may be shown to the sender.
	ErrCredentials = errors.New("bad credentials")

	// ErrUnavailable is wrapped by what Caller returns while it has no keys to check a token with, because the server that
	// has them did not answer yet: 503. The text may be shown to the sender.
	ErrUnavailable = errors.New("credentials cannot be checked now")
)

// Config is what a Finder is made of. Its zero value knows no callers and believes no proxy.
type Config struct {
	// Identities say where a caller's identity comes from.
	Identities policy.Identities

	// TrustedProxies are the networks that are believed in what they say of a client's address, and in Identities.Header.
	TrustedProxies []netip.Prefix

	// IPv6Bits is how much of an IPv6 address is one client. Default: 64.
	IPv6Bits int

	// Client fetches Identities.JWT.JWKSURL. Default: one that goes through the proxies of the environment and follows
	// 3 redirects, not from https to http. A fetch takes 5 s at most by any.
	Client *http.Client

	// Now tells the time, by which tokens end. Default: time.Now.
	Now func() time.Time

	// Logger is told of files and key sets that were read again, or were not. Default: nowhere.
	Logger *slog.Logger

	// Before is the Finder that this one takes over from, nil for none. The keys that it fetched are used until they are
	// fetched again, if both have the same JWKSURL, so that no request has to wait for that.
	Before *Finder
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.Identities.AnonymousTier == "" {
		c.Identities.AnonymousTier = "anonymous"
	}
	if c.IPv6Bits == 0 {
		c.IPv6Bits = 64
	}
	if c.Client == nil {
		c.Client = newClient()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Finder finds out who sends a request. New makes one. It is safe for concurrent use.
type Finder struct {
	sources   []source
	header    *policy.TrustedHeader // nil for none
	anonymous *policy.Caller
	proxies   proxies
	keys      *keys   // nil for none
	tokens    *tokens // nil for none
	logger    *slog.Logger
}

// New returns a Finder for c, and reads the files of keys that c names, so that a bad one is known before anything runs.
// It fetches nothing: Run does. Errors wrap ErrConfig.
func New(c Config) (*Finder, error) {
	c = c.withDefaults()
	if c.IPv6Bits < 1 || c.IPv6Bits > 128 {
		return nil, fmt.Errorf("%w: IPv6Bits is %d, want 1 to 128", ErrConfig, c.IPv6Bits)
	}
	f := &Finder{
		anonymous: &policy.Caller{Tier: c.Identities.AnonymousTier, Anonymous: true},
		proxies:   newProxies(c.TrustedProxies, c.IPv6Bits), logger: c.Logger,
	}
	if err := f.configure(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return f, nil
}

// configure makes of f what c.Identities says.
func (f *Finder) configure(c Config) (err error) {
	if f.sources, err = sourcesOf(c.Identities); err != nil {
		return err
	}
	if h := c.Identities.Header; h != nil {
		if f.header, err = trusted(*h); err != nil {
			return err
		}
	}
	if k := c.Identities.Keys; k != nil {
		if f.keys, err = newKeys(k.File); err != nil {
			return err
		}
	}
	if j := c.Identities.JWT; j != nil {
		if f.tokens, err = newTokens(*j, c); err != nil {
			return err
		}
	}
	return nil
}

// Run keeps the keys fresh until ctx ends: it reads files again when they change, and fetches the key set. What is bad or
// cannot be fetched leaves the old keys in use, and the log says so. It returns nil.
//
// Without Run nothing is fetched, and tokens wait in vain for keys from a JWKSURL.
func (f *Finder) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if f.keys != nil {
		g.Go(func() error { return f.keys.file.Run(ctx, f.told("key file")) })
	}
	if t := f.tokens; t != nil && t.file != nil {
		g.Go(func() error { return t.file.Run(ctx, f.told("key set file")) })
	}
	if t := f.tokens; t != nil && t.fetcher != nil {
		g.Go(func() error { return t.fetcher.run(ctx) })
	}
	return g.Wait()
}

// told returns what logs how a file was read again.
func (f *Finder) told(what string) func(error) {
	logger := f.logger.With("file", what)
	return func(err error) {
		if err != nil {
			logger.Error("changed file refused, what it said before stays", "err", err)
			return
		}
		logger.Info("changed file read")
	}
}

// Caller returns who sends r. Nobody may change it: others get the same. It may wait for the keys of a token, some 2 s at
// most and not after the end of r's context, which happens at a start and after a key was rotated.
//
// The identities are asked in the order keys, tokens, header, and the first whose header r has counts. If that is no good
// the error wraps ErrCredentials; nobody becomes anonymous by what is wrong. Of a header with an API key or a token there
// must be one line, and an Authorization must be a bearer's. An Authorization can be either where both are asked: what has
// a token's form and is no known API key is a token.
func (f *Finder) Caller(r *http.Request) (*policy.Caller, error) {
	for i := range f.sources {
		s := &f.sources[i]
		if values := r.Header[s.header]; len(values) > 0 {
			secret, err := s.secret(values)
			if err != nil {
				return nil, err
			}
			return f.owner(r.Context(), s, secret)
		}
	}
	if f.header != nil && f.proxies.trusts(peer(r.RemoteAddr)) {
		if c, err := named(f.header, r.Header); c != nil || err != nil {
			return c, err
		}
	}
	return f.anonymous, nil
}

// owner returns whose secret it is, which came by s.
func (f *Finder) owner(ctx context.Context, s *source, secret string) (*policy.Caller, error) {
	digest := digestOf(secret)
	if s.keys {
		if c := f.keys.owner(&digest); c != nil {
			return c, nil
		}
	}
	if !s.tokens || s.keys && !isTokenShaped(secret) {
		return nil, errUnknownKey
	}
	return f.tokens.owner(ctx, secret, &digest)
}

// ClientIP returns the address of r's client without a zone, an IPv6 address cut to its network: of 2001:db8::1 it is 2001:db8::. It
// is the zero Addr where r did not come by IP.
//
// X-Forwarded-For counts if r comes from a trusted proxy. Each proxy on the way adds the address that it sees, so the
// entries are read from the last one back: up to the first that is no trusted proxy, which is the client. What stands
// before it may have been made up by the client. What is no address, an empty entry too, ends the walk, and so do 32
// entries: then the last trusted proxy counts as the client.
func (f *Finder) ClientIP(r *http.Request) netip.Addr {
	return f.proxies.network(f.proxies.client(peer(r.RemoteAddr), r.Header["X-Forwarded-For"]))
}

// Trusts says whether r comes from a trusted proxy, whose word on where the request came from may be passed on.
func (f *Finder) Trusts(r *http.Request) bool { return f.proxies.trusts(peer(r.RemoteAddr)) }
