package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// taken are the ports that something else listens on.
type taken []int

// String says which they are.
func (t taken) String() string {
	texts := make([]string, len(t))
	for i, port := range t {
		texts[i] = strconv.Itoa(port)
	}
	if len(t) == 1 {
		return "port " + texts[0] + " is in use"
	}
	return "ports " + strings.Join(texts[:len(t)-1], ", ") + " and " + texts[len(t)-1] + " are in use"
}

// takenPorts returns those of all that something else listens on, in order.
func takenPorts(all []settings) taken {
	var t taken
	for _, s := range all {
		s.listen.each(func(name, addr string) {
			if name == "http" && s.front.upstream == nil && !proxies(s.policy) {
				return
			}
			if err := probe(name, addr, name == "gossip"); errors.Is(err, errTaken) {
				_, text, _ := net.SplitHostPort(addr)
				port, _ := strconv.Atoi(text) // an address that was made of a number
				t = append(t, port)
			}
		})
	}
	slices.Sort(t)
	return t
}

// A fleetNode is where one node of a fleet is.
type fleetNode struct {
	Node       string `json:"node"`
	Role       string `json:"role"`
	HTTP       string `json:"http,omitempty"`
	API        string `json:"api"`
	GRPC       string `json:"grpc"`
	Admin      string `json:"admin"`
	Peer       string `json:"peer"`
	Gossip     string `json:"gossip"`
	Partitions int    `json:"partitions"`
}

// fleetData is what a fleet prints as JSON.
type fleetData struct {
	Epoch string      `json:"epoch"`
	Nodes []fleetNode `json:"nodes"`
}

// data returns where nodes are.
func (f *fleet) data(nodes []*server) fleetData {
	var d fleetData
	for _, n := range nodes {
		s, p := n.node.Status(), n.addresses()
		d.Epoch = s.Epoch
		d.Nodes = append(d.Nodes, fleetNode{n.settings.name, string(s.Role), p.http, p.api, p.grpc, p.admin, p.peer, p.gossip, s.Partitions})
	}
	return d
}

// screen returns what prints where nodes are and what to try.
func (f *fleet) screen(program string, c paint, nodes []*server) func(io.Writer) {
	d := f.data(nodes)
	return func(w io.Writer) {
		fmt.Fprintf(w, "%s The ring has epoch %s.\n\n", c.green(agreed(len(nodes))), d.Epoch)
		head := row("NODE", "HTTP API", "GRPC", "ADMIN", "PEERS", "GOSSIP", "PARTITIONS")
		if f.gateways > 0 {
			head = row(head, "ROLE")
		}
		if f.proxies() {
			head = row(head, "GATEWAY")
		}
		rows := []string{head}
		for _, n := range d.Nodes {
			cells := row(n.Node, n.API, n.GRPC, n.Admin, n.Peer, n.Gossip, count(n.Partitions))
			if f.gateways > 0 {
				cells = row(cells, n.Role)
			}
			if f.proxies() {
				cells = row(cells, n.HTTP)
			}
			rows = append(rows, cells)
		}
		table(w, rows...)
		say := func(what string, lines []string) {
			fmt.Fprintf(w, "\n%s\n\n", what)
			for _, line := range lines {
				fmt.Fprintln(w, "  "+c.bold(line))
			}
		}
		if f.show != nil {
			first, last := d.Nodes[0], d.Nodes[len(d.Nodes)-1]
			say("Ask a gateway as the client of a language model does; \""+program+" config sample\" prints its policy:", f.show.lines(first.HTTP, last.HTTP))
		}
		say("Ask any of the limiters, they share every bucket:", f.lines(program, d.Nodes))
		fmt.Fprintf(w, "\nSee them at work at %s, or with %s.\n", c.bold(f.scheme()+d.Nodes[0].Admin+"/console"), c.bold(f.top(program, d.Nodes[0])))
		fmt.Fprintln(w, "\nCtrl-C stops all of them.")
	}
}

// top returns the command that shows the fleet at work.
func (f *fleet) top(program string, first fleetNode) string {
	line := program + " top --admin " + first.Admin
	if f.secure != "" {
		line += " --secure " + f.secure
	}
	return line
}

// agreed says that n nodes do.
func agreed(n int) string {
	if n == 1 {
		return "One node is ready."
	}
	return fmt.Sprintf("%d nodes are ready and agree.", n)
}

// lines returns what to type next. All of them work as they are.
func (f *fleet) lines(program string, nodes []fleetNode) []string {
	first, last := nodes[0], nodes[len(nodes)-1]
	lines := []string{
		check("curl -i"+f.secured(fileAPITokens), f.scheme()+first.API),
		check("curl"+f.secured(fileAPITokens), f.scheme()+last.API),
		"curl" + f.secured(fileAdminTokens) + " " + f.scheme() + first.Admin + "/status",
		program + ` check user:42 "5/m" --node ` + last.GRPC,
	}
	if f.secure != "" {
		lines[3] += " --secure " + f.secure
		lines = append(lines, program+" keys rotate --admin "+first.Admin+" --secure "+f.secure)
	}
	if f.show == nil && f.proxies() {
		lines = append(lines, "curl -i http://"+first.HTTP+"/")
	}
	return lines
}

// proxies says whether the nodes are gateways too.
func (f *fleet) proxies() bool { return f.front.upstream != nil || proxies(f.policy) }

// check returns the line that asks the API at url.
func check(curl, url string) string {
	return curl + ` ` + url + `/v1/check -H 'Content-Type: application/json' -d '{"key":"user:42","limit":"5/m"}'`
}
