package gossip_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/memberlist"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// testKey returns a key of its own for n.
func testKey(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 32) }

func ids(keys ...[]byte) []string {
	var all []string
	for _, k := range keys {
		all = append(all, gossip.KeyID(k))
	}
	return all
}

// A key is installed, used and removed, each of which is saved before it counts; what cannot be saved changes nothing.
func TestKeyring(t *testing.T) {
	one, two := testKey(1), testKey(2)
	var saved [][]byte
	var full error
	k, err := gossip.NewKeyring([][]byte{one}, func(keys [][]byte) error {
		if full == nil {
			saved = keys
		}
		return full
	})
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string, err error, want ...[]byte) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(ids(want...), k.IDs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(ids(want...), ids(saved...)); saved != nil && diff != "" {
			t.Errorf("%s: saved (-want +got):\n%s", what, diff)
		}
	}
	step("Install", k.Install(two), one, two)
	step("Install again", k.Install(two), one, two)
	step("Use", k.Use(gossip.KeyID(two)), two, one)
	if err := k.Remove(gossip.KeyID(two)); !errors.Is(err, gossip.ErrKey) {
		t.Errorf("Remove of the key in use returns %v", err)
	}
	if err := k.Use(gossip.KeyID(testKey(3))); !errors.Is(err, gossip.ErrKey) {
		t.Errorf("Use of a key that is not there returns %v", err)
	}
	if err := k.Install([]byte("short")); !errors.Is(err, gossip.ErrKey) {
		t.Errorf("Install of 5 bytes returns %v", err)
	}
	full = errors.New("disk full")
	for what, err := range map[string]error{"Install": k.Install(testKey(3)), "Use": k.Use(gossip.KeyID(one)), "Remove": k.Remove(gossip.KeyID(one))} {
		if !errors.Is(err, full) {
			t.Errorf("%s that cannot be saved returns %v", what, err)
		}
	}
	step("what cannot be saved", nil, two, one)
	full = nil
	step("Remove", k.Remove(gossip.KeyID(one)), two)
	step("Remove again", k.Remove(gossip.KeyID(one)), two)
	saved = nil
	changed, err := k.Reload(func() ([][]byte, error) { return [][]byte{testKey(4), two}, nil })
	step("Reload", err, testKey(4), two)
	again, err := k.Reload(func() ([][]byte, error) { return [][]byte{testKey(4), two}, nil })
	step("Reload again", err, testKey(4), two)
	if _, err := k.Reload(func() ([][]byte, error) { return nil, nil }); !changed || again || !errors.Is(err, gossip.ErrKey) {
		t.Errorf("Reload says that keys changed: %v, and %v the second time; of none it returns %v", changed, again, err)
	}
	for n := range gossip.MaxKeys {
		err = k.Install(testKey(100 + n))
	}
	if !errors.Is(err, gossip.ErrKey) || len(k.IDs()) != gossip.MaxKeys {
		t.Errorf("Install of too many keys returns %v, and there are %d", err, len(k.IDs()))
	}
}

// What is wrong with a file of keys is told by its line, and never what the line says.
func TestParseKeys(t *testing.T) {
	good := strings.TrimSpace(string(gossip.FormatKeys([][]byte{testKey(1)})))
	for text, want := range map[string]string{
		"":                             "there is none",
		"# " + good:                    "there is none",
		good + "\n" + good:             "line 2: bad gossip key: it is there before",
		good + "\n\nsecretsecret":      "line 3: bad gossip key: it has 9 bytes",
		"not base64 secretsecret":      "line 1: bad gossip key: not base64",
		strings.Repeat("#\n", 1<<15+1): "more than",
	} {
		keys, err := gossip.ParseKeys([]byte(text))
		if !errors.Is(err, gossip.ErrKey) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("ParseKeys(%.40q) = %v, %v; want %q", text, keys, err, want)
		}
	}
	if keys, err := gossip.ParseKeys([]byte("# the key\r\n\n " + good + "\r\n")); err != nil || len(keys) != 1 || !bytes.Equal(keys[0], testKey(1)) {
		t.Errorf("ParseKeys = %v, %v", keys, err)
	}
}

// Whatever a file of keys says, it is read as it would be written, or refused without a word of what it says.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n# x\n"))
	f.Add([]byte("AQEBAQEBAQEBAQEBAQEBAQ==\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := gossip.ParseKeys(b)
		if err != nil {
			for line := range bytes.Lines(b) {
				if word := bytes.TrimSpace(line); len(word) > 20 && bytes.Contains([]byte(err.Error()), word) {
					t.Errorf("ParseKeys tells a line: %v", err)
				}
			}
			return
		}
		again, err := gossip.ParseKeys(gossip.FormatKeys(keys))
		if diff := cmp.Diff(keys, again); err != nil || diff != "" {
			t.Errorf("ParseKeys(FormatKeys) = %v (-want +got):\n%s", err, diff)
		}
		if _, err := gossip.NewKeyring(keys, nil); err != nil {
			t.Errorf("NewKeyring: %v", err)
		}
	})
}

// A tap is a way to a node that keeps what passes: what somebody in the network can read.
type tap struct {
	net.Listener
	mu   sync.Mutex
	read bytes.Buffer // guarded by mu
}

// newTap returns a way to addr.
func newTap(t *testing.T, addr string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &tap{Listener: l}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				from.Close()
				return
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(io.MultiWriter(to, p), from)
				to.Close()
			}
			go pass(to, from)
			go pass(from, to)
		}
	}()
	return p
}

// Write keeps what passes.
func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read.Write(b)
}

// says whether text has passed.
func (p *tap) says(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.read.Bytes(), []byte(text))
}

// Over real sockets, what passes between nodes that share a key cannot be read, and who has no key or another one neither
// joins nor gets an answer to a packet. Without a key all of that is possible, so that this test can see it.
func TestEncryptedSockets(t *testing.T) {
	for _, encrypted := range []bool{true, false} {
		t.Run(fmt.Sprintf("encrypted=%v", encrypted), func(t *testing.T) {
			with := func(n int) func(*gossip.Config) {
				return func(c *gossip.Config) {
					if c.Boot = 7; n > 0 {
						c.Keyring, _ = gossip.NewKeyring([][]byte{testKey(n)}, nil)
					}
				}
			}
			key := map[bool]int{true: 1}[encrypted]
			a, b := socketed(t, "anna-the-first", with(key)), socketed(t, "berta-the-second", with(key))
			wire := newTap(t, a.Addr())
			if n, err := b.Join(t.Context(), []string{wire.Addr().String()}); n != 1 || err != nil {
				t.Fatalf("Join = %d, %v", n, err)
			}
			told(t, a, "anna-the-first", "berta-the-second")
			if got := wire.says("berta-the-second") || wire.says("anna-the-first"); got == encrypted {
				t.Errorf("names can be read on the wire: %v", got)
			}
			for n, want := range map[int]string{0: "this node has none", 2: "encrypted with another key"} {
				c := socketed(t, "carla", with(n))
				joined, err := c.Join(t.Context(), []string{a.Addr()})
				if encrypted && (joined != 0 || err == nil || !strings.Contains(err.Error(), want) || len(c.Members()) != 1) {
					t.Errorf("without the key Join = %d, %v, want %q; it knows %v", joined, err, want, c.Members())
				}
				if !encrypted && n == 0 && joined != 1 {
					t.Errorf("Join = %d, %v, and nobody has a key", joined, err)
				}
			}
			if got := pinged(t, "anna-the-first", 7, a.Addr()); got == encrypted {
				t.Errorf("a packet without encryption is answered: %v", got)
			}
		})
	}
}

// pinged says whether a node answers a packet that is not encrypted.
func pinged(t *testing.T, id ring.Member, boot uint64, addr string) bool {
	t.Helper()
	c := memberlist.DefaultLocalConfig()
	c.BindAddr, c.BindPort, c.Logger = "127.0.0.1", 0, stdlog.New(io.Discard, "", 0)
	m, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Ping(gossip.NameOf(id, boot), to)
	return err == nil
}
