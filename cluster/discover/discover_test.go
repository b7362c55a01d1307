package discover_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/noriahq/noria/cluster/discover"
)

// A zone is a name server of a test, on a free port.
type zone struct {
	addr string

	mu      sync.Mutex
	records map[string][]string // by name and type; guarded by mu
	fail    bool                // answers SERVFAIL; guarded by mu
	asked   int                 // guarded by mu
}

// serve starts a name server.
func serve(t *testing.T) *zone {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{addr: packets.LocalAddr().String(), records: map[string][]string{}}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: packets, Handler: z, NotifyStartedFunc: func() { close(up) }}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		_ = s.Shutdown()
		<-ended
	})
	return z
}

// set replaces the records of a name and type, in the words of a zone file.
func (z *zone) set(name, kind string, data ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name+" "+kind] = data
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	name, kind := q.Question[0].Name, dns.TypeToString[q.Question[0].Qtype]
	known := false
	for k := range z.records {
		known = known || strings.HasPrefix(k, name+" ")
	}
	switch {
	case z.fail:
		m.Rcode = dns.RcodeServerFailure
	case !known:
		m.Rcode = dns.RcodeNameError
	}
	for _, data := range z.records[name+" "+kind] {
		rr, err := dns.NewRR(name + " 5 IN " + kind + " " + data)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	_ = w.WriteMsg(m)
}

// finder returns what looks at sources, asking z.
func finder(t *testing.T, z *zone, sources ...string) *discover.Finder {
	t.Helper()
	var parsed []discover.Source
	for _, s := range sources {
		p, err := discover.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
	}
	return discover.New(z.addr, parsed...)
}

// want checks what f finds now, and what it says is wrong: part of that, "" for nothing.
func want(t *testing.T, f *discover.Finder, wrong string, addrs ...string) {
	t.Helper()
	got, err := f.Find(t.Context())
	slices.Sort(got)
	if diff := cmp.Diff(addrs, got); diff != "" {
		t.Errorf("Find (-want +got):\n%s", diff)
	}
	if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
		t.Errorf("Find: %v, want %q", err, wrong)
	}
}

// A name's addresses, of both families, are found with the port, and each time anew.
func TestHosts(t *testing.T) {
	z := serve(t)
	f := finder(t, z, "dns://noria.example.:7946")
	want(t, f, "dns://noria.example.:7946: the name has no addresses yet")
	z.set("noria.example.", "A", "10.0.0.1", "10.0.0.2")
	want(t, f, "", "10.0.0.1:7946", "10.0.0.2:7946")
	z.set("noria.example.", "AAAA", "fd00::3")
	z.set("noria.example.", "A", "10.0.0.2")
	want(t, f, "", "10.0.0.2:7946", "[fd00::3]:7946")
	z.set("noria.example.", "A")
	z.set("noria.example.", "AAAA")
	want(t, f, "the name has no addresses yet")
}

// SRV records have ports of their own; a target without an address is as good as none.
func TestServices(t *testing.T) {
	z := serve(t)
	f := finder(t, z, "srv://_gossip._tcp.noria.example.")
	want(t, f, "srv://_gossip._tcp.noria.example.: the name has no SRV records yet")
	z.set("_gossip._tcp.noria.example.", "SRV", "0 50 7001 a.noria.example.", "0 50 7002 b.noria.example.")
	want(t, f, "none of the 2 hosts of its records has an address")
	z.set("b.noria.example.", "A", "10.0.0.2")
	want(t, f, "", "10.0.0.2:7002")
	z.set("a.noria.example.", "A", "10.0.0.1")
	want(t, f, "", "10.0.0.1:7001", "10.0.0.2:7002")
}

// A file is read anew each time; whatever is wrong is told with its line, and the other sources are used all the same.
func TestFile(t *testing.T) {
	z := serve(t)
	z.set("noria.example.", "A", "10.0.0.9")
	path := filepath.Join(t.TempDir(), "nodes")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := finder(t, z, "file://"+path, "10.0.0.8:7946")
	want(t, f, "no such file", "10.0.0.8:7946")
	write("")
	want(t, f, "names nobody yet", "10.0.0.8:7946")
	write("# the nodes\n10.0.0.1:7946\r\n\n  host.example:7947  \ndns://noria.example.:7946\n10.0.0.1:7946")
	want(t, f, "", "10.0.0.1:7946", "10.0.0.8:7946", "10.0.0.9:7946", "host.example:7947")
	for text, wrong := range map[string]string{
		"10.0.0.1:7946\n10.0.0.2\n":       `line 2: not where nodes can be found: "10.0.0.2", want HOST:PORT: there is no port`,
		"file:///other\n":                 "one file does not lead to another",
		strings.Repeat("a:1\n", 1001):     "line 1001: more than 1000 addresses",
		strings.Repeat("#\n", 200_000):    "more than 307200 bytes",
		"dns://unknown.example.:7946\n":   "dns://unknown.example.:7946: the name has no addresses yet",
		"\x00\xff\n":                      "line 1",
		strings.Repeat("x", 5000) + ":1x": "line 1",
	} {
		write(text)
		want(t, f, wrong, "10.0.0.8:7946")
	}
}

// A name server that fails is told apart from one that knows no such name; a Find whose ctx has ended says that.
func TestServerFails(t *testing.T) {
	z := serve(t)
	f := finder(t, z, "dns://noria.example.:7946", "srv://_gossip._tcp.noria.example.")
	z.mu.Lock()
	z.fail = true
	z.mu.Unlock()
	_, err := f.Find(t.Context())
	if err == nil || strings.Count(err.Error(), "the name server says: ") != 2 {
		t.Errorf("Find: %v, want twice that the server fails", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := f.Find(ctx); got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Find with an ended context = %v, %v", got, err)
	}
}

// Parse takes four kinds, says what it took, and what would be right.
func TestParse(t *testing.T) {
	for s, wrong := range map[string]string{
		"a.example:7946":       "",
		"[fd00::1]:7946":       "",
		"dns://a.example:7946": "",
		"srv://_gossip._tcp.noria.default.svc.cluster.local": "",
		"file:///etc/noria/nodes":                            "",
		"file://nodes":                                       "",
		"":                                                   "want HOST:PORT",
		"a.example":                                          "there is no port",
		":7946":                                              `"" is no host`,
		"a:0":                                                `port "0" is not from 1 to 65535`,
		"a:99999":                                            `port "99999" is not`,
		"dns://a.example":                                    "want dns://NAME:PORT",
		"dns://:7946":                                        "want dns://NAME:PORT",
		"dns+a://b:1":                                        "want dns://, srv://, file:// or HOST:PORT alone",
		"http://a:1":                                         "begins with http://",
		"srv://":                                             "want srv://_SERVICE",
		"srv://_gossip._tcp.a:7946":                          "its records have the port",
		"file://":                                            "want file://PATH",
	} {
		got, err := discover.Parse(s)
		switch {
		case wrong == "" && (err != nil || got.String() != s):
			t.Errorf("Parse(%q) = %v, %v, want itself", s, got, err)
		case wrong != "" && (!errors.Is(err, discover.ErrSource) || !strings.Contains(err.Error(), wrong)):
			t.Errorf("Parse(%q): %v, want an ErrSource with %q", s, err, wrong)
		}
	}
}

// Whatever the text, Parse ends with a source that it reads again as the same, or an error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a:1", "dns://a:1", "srv://_a._b.c", "file:///a", "[::1]:1", "x://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := discover.Parse(s)
		if err != nil {
			return
		}
		if again, err := discover.Parse(got.String()); err != nil || again != got {
			t.Errorf("Parse(%q) is %v, read again %v, %v", s, got, again, err)
		}
	})
}

// No more than Most addresses are returned, whatever DNS says.
func TestMost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes")
	var text strings.Builder
	for i := range discover.Most {
		text.WriteString("10.1." + strconv.Itoa(i/256) + "." + strconv.Itoa(i%256) + ":7946\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f := finder(t, serve(t), "file://"+path, "10.0.0.8:7946")
	if got, err := f.Find(t.Context()); len(got) != discover.Most || err != nil {
		t.Errorf("Find returns %d addresses, %v, want %d", len(got), err, discover.Most)
	}
}
