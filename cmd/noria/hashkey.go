package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/noriahq/noria/transport/gateway/identity"
)

const (
	maxKey   = 512 // bytes of an API key
	shortKey = 16  // bytes: fewer can be guessed by who has the hash
)

// hashing is what the command config hash-key makes an entry of.
type hashing struct {
	key, id, tier, org string
	out                output
}

// newConfigHashKey returns the command config hash-key.
func newConfigHashKey(p *process) *cobra.Command {
	var h hashing
	cmd := &cobra.Command{
		Use:   "hash-key",
		Short: "Make the entry of a key file for an API key",
		Long: `Reads an API key from standard input, without showing it where that is a terminal, and prints the entry for it: to put
under keys: of the file that identities.keys.file of a policy names. The file has the key's SHA-256 and not the key.

Keys are to be drawn and not thought up: 32 random bytes, for instance. Short ones can be found by who reads the file.`,
		Example: `  noria config hash-key --id alice --tier pro
  openssl rand -hex 32 | tee alice.key | noria config hash-key --id alice >> keys.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 { // it is not shown again
				return usagef("an API key is no argument, because shells keep those: want it on standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return h.run(cmd.Context(), p) },
	}
	own, shared := section{flags: cmd.Flags(), name: "key"}, section{flags: cmd.Flags(), name: "client"}
	own.add("id", "id", "`ID` of who has the key; by default made of the hash", of(&h.id, "id", "", called))
	own.add("tier", "tier", "`TIER` of who has the key, by which limits may differ", of(&h.tier, "tier", "", called))
	own.add("org", "org", "`ORG` that who has the key belongs to", of(&h.org, "org", "", called))
	own.add("key", "secret", "the API `KEY` itself, which the shell's history then keeps", of(&h.key, "key", "", apiKey))
	addOutput(shared, &h.out)
	return cmd
}

// called reads the name of a caller, a tier or an organization.
func called(s string) (string, error) {
	unseen := func(r rune) bool { return r < ' ' || r == 0x7f }
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, unseen) || strings.ToValidUTF8(s, "") != s {
		return "", errors.New("want a text of 1 to 256 bytes")
	}
	return s, nil
}

// apiKey reads an API key: what can stand in a header as it is.
func apiKey(s string) (string, error) {
	unseen := func(r rune) bool { return r <= ' ' || r > '~' }
	if s == "" || len(s) > maxKey || strings.ContainsFunc(s, unseen) {
		return "", fmt.Errorf("want 1 to %d letters, digits and signs without space", maxKey)
	}
	return s, nil
}

// run reads the key and prints its entry.
func (h *hashing) run(ctx context.Context, p *process) error {
	if h.key == "" {
		var err error
		if h.key, err = p.readKey(ctx); err != nil {
			return err
		}
	}
	if len(h.key) < shortKey {
		fmt.Fprintf(p.stderr, "%s a key of %d bytes can be guessed by who reads the file, want %d or more\n", p.paint(p.stderr).yellow("noria:"), len(h.key), shortKey)
	}
	e := entry{SHA256: identity.HashKey(h.key), ID: h.id, Tier: h.tier, Org: h.org}
	if e.ID == "" {
		e.ID = "key-" + e.SHA256[:8]
	}
	return h.out.print(p.stdout, e, e.text)
}

// readKey reads an API key from standard input.
func (p *process) readKey(ctx context.Context) (string, error) {
	text, err := p.readSecret(ctx)
	if err != nil {
		return "", err
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if text == "" {
		return "", usagef("no API key on standard input")
	}
	key, err := apiKey(text)
	if err != nil {
		return "", usagef("API key: %w", err)
	}
	return key, nil
}

// readSecret reads standard input; a line that is not shown where that is a terminal.
func (p *process) readSecret(ctx context.Context) (string, error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		b, err := io.ReadAll(io.LimitReader(p.stdin, maxKey+3)) // a line's end more, and a byte too many
		return string(b), err
	}
	fd := int(f.Fd())
	shown, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.stderr, "API key (not shown): ")
	defer fmt.Fprintln(p.stderr)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return string(l.text), l.err
	case <-ctx.Done(): // the process ends, and the terminal is to show again what is typed
		return "", errors.Join(&exit{status: statusFailed, err: errors.New("stopped")}, term.Restore(fd, shown))
	}
}

// An entry is one of a key file.
type entry struct {
	SHA256 string `json:"sha256"`
	ID     string `json:"id"`
	Tier   string `json:"tier,omitempty"`
	Org    string `json:"org,omitempty"`
}

// text writes e in YAML.
func (e entry) text(w io.Writer) {
	fmt.Fprintf(w, "  - sha256: %s\n    id: %s\n", e.SHA256, scalar(e.ID))
	if e.Tier != "" {
		fmt.Fprintf(w, "    tier: %s\n", scalar(e.Tier))
	}
	if e.Org != "" {
		fmt.Fprintf(w, "    org: %s\n", scalar(e.Org))
	}
}

// scalar returns s as YAML writes it: with quotes where it may be read as something else than a text.
func scalar(s string) string {
	letter := func(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
	odd := func(c rune) bool { return !letter(c) && (c < '0' || c > '9') && !strings.ContainsRune("-_.@", c) }
	words := []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
	if strings.ContainsFunc(s, odd) || !letter(rune(s[0])) || slices.Contains(words, strings.ToLower(s)) {
		return strconv.Quote(s)
	}
	return s
}
