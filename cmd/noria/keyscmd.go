package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/transport/keys"
)

// newKeys returns the command keys.
func newKeys(p *process) *cobra.Command {
	cmd := p.group(&cobra.Command{
		Use:   "keys",
		Short: "Look at and change the keys that encrypt a fleet's gossip",
		Long: `Looks at and changes the keys that encrypt gossip, at all members of a running fleet, by asking any one of them. Each member
writes its keys to the file of its --gossip-keyring, so that it finds them again after a restart. It takes the admin's
token, and keys are called by their ids, which do not give them away.

A step is done at all members or says where it was not; to run it again is safe. While members are missing nothing is
changed, as they could not come back, unless --force is given.`,
		Example: `  noria keys list --secure secure
  noria keys rotate --secure secure
  noria keys generate > gossip.keys`,
	})
	cmd.AddCommand(newKeysGenerate(p),
		newKeysDo(p, "list", "Show which keys members have, and which they use", ""),
		newKeysDo(p, "install", "Make a new key, or the one of --key-file, understood by all members", ""),
		newKeysDo(p, "use", "Make all members encrypt with a key that all have", "ID"),
		newKeysDo(p, "remove", "Make a key that nobody uses not understood any more", "ID"),
		newKeysDo(p, "rotate", "Replace all keys: install a new one, use it, remove the others", ""))
	return cmd
}

// newKeysGenerate returns the command keys generate.
func newKeysGenerate(p *process) *cobra.Command {
	bytes := 0
	cmd := &cobra.Command{
		Use:     "generate",
		Short:   "Print a new key, a line for the file of --gossip-keyring",
		Example: "  noria keys generate > gossip.keys",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			key := make([]byte, bytes)
			_, _ = rand.Read(key) // never fails
			_, err := fmt.Fprintln(p.stdout, base64.StdEncoding.EncodeToString(key))
			return err
		},
	}
	section{flags: cmd.Flags(), name: "keys"}.add("bytes", "bytes", "`BYTES` of the key: 16, 24 or 32", of(&bytes, "number", "32", func(s string) (int, error) {
		n, err := whole(16, 32)(s)
		if err != nil || n%8 != 0 {
			return 0, errors.New("want 16, 24 or 32")
		}
		return n, nil
	}))
	return cmd
}

// newKeysDo returns the command that does action, with the argument of that name if there is one.
func newKeysDo(p *process, action, short, argument string) *cobra.Command {
	var (
		c    client
		q    = keys.Request{Action: action}
		file string
	)
	use, example, args := action, "  noria keys "+action+" --secure secure", exactly()
	if argument != "" {
		use, example, args = action+" "+argument, "  noria keys "+action+" 0123456789abcdef --secure secure", exactly(argument)
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				q.ID = args[0]
			}
			if file != "" {
				if q.Key, err = p.firstKey(file); err != nil {
					return err
				}
			}
			result, err := c.keys(cmd.Context(), q)
			if err != nil && len(result.Members) == 0 {
				return err
			}
			if printed := c.out.print(p.stdout, result, keysText(p.paint(p.stdout), result)); printed != nil {
				return printed
			}
			return err
		},
	}
	shared := section{flags: cmd.Flags(), name: "client"}
	c.addAdmin(shared)
	own := section{flags: cmd.Flags(), name: "keys"}
	if action == "install" {
		own.path("key-file", "key_file", "`FILE` whose first key is installed, - for standard input (default: a new key)", &file)
	}
	if action != "list" {
		own.toggle("force", "force", "do it although members are missing: they need the new key by hand then", &q.Force)
	}
	c.addCommon(shared)
	return cmd
}

// firstKey returns the first key of a file, in base64.
func (p *process) firstKey(path string) (string, error) {
	read := func() ([]byte, error) { return readSmall(path) }
	if path == "-" {
		read = func() ([]byte, error) { return io.ReadAll(io.LimitReader(p.stdin, gossip.MaxKeyFile)) }
	}
	b, err := read()
	if err != nil {
		return "", usagef("--key-file: %w", err)
	}
	all, err := gossip.ParseKeys(b)
	if err != nil {
		return "", usagef("--key-file is %s: %w", path, err)
	}
	return base64.StdEncoding.EncodeToString(all[0]), nil
}

// keysWait is how long changes at all members may take, which is longer than an answer of one.
const keysWait = 2 * time.Minute

// keys asks c's node to do q at all members.
func (c *client) keys(ctx context.Context, q keys.Request) (keys.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, max(c.timeout, keysWait))
	defer cancel()
	var result keys.Result
	client, scheme, err := c.access.web(&http.Transport{Proxy: nil, DisableKeepAlives: true})
	if err != nil {
		return result, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return result, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+c.admin+pathKeys, bytes.NewReader(body))
	if err != nil {
		return result, usagef("--admin is %q: %w", c.admin, err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := client.Do(r)
	if err != nil {
		return result, &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %w", c.admin, errors.Unwrap(err))}
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return result, &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %w", c.admin, err)}
	}
	if json.Unmarshal(answer, &result) != nil || res.StatusCode != http.StatusOK && result.Error == "" {
		return keys.Result{}, c.refused(res, answer)
	}
	switch {
	case result.Error == "":
		return result, nil
	case res.StatusCode == http.StatusBadRequest:
		return result, usagef("%s", result.Error)
	}
	return result, &exit{status: statusFailed, err: errors.New(result.Error)}
}

// keysText returns what prints r for people.
func keysText(c paint, r keys.Result) func(io.Writer) {
	return func(w io.Writer) {
		for _, s := range r.Steps {
			done := c.green("done")
			if s.Confirmed < s.Members {
				done = c.yellow("not done by all")
			}
			fmt.Fprintf(w, "%-7s %s at %d of %d members: %s\n", s.Action, s.Key, s.Confirmed, s.Members, done)
		}
		if len(r.Steps) > 0 {
			fmt.Fprintln(w)
		}
		rows := []string{row("MEMBER", "USES", "UNDERSTANDS TOO")}
		for _, m := range r.Members {
			switch {
			case m.Error != "":
				rows = append(rows, row(m.ID, c.yellow(m.Error), ""))
			case len(m.Keys) > 0:
				rows = append(rows, row(m.ID, m.Keys[0], strings.Join(m.Keys[1:], " ")))
			}
		}
		table(w, rows...)
		switch {
		case len(r.Missing) > 0:
			fmt.Fprintln(w, "\n"+c.yellow(fmt.Sprintf("Missing: %v", r.Missing)))
		case r.Same:
			fmt.Fprintln(w, "\n"+c.green("All members have the same keys."))
		default:
			fmt.Fprintln(w, "\n"+c.yellow("Members have different keys."))
		}
	}
}
