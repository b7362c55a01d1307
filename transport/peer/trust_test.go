package peer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/peerpb"
)

// lines keeps a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// certified returns a Config with a certificate of a for the node, which others have to show too.
func certified(t *testing.T, a *certs.Authority, node string) (Config, *lines) {
	t.Helper()
	dir := t.TempDir()
	ca, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Issue(time.Now(), time.Hour, "spiffe://noria/test/node/"+node)
	if err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, b := range map[string][]byte{"ca": ca, "cert": cert, "key": key} {
		if err := os.WriteFile(path(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mesh, err := certs.NewMesh(certs.MeshConfig{CAFile: path("ca"), CertFile: path("cert"), KeyFile: path("key"), Label: "test", Self: node})
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	return Config{
		Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(log, nil)),
		ServerCredentials: credentials.NewTLS(mesh.Server()), ClientCredentials: credentials.NewTLS(mesh.Client()),
		Identify: func(auth credentials.AuthInfo, id ring.Member) error {
			return mesh.Is(auth.(credentials.TLSInfo).State, string(id))
		},
	}, log
}

// serving starts a node that says that it is id.
func serving(t *testing.T, c Config, id ring.Member) (*Transport, string) {
	t.Helper()
	tr := mustNew(t, c)
	addr, err := tr.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tr.Serve(context.Background(), helloOf(id), everyone{}) }()
	t.Cleanup(func() {
		tr.Close()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return tr, addr
}

// Nodes with certificates speak. Who is not whom it says, has a certificate of nobody here or none, and who does not speak
// TLS, is refused by whoever it asks and not asked by who should; both ends say why in one line.
func TestTrust(t *testing.T) {
	ca, err := certs.NewAuthority("test", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := certs.NewAuthority("other", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	serveGood := func(t *testing.T) (*Transport, string, *lines) {
		c, log := certified(t, ca, "b")
		c.Keys = func(context.Context, *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
			return &peerpb.KeysResponse{Ids: []string{"x"}}, nil
		}
		tr, addr := serving(t, c, "b")
		return tr, addr, log
	}
	ask := func(tr *Transport, id ring.Member, addr string) error {
		p := tr.Peer(id, addr)
		defer p.Close()
		a := newAsk("k", 10*time.Second)
		p.Ask(a)
		<-a.Finished()
		return a.Err
	}
	for name, c := range map[string]struct {
		by              func() (Config, *lines)
		says            ring.Member
		want, goodSays  string // what the asker is told, and what is in the log of whom it asks
		toIt            string // what whoever asks it is told
		greeted, withIt bool
	}{
		"a node": {by: func() (Config, *lines) { return certified(t, ca, "a") }, says: "a", greeted: true, withIt: true},
		"one that says that it is another": {
			by: func() (Config, *lines) { return certified(t, ca, "a") }, says: "c", greeted: true,
			want: "it is for spiffe://noria/test/node/a, want spiffe://noria/test/node/c", goodSays: "want spiffe://noria/test/node/c", toIt: "want spiffe://noria/test/node/c",
		},
		"one of another CA": {
			by: func() (Config, *lines) { return certified(t, other, "a") }, says: "a",
			want: "unknown authority", goodSays: "it refuses this node's certificate", toIt: "unknown authority",
		},
		"one without TLS": {
			by: func() (Config, *lines) { return Config{Listen: "127.0.0.1:0"}, &lines{} }, says: "a",
			want: "", goodSays: "it does not speak TLS", toIt: "it does not speak TLS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			good, goodAddr, goodLog := serveGood(t)
			config, _ := c.by()
			tr, addr := serving(t, config, c.says)
			err := ask(tr, "b", goodAddr)
			if (err == nil) != c.withIt || c.want != "" && (!errors.Is(err, cluster.ErrPeerRefused) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("it asks: %v, want %q", err, c.want)
			}
			if err := ask(good, c.says, addr); (err == nil) != c.withIt || c.toIt != "" && (!errors.Is(err, cluster.ErrPeerRefused) || !strings.Contains(err.Error(), c.toIt)) {
				t.Errorf("it is asked: %v, want %q", err, c.toIt)
			}
			if _, err := tr.Greet(t.Context(), goodAddr); (err == nil) != c.greeted {
				t.Errorf("it greets: %v", err)
			}
			if _, err := tr.Keys(t.Context(), "b", goodAddr, &peerpb.KeysRequest{}); (err == nil) != c.greeted {
				t.Errorf("it asks for keys: %v", err)
			}
			if !strings.Contains(goodLog.String(), c.goodSays) {
				t.Errorf("the log of whom it asks does not say %q:\n%s", c.goodSays, goodLog)
			}
		})
	}
	a, _ := certified(t, ca, "a")
	_, goodAddr, _ := serveGood(t)
	tr, _ := serving(t, a, "a")
	if _, err := tr.Keys(t.Context(), "c", goodAddr, &peerpb.KeysRequest{Key: []byte("secret")}); !errors.Is(err, cluster.ErrPeerRefused) {
		t.Errorf("keys are told to another node than the one meant: %v", err)
	}
}
