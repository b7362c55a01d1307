package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/certs"
)

// The files of a folder that config init --tls makes, beside those of each node.
const (
	fileCA          = "ca.crt"
	fileCAKey       = "ca.key"
	fileAPITokens   = "api.tokens"
	fileAdminTokens = "admin.tokens"
)

// How long the certificates of config init --tls are good.
const (
	lifeCA   = 10 * 365 * 24 * time.Hour
	lifeNode = 365 * 24 * time.Hour
)

// An initial is what config init makes.
type initial struct {
	tls   bool
	nodes int
	dir   string
	label string
	hosts []string // further names of all nodes' certificates
	days  int
	force bool
	renew bool
	out   output

	folder *os.Root
	made   initialData
}

// initialData is what config init says of what it made.
type initialData struct {
	Dir   string    `json:"dir"`
	Files []string  `json:"files"` // in dir
	Kept  []string  `json:"kept,omitempty"`
	Nodes []string  `json:"nodes,omitempty"`
	Ends  time.Time `json:"certificates_end,omitzero"`
	Next  []string  `json:"next"` // what to type
}

// A seat is one node of config init.
type seat struct {
	name, host string // host is "" on this machine
	at         int    // its place, by which its ports on this machine are
}

// newConfigInit returns the command config init.
func newConfigInit(p *process) *cobra.Command {
	var i initial
	cmd := &cobra.Command{
		Use:   "init [NAME[=HOST]...]",
		Short: "Make a configuration file to begin with, or all that a secure fleet needs",
		Long: `Makes a commented configuration file, noria.yaml.

With --tls it makes all that a fleet needs whose ports are locked: a CA, for development and small fleets, a certificate for
each node, which names it by a URI and is good for one year, a key that encrypts gossip, tokens for the API and for those
who look after the fleet, and a configuration file for each node. With NAME=HOST a node's file listens at that host, and
goes there with what it names; without, all nodes are on this machine, each with ports that are higher by 10.

What is there is not overwritten. Run again in the same folder with other names it makes what further nodes need, and with
--renew new certificates of the same CA, which running nodes take up by themselves.`,
		Example: `  noria config init
  noria config init --tls && noria fleet --secure secure
  noria config init --tls --dir secure a=10.0.0.1 b=10.0.0.2 c=10.0.0.3
  noria config init --tls --dir secure --renew`,
		RunE: func(_ *cobra.Command, args []string) error { return i.run(p, args) },
	}
	s := section{flags: cmd.Flags(), name: "init"}
	s.toggle("tls", "tls", "certificates, keys and tokens for a fleet", &i.tls)
	s.add("nodes", "nodes", "`NUMBER` of nodes, where none are named: node-1 and so on", of(&i.nodes, "number", "3", whole(1, 50)))
	s.add("dir", "dir", "`DIR` to write to (default: secure with --tls, and else this one)", of(&i.dir, "folder", "", text))
	s.add("label", "label", "`LABEL` of the cluster, which certificates name", of(&i.label, "label", "noria", text))
	s.add("host", "host", "`HOST` that certificates are good for too, such as a load balancer's; several with commas or repeated", &list{to: &i.hosts, parse: text, kind: "hosts"})
	s.add("days", "days", "`DAYS` that the certificates of nodes are good", of(&i.days, "number", "365", whole(1, 3650)))
	s.toggle("renew", "renew", "new certificates for the nodes named, or all that are there, by the CA that is there", &i.renew)
	s.toggle("force", "force", "overwrite what is there, the CA too", &i.force)
	addOutput(section{flags: cmd.Flags(), name: "client"}, &i.out)
	cmd.Flags().SortFlags = false
	return cmd
}

// run makes what i says for the nodes named.
func (i *initial) run(p *process, names []string) error {
	if !i.tls && (i.renew || len(names) > 0) {
		return usagef("nodes are named, and certificates renewed, with --tls")
	}
	if i.dir == "" {
		i.dir = "."
		if i.tls {
			i.dir = "secure"
		}
	}
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return usagef("--dir is %s: %w", i.dir, err)
	}
	var err error
	if i.folder, err = os.OpenRoot(i.dir); err != nil {
		return usagef("--dir is %s: %w", i.dir, err)
	}
	defer i.folder.Close()
	i.made.Dir = i.dir
	if i.tls {
		err = i.secure(p.program, names)
	} else {
		err = i.plain(p.program)
	}
	if err != nil {
		return err
	}
	return i.out.print(p.stdout, i.made, i.made.text(p.paint(p.stdout)))
}

// text returns what prints d for people.
func (d initialData) text(c paint) func(io.Writer) {
	return func(w io.Writer) {
		for _, f := range d.Files {
			fmt.Fprintln(w, "wrote", filepath.Join(d.Dir, f))
		}
		for _, f := range d.Kept {
			fmt.Fprintln(w, "kept ", filepath.Join(d.Dir, f))
		}
		if !d.Ends.IsZero() {
			fmt.Fprintf(w, "\nCertificates are good until %s. Files of keys and tokens are for their owner's eyes alone.\n", d.Ends.UTC().Format(time.DateOnly))
		}
		fmt.Fprint(w, "\nWhat to type next:\n\n")
		for _, line := range d.Next {
			fmt.Fprintln(w, "  "+c.bold(line))
		}
	}
}

// plain makes a commented file.
func (i *initial) plain(program string) error {
	const name = "noria.yaml"
	if !i.force && i.has(name) {
		return usagef("%s is there already: write elsewhere with --dir, or overwrite it with --force", filepath.Join(i.dir, name))
	}
	i.made.Next = []string{program + " config check " + filepath.Join(i.dir, name), program + " serve --config " + filepath.Join(i.dir, name)}
	return i.write(name, 0o644, commented())
}

// commented returns a configuration file that says nothing but what there is.
func commented() []byte {
	var sections []string
	fields := map[string][]byte{}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	addSettings(flags, new(settings))
	flags.VisitAll(func(f *pflag.Flag) {
		in, field, _ := strings.Cut(annotation(f, inFile), ".")
		if _, known := fields[in]; !known {
			sections = append(sections, in)
		}
		_, usage := pflag.UnquoteUsage(f)
		usage, _, _ = strings.Cut(usage, " [$")
		value := f.DefValue
		if strings.ContainsAny(value, "{}[]:#,") {
			value = strconv.Quote(value)
		}
		fields[in] = fmt.Appendf(fields[in], "\n  # %s\n  # %s\n", usage, strings.TrimSpace(field+": "+value))
	})
	b := []byte("# What noria serve goes by. All that is commented out has the value that is shown, or none. \"noria config sample\"\n" +
		"# prints a policy, which may stand here too.\n")
	for _, in := range sections {
		b = append(fmt.Appendf(b, "\n%s:", in), fields[in]...)
	}
	return b
}

// secure makes what a locked fleet needs.
func (i *initial) secure(program string, names []string) error {
	if i.renew && len(names) == 0 {
		found, err := fs.Glob(i.folder.FS(), "*.crt")
		if err != nil {
			return err
		}
		for _, f := range found {
			if f != fileCA {
				names = append(names, strings.TrimSuffix(f, ".crt"))
			}
		}
	}
	if len(names) == 0 {
		for n := range i.nodes {
			names = append(names, "node-"+strconv.Itoa(n+1))
		}
	}
	seats, err := i.seats(names)
	if err != nil {
		return err
	}
	if err := i.check(seats); err != nil {
		return err
	}
	authority, err := i.authority()
	if err != nil {
		return err
	}
	for _, s := range seats {
		if err := i.certify(authority, s); err != nil {
			return err
		}
	}
	if !i.renew {
		if err := i.furnish(seats); err != nil {
			return err
		}
	}
	i.next(program, seats)
	return nil
}

// seats returns the nodes named.
func (i *initial) seats(names []string) ([]seat, error) {
	before, err := fs.Glob(i.folder.FS(), "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []seat
	seen := map[string]bool{}
	for at, text := range names {
		name, host, named := strings.Cut(text, "=")
		s := seat{name: name, host: host, at: at}
		if err := ring.Member(name).Validate(); err != nil || !filepath.IsLocal(name) || filepath.Base(name) != name || name == "ca" {
			return nil, usagef("name %q: want one that can be a file's, such as node-1", name)
		}
		if named && (host == "" || strings.ContainsAny(host, "/: ") && net.ParseIP(host) == nil) {
			return nil, usagef("%q: want NAME=HOST with an IP or a DNS name, without a port", text)
		}
		if seen[name] {
			return nil, usagef("%s is named twice", name)
		}
		seen[name] = true
		if number, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:]); err == nil && strings.Contains(name, "-") && number > 0 && number <= 1000 {
			s.at = number - 1
		} else if !i.force {
			s.at += len(before)
		}
		all = append(all, s)
	}
	return all, nil
}

// check says what is there that would be overwritten.
func (i *initial) check(seats []seat) error {
	if i.renew {
		for _, s := range seats {
			if !i.has(s.name + ".crt") {
				return usagef("there is no %s to renew", filepath.Join(i.dir, s.name+".crt"))
			}
		}
		return nil
	}
	if i.force {
		return nil
	}
	var there []string
	for _, s := range seats {
		for _, end := range []string{".crt", ".key", ".gossip", ".yaml"} {
			if i.has(s.name + end) {
				there = append(there, s.name+end)
				break
			}
		}
	}
	if len(there) > 0 {
		return usagef("%s has %s already: name other nodes to add to them, renew certificates with --renew, or overwrite all with --force", i.dir, strings.Join(there, ", "))
	}
	return nil
}

// has says whether the folder has a file of that name.
func (i *initial) has(name string) bool {
	_, err := i.folder.Lstat(name)
	return err == nil
}

// write writes a file of the folder, whole or not at all.
func (i *initial) write(name string, mode fs.FileMode, b []byte) error {
	temporary := "." + name + "." + rand.Text()[:8]
	f, err := i.folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Chmod(mode), f.Close())
	}
	if err == nil {
		err = i.folder.Rename(temporary, name)
	}
	if err != nil {
		return &exit{status: statusFailed, err: fmt.Errorf("write %s: %w", filepath.Join(i.dir, name), err)}
	}
	i.made.Files = append(i.made.Files, name)
	return nil
}

// authority returns the CA that is there, or a new one.
func (i *initial) authority() (*certs.Authority, error) {
	if i.has(fileCA) && !i.force || i.renew {
		cert, err := i.folder.ReadFile(fileCA)
		if err != nil {
			return nil, usagef("the CA: %w", err)
		}
		key, err := i.folder.ReadFile(fileCAKey)
		if err != nil {
			return nil, usagef("the key of the CA: %w", err)
		}
		a, err := certs.LoadAuthority(cert, key)
		if err != nil {
			return nil, usagef("%s, %s: %w", filepath.Join(i.dir, fileCA), fileCAKey, err)
		}
		i.made.Kept = append(i.made.Kept, fileCA, fileCAKey)
		return a, nil
	}
	a, err := certs.NewAuthority("Noria development CA", time.Now(), lifeCA)
	if err != nil {
		return nil, err
	}
	cert, key, err := a.PEM()
	if err != nil {
		return nil, err
	}
	return a, errors.Join(i.write(fileCAKey, 0o600, key), i.write(fileCA, 0o644, cert))
}

// certify makes the certificate of a node.
func (i *initial) certify(a *certs.Authority, s seat) error {
	uri := strings.NewReplacer("{label}", url.PathEscape(i.label), "{name}", url.PathEscape(s.name)).Replace(certs.DefaultNames)
	names := []string{uri, "localhost", "127.0.0.1", "::1"}
	if s.host != "" {
		names = append(names, s.host)
	}
	names = append(names, i.hosts...)
	if old, err := i.folder.ReadFile(s.name + ".crt"); i.renew && err == nil {
		if names, err = certs.NamesOf(old); err != nil {
			return usagef("%s: %w", filepath.Join(i.dir, s.name+".crt"), err)
		}
	}
	now := time.Now()
	cert, key, err := a.Issue(now, time.Duration(i.days)*24*time.Hour, names...)
	if err != nil {
		return usagef("certificate of %s: %w", s.name, err)
	}
	i.made.Ends = now.Add(time.Duration(i.days) * 24 * time.Hour)
	if a.Ends().Before(i.made.Ends) {
		i.made.Ends = a.Ends()
	}
	i.made.Nodes = append(i.made.Nodes, s.name)
	return errors.Join(i.write(s.name+".key", 0o600, key), i.write(s.name+".crt", 0o644, cert))
}

// furnish makes what nodes have besides certificates: keys of gossip, tokens, and configuration files.
func (i *initial) furnish(seats []seat) error {
	keys, err := i.gossipKeys()
	if err != nil {
		return err
	}
	for name, who := range map[string]string{fileAPITokens: "app", fileAdminTokens: "admin"} {
		if i.has(name) && !i.force {
			i.made.Kept = append(i.made.Kept, name)
			continue
		}
		if err := i.write(name, 0o600, fmt.Appendf(nil, "%s %s\n", who, rand.Text()+rand.Text())); err != nil {
			return err
		}
	}
	for _, s := range seats {
		if err := errors.Join(i.write(s.name+".gossip", 0o600, keys), i.write(s.name+".yaml", 0o644, i.config(s, seats))); err != nil {
			return err
		}
	}
	return nil
}

// gossipKeys returns the file of keys that another node has, or of a new key.
func (i *initial) gossipKeys() ([]byte, error) {
	found, err := fs.Glob(i.folder.FS(), "*.gossip")
	if err != nil {
		return nil, err
	}
	if len(found) > 0 && !i.force {
		return i.folder.ReadFile(found[0])
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return gossip.FormatKeys([][]byte{key}), nil
}

// config returns the configuration file of a node, which joins the others of all.
func (i *initial) config(s seat, all []seat) []byte {
	var b bytes.Buffer
	at := func(host string, port int) string { return strconv.Quote(net.JoinHostPort(host, strconv.Itoa(port))) }
	ports := func(s seat, host string, port int) string {
		if s.host == "" {
			return at("127.0.0.1", port+10*s.at)
		}
		return at(host, port)
	}
	fmt.Fprintf(&b, "# The node %s of a fleet whose ports are locked. Paths are relative to this file.\n", s.name)
	fmt.Fprintf(&b, "node:\n  name: %q\n\ncluster:\n  label: %q # certificates name it\n", s.name, i.label)
	var join []string
	for _, o := range all {
		if o != s {
			join = append(join, ports(o, o.host, 7946))
		}
	}
	if len(join) == 0 && s.at > 0 && s.host == "" {
		join = []string{at("127.0.0.1", 7946)} // the first that was made before
	}
	if len(join) > 0 {
		fmt.Fprintf(&b, "  join: [%s]\n", strings.Join(join, ", "))
	}
	host, advertise := s.host, ""
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		host, advertise = "0.0.0.0", host // gossip listens at an IP
	}
	b.WriteString("\nlisten:\n")
	for _, p := range []struct {
		name string
		port int
	}{{"http", 8080}, {"grpc", 8081}, {"admin", 8082}, {"api", 8083}, {"gossip", 7946}, {"peer", 7947}} {
		fmt.Fprintf(&b, "  %s: %s\n", p.name, ports(s, host, p.port))
	}
	if advertise != "" {
		fmt.Fprintf(&b, "\nadvertise:\n  peer: %q\n", advertise)
	}
	fmt.Fprintf(&b, `
peer: # nodes show each other certificates
  ca: ca.crt
  cert: %[1]q
  key: %[2]q

gossip: # is encrypted
  keyring: %[3]q

api: # callers show a token
  tls_cert: %[1]q
  tls_key: %[2]q
  token_file: api.tokens

admin:
  tls_cert: %[1]q
  tls_key: %[2]q
  token_file: admin.tokens
`, s.name+".crt", s.name+".key", s.name+".gossip")
	return b.Bytes()
}

// next says what to type next.
func (i *initial) next(program string, seats []seat) {
	first := seats[0]
	file := func(name string) string { return filepath.Join(i.dir, name) }
	switch {
	case i.renew:
		i.made.Next = []string{program + " keys list --secure " + i.dir}
	case first.host != "":
		for _, s := range seats {
			i.made.Next = append(i.made.Next, fmt.Sprintf("%s serve --config %s   # on %s, with %s, %s.*, %s and %s beside it",
				program, file(s.name+".yaml"), s.host, fileCA, s.name, fileAPITokens, fileAdminTokens))
		}
	case first.name == "node-1":
		i.made.Next = []string{
			program + " fleet --nodes " + strconv.Itoa(len(seats)) + " --secure " + i.dir,
			program + ` check user:42 "5/m" --secure ` + i.dir,
			program + " keys list --secure " + i.dir,
		}
	default:
		for _, s := range seats {
			i.made.Next = append(i.made.Next, program+" serve --config "+file(s.name+".yaml"))
		}
	}
}
