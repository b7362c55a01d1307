package identity_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/gateway/identity"
	"github.com/noriahq/noria/transport/watch"
)

// A log keeps what is logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how often text was logged.
func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// logger returns what logs to l.
func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// run runs f until the test ends, in its bubble. What the test writes falls between two looks at files.
func run(t *testing.T, f *identity.Finder) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
	time.Sleep(watch.Every / 2)
}

// knows says whether a request with token or key has a caller.
func knows(t *testing.T, f *identity.Finder, secret string) bool {
	t.Helper()
	c, err := f.Caller(bearer(secret))
	if err != nil && !errors.Is(err, identity.ErrCredentials) {
		t.Errorf("Caller returns %v", err)
	}
	return err == nil && !c.Anonymous
}

// Keys that are added to the file are good, and those taken out are not, some seconds later. A bad file leaves the old keys
// and says so once.
func TestKeyFileChanges(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var l log
		path := file(t, "keys.yaml", []byte(keysOf("one", "kim", "two", "tom")))
		f := newFinder(t, identity.Config{Identities: policy.Identities{Keys: &policy.Keys{File: path}}, Logger: l.logger()})
		run(t, f)
		rewrite(t, path, keysOf("two", "tom", "three", "uma"), 1)
		time.Sleep(3 * time.Second)
		if knows(t, f, "one") || !knows(t, f, "two") || !knows(t, f, "three") {
			t.Error("the changed file is not what counts")
		}
		for i, bad := range []string{"keys: nonsense", "", keysOf("one", "kim") + "more: 1\n"} {
			rewrite(t, path, bad, 2+i)
			time.Sleep(30 * time.Second)
			if knows(t, f, "one") || !knows(t, f, "two") || l.count("refused") != i+1 {
				t.Errorf("%q: the old keys do not stay, or the log says so %d times", bad, l.count("refused")-i)
			}
		}
		rewrite(t, path, keysOf("one", "kim"), 9)
		time.Sleep(3 * time.Second)
		if !knows(t, f, "one") || knows(t, f, "two") || l.count("read") != 2 {
			t.Error("a good file after bad ones is not what counts")
		}
	})
}

// A key that is taken out of the file is good for no token, also not for one that was remembered.
func TestKeySetFileChanges(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		old, next := newEd("old"), newEd("next")
		path := file(t, "jwks.json", jwks(old))
		f := newFinder(t, identity.Config{Identities: policy.Identities{JWT: &policy.JWT{JWKSFile: path}}, Now: func() time.Time { return noon }})
		run(t, f)
		oldToken, nextToken := old.token(good(), nil), next.token(good(), nil)
		for i, c := range []struct {
			set       string
			old, next bool
		}{{string(jwks(old, next)), true, true}, {string(jwks(next)), false, true}, {"nonsense", false, true}} {
			rewrite(t, path, c.set, 1+i)
			time.Sleep(3 * time.Second)
			if o, n := knows(t, f, oldToken), knows(t, f, nextToken); o != c.old || n != c.next {
				t.Errorf("with %.40s... the tokens are good: %v, %v, want %v, %v", c.set, o, n, c.old, c.next)
			}
		}
	})
}

// An issuer is a server of key sets in memory.
type issuer struct {
	client *http.Client
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

// newIssuer returns an issuer that runs until the test ends, with set.
func newIssuer(t *testing.T, set []byte) *issuer {
	t.Helper()
	network := clustertest.NewNet(1)
	l, err := network.Listen("10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{}
	i.serves(set)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.answer.Load())(w, r)
	})}
	go func() { _ = s.Serve(l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return network.Dial(ctx, "10.0.0.2", addr)
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.Close()
	})
	i.client = &http.Client{Transport: transport}
	return i
}

// does makes f answer from now on.
func (i *issuer) does(f http.HandlerFunc) { i.answer.Store(&f) }

// serves makes set the answer from now on.
func (i *issuer) serves(set []byte) {
	i.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
}

// config returns what asks i.
func (i *issuer) config(l *log) identity.Config {
	return identity.Config{
		Identities: policy.Identities{JWT: &policy.JWT{JWKSURL: "http://10.0.0.1/jwks", Refresh: 10 * time.Minute}}, Client: i.client, Logger: l.logger(),
	}
}

// lasting returns a token of s that outlives the test.
func lasting(s signer) string {
	return s.token(with(good(), "exp", time.Now().Add(1000*time.Hour).Unix()), nil)
}

// The first request waits for the keys, and they are fetched once for many tokens.
func TestKeySetIsFetched(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newEd("d")
		i := newIssuer(t, nil)
		i.does(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = w.Write(jwks(s))
		})
		f := newFinder(t, i.config(new(log)))
		run(t, f)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if !knows(t, f, lasting(s)) {
					t.Error("a token is not good at the start")
				}
			})
		}
		wg.Wait()
		if got := i.asked.Load(); got != 1 {
			t.Errorf("the key set was fetched %d times, want 1", got)
		}
	})
}

// A token with a new key is good at once where nothing was asked for some seconds; one with the old key is not good once
// the set is without it.
func TestRotation(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		old, next := newEd("old"), newEd("next")
		i := newIssuer(t, jwks(old))
		f := newFinder(t, i.config(new(log)))
		run(t, f)
		oldToken := lasting(old)
		if !knows(t, f, oldToken) {
			t.Fatal("the first token is not good")
		}
		time.Sleep(6 * time.Second)
		i.serves(jwks(old, next))
		if !knows(t, f, lasting(next)) || !knows(t, f, oldToken) {
			t.Error("a token with a new key is not good, or one with the old key no more")
		}
		i.serves(jwks(next))
		time.Sleep(10 * time.Minute) // the refresh time: the old key is good for no longer
		if knows(t, f, oldToken) {
			t.Error("a token is good whose key was taken out")
		}
		if !knows(t, f, lasting(next)) {
			t.Error("a token with the new key is not good")
		}
	})
}

// A flood of made-up keys makes the issuer be asked once in some seconds and not more often, and delays nobody else.
func TestMadeUpKeys(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newEd("d")
		i := newIssuer(t, jwks(s))
		f := newFinder(t, i.config(new(log)))
		run(t, f)
		token, began := lasting(s), time.Now()
		knows(t, f, token)
		for n := range 2_000 {
			if knows(t, f, s.as(string(rune('a'+n%26))+"-made-up").token(good(), nil)) || !knows(t, f, token) {
				t.Fatal("a token with a made-up key is good, or another is not")
			}
			time.Sleep(50 * time.Millisecond)
		}
		took := time.Since(began)
		if got, most := i.asked.Load(), 1+int64(took/(5*time.Second)); got > most || got < 2 {
			t.Errorf("the issuer was asked %d times in %v, want 2 to %d", got, took, most)
		}
	})
}

// An issuer that is down, slow, or talks nonsense leaves the old keys in use, and is asked again more often than when all
// is well.
func TestIssuerFails(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"down": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(jwks(newEd("other")))
		},
		"nonsense":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/jwks", http.StatusFound) },
		"slow":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var l log
				s := newEd("d")
				i := newIssuer(t, jwks(s))
				f := newFinder(t, i.config(&l))
				run(t, f)
				token := lasting(s)
				if !knows(t, f, token) {
					t.Fatal("the first token is not good")
				}
				i.does(answer)
				time.Sleep(time.Hour)
				asked := i.asked.Load()
				if !knows(t, f, token) || l.count("old keys stay") == 0 {
					t.Error("the old keys do not stay, or the log does not say so")
				}
				if asked < 60 || asked > 2000 {
					t.Errorf("the issuer was asked %d times in an hour, want 60 to 2000", asked)
				}
				next := newEd("next")
				i.serves(jwks(next))
				time.Sleep(time.Minute)
				if knows(t, f, token) || !knows(t, f, lasting(next)) {
					t.Error("the issuer is well again, and its keys are not in use")
				}
			})
		})
	}
}

// While there are no keys at all a token is neither good nor bad, and its sender does not wait for long. Nonsense is bad all the same.
func TestNoKeysYet(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		i := newIssuer(t, nil)
		i.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		f := newFinder(t, i.config(new(log)))
		run(t, f)
		for range 20 {
			began := time.Now()
			if c, err := f.Caller(bearer(lasting(newEd("d")))); !errors.Is(err, identity.ErrUnavailable) {
				t.Errorf("Caller returns %+v, %v, want ErrUnavailable", c, err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("Caller took %v, want 2s at most", took)
			}
			time.Sleep(time.Second)
		}
		if c, err := f.Caller(bearer("a.b.c")); !errors.Is(err, identity.ErrCredentials) {
			t.Errorf("Caller of nonsense returns %+v, %v", c, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		_, err := f.Caller(bearer(lasting(newEd("d"))).WithContext(ctx))
		if time.Since(began) > 0 || err == nil {
			t.Errorf("Caller waits for who is gone, %v", err)
		}
	})
}

// A Finder that takes over has the keys at once, and another's only if they are from the same place.
func TestBefore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newEd("d")
		i := newIssuer(t, jwks(s))
		first := newFinder(t, i.config(new(log)))
		run(t, first)
		token := lasting(s)
		if !knows(t, first, token) {
			t.Fatal("the token is not good")
		}
		i.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := i.config(new(log))
		c.Before = first
		if second := newFinder(t, c); !knows(t, second, token) {
			t.Error("the token is not good with the Finder that took over")
		}
		c.Identities.JWT.Issuer = "another"
		if second := newFinder(t, c); knows(t, second, token) {
			t.Error("a token is good because it was so by other rules")
		}
		elsewhere := i.config(new(log))
		elsewhere.Before, elsewhere.Identities.JWT.JWKSURL = first, "http://10.0.0.1/other"
		if _, err := newFinder(t, elsewhere).Caller(bearer(token)); !errors.Is(err, identity.ErrUnavailable) {
			t.Errorf("with keys from elsewhere Caller returns %v", err)
		}
	})
}
