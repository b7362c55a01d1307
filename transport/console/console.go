// Package console shows a fleet to those who look after it: one page, and the data behind it.
//
// A Console belongs to one node and asks all others through it, so any node's page shows the whole fleet. It asks nobody unless
// somebody looks. The page is embedded and fetches nothing from elsewhere. Keys, and what is done with them, are for admins.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// A Node is what a Console shows. *cluster.Node implements it.
type Node interface {
	Status() cluster.Status
	Targets() (members []ring.Member, targets []uint16)
	Reports(ctx context.Context, q func(ring.Member) cluster.Question) ([]cluster.Report, error)
	Follow(back int) *cluster.Follower
	Where(key string) (cluster.Place, error)
	Check(ctx context.Context, req bucket.Request) (bucket.Decision, error)
}

// Config is what a Console is made of. Node is required.
type Config struct {
	// Node is asked, and asks the others.
	Node Node

	// Admin says whether who asks may see keys and check them. Default: nobody may.
	Admin func(*http.Request) bool

	// Every is how often the members are asked while somebody looks. Default: 1s. Four times as often while partitions move.
	Every time.Duration

	// MaxListeners is how many may look at once; those beyond are refused. Default: 64. One costs a message of some kB each second.
	MaxListeners int

	// Logger gets what the console has to say. Default: nothing is logged.
	Logger *slog.Logger
}

// A Console shows a fleet. It is safe for concurrent use.
type Console struct {
	config Config
	hub    *hub
	mux    *http.ServeMux
	pages  pages

	closed chan struct{} // closed by Close
	once   sync.Once
}

// New returns a Console. It asks nobody yet: who looks makes it. Close ends it.
func New(c Config) (*Console, error) {
	if c.Node == nil {
		return nil, errors.New("console: Node is nil, want a *cluster.Node")
	}
	if c.Every < 0 || c.MaxListeners < 0 {
		return nil, errors.New("console: Every or MaxListeners is negative, want more than 0")
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.MaxListeners == 0 {
		c.MaxListeners = 64
	}
	if c.Admin == nil {
		c.Admin = func(*http.Request) bool { return false }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	con := &Console{config: c, mux: http.NewServeMux(), pages: pages, closed: make(chan struct{})}
	con.hub = newHub(c, con.closed)
	con.route()
	return con, nil
}

// route says what is where:
//
//	GET  /console         the page, with all it needs below /console/static/
//	GET  /console/state   a State, as JSON
//	GET  /console/live    States and events as server-sent events, until the console is closed
//	POST /console/key     what the members know of a key, for admins
//	POST /console/check   checks a key, for admins
func (c *Console) route() {
	c.mux.HandleFunc("GET /console", c.page)
	c.mux.HandleFunc("GET /console/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "../console", http.StatusMovedPermanently)
	})
	c.mux.HandleFunc("GET /console/static/{name}", c.static)
	c.mux.HandleFunc("GET /console/state", c.state)
	c.mux.HandleFunc("GET /console/live", c.live)
	c.mux.HandleFunc("POST /console/key", c.admins(c.key))
	c.mux.HandleFunc("POST /console/check", c.admins(c.check))
}

// ServeHTTP implements http.Handler, for /console and what is below it.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Close ends all streams, so that a server which stops gracefully waits for none. It does not block.
func (c *Console) Close() { c.once.Do(func() { close(c.closed) }) }
