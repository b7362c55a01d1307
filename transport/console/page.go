package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
)

// files are the page. Nothing builds them: they are served as they are.
//
//go:embed static
var files embed.FS

// policy is what the page may do: load what comes from where it comes from, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A file is what is served as it is.
type file struct {
	body []byte
	kind string // of content
	tag  string // by which a browser asks whether it has changed
}

// pages are the files by name.
type pages map[string]file

// kinds are the kinds of content by the end of the name. The system's table may have others.
func kinds() map[string]string {
	return map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
}

func newPages() (pages, error) {
	list, err := files.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	all, kinds := pages{}, kinds()
	for _, e := range list {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		kind, ok := kinds[path.Ext(e.Name())]
		if !ok {
			return nil, fmt.Errorf("console: %s is of no kind that is served", e.Name())
		}
		sum := sha256.Sum256(body)
		all[e.Name()] = file{body, kind, `"` + hex.EncodeToString(sum[:12]) + `"`}
	}
	return all, nil
}

func (c *Console) page(w http.ResponseWriter, r *http.Request) { c.serve(w, r, "index.html") }

func (c *Console) static(w http.ResponseWriter, r *http.Request) { c.serve(w, r, r.PathValue("name")) }

// serve answers with a file.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := c.pages[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	safe(h)
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache") // ask whether it has changed: an upgraded node has another page
	h.Set("ETag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(f.body) // an error means that nobody reads the answer
}

// safe sets what keeps others from using the page or its data.
func safe(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
