package policy

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// route is the table of one route.
func (a *draft) route(r *Route) ([]field, func(place)) {
	table := []field{
		word("kind", "what its requests are; openai and anthropic have tokens of language models", &r.Kind, HTTP, OpenAI, Anthropic),
		list("hosts", "hosts it is for, without port: api.example.com, *.example.com; all without this", form{kind: "host"}, &r.Hosts, "", host),
		scalar("path", "path it is for, with all below it", form{kind: "path"}, &r.Path, "/", pathPrefix),
		list("methods", "methods it is for; all without this", form{kind: "method"}, &r.Methods, "", method),
		list("upstreams", "where requests go, the one with the fewest under way first", form{kind: "url"}, &r.Upstreams, "", upstream),
		{
			name: "limits", usage: "names of the limits that its requests meet, all or nothing", form: form{kind: "name"},
			many: func(vs []value) []error {
				a.ask(r, vs)
				return nil
			},
			canon: func() string { return fmt.Sprintf("%q", limitNames(r.Limits)) },
		},
		{
			name: "headers", usage: "headers of requests to upstreams, in place of what the client sent, such as Authorization",
			names: "HEADER", goodName: func(s string) error { _, err := headerName(s); return err }, form: form{kind: "text"}, put: r.header,
			canon: func() string { return fmt.Sprintf("%q", r.Headers) },
		},
		scalar("retries", "how often a request is sent again where that is safe", wholes(0, 5), &r.Retries, "1", strict.Whole(0, 5)),
		scalar("timeout", "until the answer begins; 1m without this, 10m where kind is not http", form{kind: "duration"}, &r.Timeout, "", duration(time.Millisecond, time.Hour)),
		scalar("read_timeout", "until the body of a request is there", form{kind: "duration"}, &r.ReadTimeout, "1m", duration(time.Millisecond, time.Hour)),
		scalar("idle_timeout", "between two pieces of an answer's body", form{kind: "duration"}, &r.IdleTimeout, "5m", duration(time.Millisecond, 24*time.Hour)),
		scalar("max_header", "bytes of a request's header", form{kind: "size", whole: true, least: 1 << 10, most: 1 << 20}, &r.MaxHeader, "32KiB", size(1<<10, 1<<20)),
		scalar("max_body", "bytes of a request's body", form{kind: "size", whole: true, least: 0, most: 1 << 40}, &r.MaxBody, "10MiB", size(0, 1<<40)),
		{name: "health", usage: "how upstreams are asked whether they are well", section: func() ([]field, func(place)) { return r.health() }},
		{name: "queue", usage: "requests that wait for their turn, under limits with a queue", section: func() ([]field, func(place)) { return r.queue() }},
		{name: "llm", usage: "how tokens are counted, where kind is not http", section: func() ([]field, func(place)) { return a.llm(r) }},
	}
	return table, func(at place) {
		if !a.quiet {
			a.routes = append(a.routes, r)
		}
		if r.Timeout == 0 {
			r.Timeout = time.Minute
			if r.Kind != HTTP {
				r.Timeout = 10 * time.Minute
			}
		}
		if most := int64(maxLLMBody); r.Kind != HTTP && r.MaxBody > most {
			a.failf(at, "routes.%s.max_body is %d bytes, want at most %d where kind is %s: bodies are read before they are sent on", r.Name, r.MaxBody, most, r.Kind)
		}
	}
}

// maxLLMBody is the most bytes of a body that has to be in memory.
const maxLLMBody = 100 << 20

// header reads a header that upstreams get.
func (r *Route) header(name string, v value) error {
	name, err := headerName(name)
	switch {
	case err != nil:
		return err
	case name == "Host", name == "Content-Length", name == "Connection", name == "Transfer-Encoding":
		return fmt.Errorf("want another header: %s is the gateway's own", name)
	case !httpguts.ValidHeaderFieldValue(v.text):
		return errors.New("want text without line ends")
	}
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	r.Headers[name] = v.text
	return nil
}

// ask notes the limits that r names; names of an earlier source are forgotten.
func (a *draft) ask(r *Route, vs []value) {
	kept := a.asked[:0]
	for _, one := range a.asked {
		if one.by != r {
			kept = append(kept, one)
		}
	}
	a.asked = kept
	for _, v := range vs {
		a.asked = append(a.asked, asked{by: r, name: v})
	}
}

// limitNames returns the names of limits.
func limitNames(limits []*Limit) []string {
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = l.Name
	}
	return names
}

// health is the table of a route's health checks.
func (r *Route) health() ([]field, func(place)) {
	h := &r.Health
	return []field{
		scalar("path", "path that is asked for with GET, well if the status is 200 to 299; nothing is asked without this", form{kind: "path"}, &h.Path, "", pathAndQuery),
		scalar("interval", "how often", form{kind: "duration"}, &h.Interval, "5s", duration(100*time.Millisecond, time.Hour)),
		scalar("timeout", "how long an answer may take", form{kind: "duration"}, &h.Timeout, "2s", duration(10*time.Millisecond, time.Minute)),
	}, func(place) {}
}

// queue is the table of a route's queue.
func (r *Route) queue() ([]field, func(place)) {
	q := &r.Queue
	return []field{
		scalar("wait", "the longest that a request waits", form{kind: "duration"}, &q.Wait, "30s", duration(time.Millisecond, 10*time.Minute)),
		scalar("requests", "most requests that wait at once, at one node", wholes(0, 1_000_000), &q.Requests, "1000", strict.Whole(0, 1_000_000)),
	}, func(place) {}
}

// llm is the table of how a route counts tokens.
func (a *draft) llm(r *Route) ([]field, func(place)) {
	l := &r.LLM
	table := []field{
		scalar("default_max_tokens", "tokens reserved for the answer to a request that names no most", wholes(0, maxTokens), &l.DefaultMaxTokens, "1024", strict.Whole[int64](0, maxTokens)),
		scalar("chars_per_token", "characters of a prompt that count as one token before the upstream has counted", wholes(1, 100), &l.CharsPerToken, "4", strict.Whole[int64](1, 100)),
		word("tokenizer", "how prompts are counted before: by characters, or by one of OpenAI's tokenizers", &l.Tokenizer, "chars", "o200k", "cl100k"),
		{
			name: "weights", usage: "what tokens of a model cost; of a longest name with * at its end, or default, where it has none of its own",
			names: "MODEL", goodName: isModel, entry: func(model value) ([]field, func(place)) { return l.weights(model.text) },
		},
	}
	return table, func(at place) {
		if r.Kind == HTTP {
			a.failf(at, "routes.%s has llm, want kind openai or anthropic with it", r.Name)
		}
	}
}

// maxTokens is the most tokens that an answer is reserved for.
const maxTokens = 100_000_000

// isModel says whether s can name models.
func isModel(s string) error {
	if strings.Contains(strings.TrimSuffix(s, "*"), "*") {
		return errors.New("want * at the end only")
	}
	return isLabel(s)
}

// weights is the table of a model's weights.
func (l *LLM) weights(model string) ([]field, func(place)) {
	w := &Weights{Cached: unset}
	f := form{kind: "weight", pattern: weightPattern}
	table := []field{
		scalar("input", "limit's tokens for each token of the prompt, three digits after the point at most", f, &w.Input, "1", weight),
		scalar("output", "limit's tokens for each token of the answer", f, &w.Output, "1", weight),
		scalar("cached", "limit's tokens for each token of the prompt that the upstream had in its cache; that of input without this", f, &w.Cached, "", weight),
	}
	return table, func(place) {
		if w.Cached == unset {
			w.Cached = w.Input
		}
		if l.Weights == nil {
			l.Weights = map[string]Weights{}
		}
		l.Weights[model] = *w
	}
}

// unset is a weight that no text is.
const unset = -1

// weightPattern is what weights look like.
const weightPattern = `^[0-9]{1,3}(\.[0-9]{1,3})?$`

// weight reads a weight into thousandths.
func weight(s string) (int64, error) {
	bad := errors.New("want a number from 0 to 999 with three digits after the point at most, such as 1 or 0.25")
	whole, part, point := strings.Cut(s, ".")
	if len(whole) < 1 || len(whole) > 3 || len(part) > 3 || point && part == "" {
		return 0, bad
	}
	n, err := strconv.ParseUint(whole+part+"000"[len(part):], 10, 31)
	if err != nil {
		return 0, bad
	}
	return int64(n), nil
}

// host reads a host name, or *. and one.
func host(s string) (string, error) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	name := strings.TrimPrefix(s, "*.")
	if name == "" || len(name) > 253 || strings.ContainsAny(name, "*/@ ") || !httpguts.ValidHostHeader(name) {
		return "", errors.New("want a host such as api.example.com, or *.example.com for all below it")
	}
	if plainHost(name) != name {
		return "", errors.New("want a host without port: a route is for all ports")
	}
	return s, nil
}

// pathPrefix reads a path, as requests' paths are compared with it.
func pathPrefix(s string) (string, error) {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#") {
		return "", errors.New("want a path that begins with /, such as /v1")
	}
	if clean := path.Clean(s); clean != strings.TrimSuffix(s, "/") && s != "/" {
		return "", fmt.Errorf("want it without . and .. and //, such as %s", clean)
	}
	return path.Clean(s), nil
}

// pathAndQuery reads what a request to an upstream may be for.
func pathAndQuery(s string) (string, error) {
	if _, err := url.ParseRequestURI(s); err != nil || !strings.HasPrefix(s, "/") {
		return "", errors.New("want a path that begins with /, such as /healthz")
	}
	return s, nil
}

// method reads a method.
func method(s string) (string, error) {
	s = strings.ToUpper(s)
	if !httpguts.ValidHeaderFieldName(s) || len(s) > 32 {
		return "", errors.New("want a method such as GET")
	}
	return s, nil
}

// upstream reads the URL of an upstream.
func upstream(s string) (*url.URL, error) {
	u, err := strict.URL(s)
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" {
		return nil, errors.New("want it without what is behind ?")
	}
	return u, bare(u)
}

// duration reads a duration.
func duration(least, most time.Duration) func(string) (time.Duration, error) {
	return strict.Duration(least, most)
}

// size returns the reader of sizes in bytes from least to most.
func size(least, most int64) func(string) (int64, error) {
	return func(s string) (int64, error) {
		digits, unit := s, int64(1)
		for i, word := range []string{"KiB", "MiB", "GiB"} {
			if rest, ok := strings.CutSuffix(s, word); ok {
				digits, unit = strings.TrimSpace(rest), 1<<(10*(i+1))
			}
		}
		n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/unit || n*unit < least || n*unit > most {
			return 0, fmt.Errorf("want bytes from %d to %d, such as 64KiB or 10MiB", least, most)
		}
		return n * unit, nil
	}
}
