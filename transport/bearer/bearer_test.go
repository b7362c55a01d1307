package bearer_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/bearer"
	"github.com/noriahq/noria/transport/watch"
)

const (
	alice = "alices-token-0123456789"
	admin = "admins-token-0123456789"
)

// digest returns token as a file has it that is no secret.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// written returns the path of a file with text.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tokensOf returns the tokens of a file with text.
func tokensOf(t *testing.T, text string) *bearer.Tokens {
	t.Helper()
	tokens, err := bearer.New(written(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// What is wrong with a file of tokens is told by its line, and never what the line says.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "no token in it",
		"# alice " + alice:                    "no token in it",
		alice:                                 "line 1: want a name and a token",
		"a b " + alice:                        "line 1: want a name and a token",
		"a secretsecret":                      "line 1: the token has 12 bytes, want 16 to 512",
		"a " + strings.Repeat("x", 513):       "line 1: the token has 513 bytes",
		"a secretsecret,secretsecret":         "line 1: want a token of letters",
		"a\x00b " + alice:                     "line 1: the name has other characters",
		strings.Repeat("n", 65) + " " + alice: "line 1: the name has 65 bytes",
		"a sha256:secretsecret":               "line 1: want 64 hexadecimal digits",
		"a " + alice + "\n\na " + admin:       "line 3: line 1 has the same name",
		"a " + alice + "\nb " + alice:         "line 2: line 1 has the same token",
		"a " + alice + "\nb " + digest(alice): "line 2: line 1 has the same token",
		strings.Repeat("#\n", 1<<19+1):        "more than",
	} {
		all, err := bearer.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secretsecret") || strings.Contains(err.Error(), alice) {
			t.Errorf("Parse(%.60q) = %v, %v; want %q", text, all, err, want)
		}
	}
	tokens := tokensOf(t, "# who\r\n\r\n  alice\t"+alice+"  \r\nbob "+digest(admin)+"\n")
	for shown, want := range map[string]string{alice: "alice", admin: "bob", "": "", alice + "x": "", digest(admin): "", strings.Repeat("x", 1<<20): ""} {
		if name, ok := tokens.Name(shown); name != want || ok != (want != "") {
			t.Errorf("Name(%.40q) = %q, %v, want %q", shown, name, ok, want)
		}
	}
	if name, ok := (*bearer.Tokens)(nil).Name(alice); ok {
		t.Errorf("without tokens one is known, as %q", name)
	}
	if _, err := bearer.New(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, bearer.ErrConfig) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New without a file returns %v", err)
	}
}

// Whatever a file of tokens says, it is refused without telling it, or each of its tokens is known and nothing else.
func FuzzParse(f *testing.F) {
	f.Add([]byte("a " + alice + "\n# x\nb " + digest(admin)))
	f.Add([]byte("a  b\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := bearer.Parse(b)
		if err != nil {
			for _, word := range strings.Fields(string(b)) {
				if len(word) >= bearer.MinToken && strings.Contains(err.Error(), word) {
					t.Errorf("Parse tells a token: %v", err)
				}
			}
			return
		}
		if len(all) == 0 || len(all) > bearer.MaxTokens {
			t.Errorf("Parse returns %d tokens", len(all))
		}
		for _, one := range all {
			if one.Name == "" || one.Secret != "" && sha256.Sum256([]byte(one.Secret)) != one.Sum {
				t.Errorf("Parse returns %+v", one)
			}
		}
	})
}

// Tokens change with their file, and a bad file changes none.
func TestReload(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		path := written(t, "a "+alice)
		tokens, err := bearer.New(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tokens.Run(ctx) }()
		time.Sleep(watch.Every / 2)
		for n, c := range []struct{ text, want string }{{"b " + admin, admin}, {"bad", admin}, {"a " + alice, alice}} {
			at := time.Now().Add(time.Duration(n+1) * time.Minute)
			if err := errors.Join(os.WriteFile(path, []byte(c.text), 0o600), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * watch.Every)
			for _, shown := range []string{alice, admin} {
				if _, ok := tokens.Name(shown); ok != (shown == c.want) {
					t.Errorf("with %q in the file, %q is known: %v", c.text, shown, ok)
				}
			}
		}
		cancel()
		<-ended
	})
}

// A guard lets through who shows a token or a certificate, and nobody else, and says who is an admin.
func TestGuard(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), transport.FailureOf(err).Status)
	}
	whole := bearer.Guard{
		Tokens: tokensOf(t, "alice "+alice), Admin: tokensOf(t, "root "+admin), Certificates: true, Basic: true, Refuse: refuse,
		Open: func(r *http.Request) bool { return r.URL.Path == "/open" },
	}
	plain := bearer.Guard{Tokens: whole.Tokens, Refuse: refuse}
	with := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		guard bearer.Guard
		path  string
		ask   func(*http.Request)
		want  int
		admin bool
	}{
		"nothing":           {whole, "/", func(*http.Request) {}, 401, false},
		"a token":           {whole, "/", with("Authorization", "Bearer "+alice), 200, false},
		"in small letters":  {whole, "/", with("Authorization", "bearer "+alice), 200, false},
		"in its own header": {whole, "/", with("X-Noria-Token", alice), 200, false},
		"a wrong one":       {whole, "/", with("Authorization", "Bearer "+alice+"x"), 401, false},
		"a wrong one of its own": {whole, "/", func(r *http.Request) {
			with("X-Noria-Token", "nonsense")(r)
			with("Authorization", "Bearer "+alice)(r)
		}, 401, false},
		"another scheme":        {whole, "/", with("Authorization", "Token "+alice), 401, false},
		"an admin's":            {whole, "/", with("Authorization", "Bearer "+admin), 200, true},
		"an admin's in Basic":   {whole, "/", func(r *http.Request) { r.SetBasicAuth("any", admin) }, 200, true},
		"Basic where it is not": {plain, "/", func(r *http.Request) { r.SetBasicAuth("any", alice) }, 401, false},
		"an open path":          {whole, "/open", func(*http.Request) {}, 200, false},
		"an open path as admin": {whole, "/open", with("Authorization", "Bearer "+admin), 200, true},
		"a certificate": {whole, "/", func(r *http.Request) {
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
		}, 200, false},
		"a certificate that nobody verified": {whole, "/", func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		}, 401, false},
		"a certificate where tokens count": {plain, "/", func(r *http.Request) {
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
		}, 401, false},
	} {
		t.Run(name, func(t *testing.T) {
			isAdmin := false
			h := c.guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if isAdmin = bearer.Admin(r); r.Header.Get("X-Noria-Token") != "" {
					t.Error("the token goes on to who answers")
				}
			}))
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			c.ask(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want || isAdmin != c.admin {
				t.Errorf("status %d, admin %v, want %d, %v", w.Code, isAdmin, c.want, c.admin)
			}
			asks := strings.Join(w.Header().Values("WWW-Authenticate"), "; ")
			if c.want == 401 && (!strings.HasPrefix(asks, "Bearer") || strings.Contains(asks, "Basic") != c.guard.Basic) {
				t.Errorf("it asks for %q", asks)
			}
			if strings.Contains(w.Body.String(), "token-0123456789") {
				t.Errorf("the answer tells the token: %s", w.Body)
			}
		})
	}
	if bearer.Admin(httptest.NewRequest(http.MethodGet, "/", nil)) {
		t.Error("a request that came through no guard is an admin's")
	}
}

// Over gRPC a token is metadata, for calls and streams, and some methods want none.
func TestServerOptions(t *testing.T) {
	l := bufconn.Listen(1 << 16)
	g := bearer.Guard{Tokens: tokensOf(t, "alice "+alice), Admin: tokensOf(t, "root "+digest(admin))}
	s := grpc.NewServer(g.ServerOptions("/grpc.health.v1.Health/List")...)
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	conn := func(options ...grpc.DialOption) grpc_health_v1.HealthClient {
		c, err := grpc.NewClient("passthrough:///x", append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return grpc_health_v1.NewHealthClient(c)
	}
	c := conn()
	for name, md := range map[string][]string{
		"authorization": {"authorization", "Bearer " + alice}, "own": {"x-noria-token", alice}, "admin": {"authorization", "bearer " + admin},
		"": {}, "-wrong": {"authorization", "Bearer nonsense-nonsense"}, "-two": {"authorization", "Bearer " + alice, "authorization", "Bearer " + alice},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), md...)
		want := codes.OK
		if name == "" || name[0] == '-' {
			want = codes.Unauthenticated
		}
		if _, err := c.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != want || err != nil && strings.Contains(err.Error(), "nonsense") {
			t.Errorf("Check with %q: %v, want %v", name, err, want)
		}
		stream, err := c.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != want {
			t.Errorf("Watch with %q: %v, want %v", name, err, want)
		}
	}
	if _, err := c.List(t.Context(), &grpc_health_v1.HealthListRequest{}); err != nil {
		t.Errorf("an open method: %v", err)
	}
	if _, err := conn(grpc.WithPerRPCCredentials(bearer.Credentials{Token: alice, Plain: true})).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("Check with Credentials: %v", err)
	}
	if _, err := grpc.NewClient("x", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer.Credentials{Token: alice})); err == nil {
		t.Error("a token is shown without TLS, unasked")
	}
}
