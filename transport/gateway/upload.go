package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// An upload is the body of a request on its way from the client. It counts, ends what is too large, and ends what takes too
// long.
type upload struct {
	io.ReadCloser
	control *http.ResponseController // nil once the client has all the time there is
	read    atomic.Int64
}

// measure bounds r's header and body as its route says. It says whether r may go on, and has answered it where not.
func (x *exchange) measure(w http.ResponseWriter, r *http.Request) bool {
	route := x.site.route
	if n := headerSize(r); n > route.MaxHeader {
		x.refuse(w, r, headerTooLarge(route.MaxHeader))
		return false
	}
	if r.ContentLength > route.MaxBody {
		x.refuse(w, r, bodyTooLarge(route.MaxBody))
		return false
	}
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	u := &upload{ReadCloser: http.MaxBytesReader(w, r.Body, route.MaxBody)}
	if c := http.NewResponseController(w); c.SetReadDeadline(time.Now().Add(route.ReadTimeout)) == nil {
		u.control = c
	}
	x.body, r.Body = u, u
	return true
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.read.Add(int64(n))
	if errors.Is(err, io.EOF) {
		u.rest()
	}
	return n, err
}

// Close implements io.Closer.
func (u *upload) Close() error {
	u.rest()
	return u.ReadCloser.Close()
}

// rest takes the time limit away: the answer may take longer, and a connection that is not read from any more is one whose
// client is gone.
func (u *upload) rest() {
	if u.control != nil {
		_ = u.control.SetReadDeadline(time.Time{}) // it worked with a time
		u.control = nil
	}
}

// headerSize returns about how many bytes r's header takes on the wire.
func headerSize(r *http.Request) int64 {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return int64(n)
}

// readBody returns the whole body of r, which measure has bounded.
func (x *exchange) readBody(r *http.Request) ([]byte, error) {
	if x.body == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(min(r.ContentLength, x.site.route.MaxBody, 1<<20)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	return b.Bytes(), r.Body.Close()
}

// setBody makes b the body of r.
func setBody(r *http.Request, b []byte) {
	r.Body = io.NopCloser(bytes.NewReader(b))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	r.ContentLength = int64(len(b))
	r.TransferEncoding = nil
	r.Header.Set("Content-Length", strconv.Itoa(len(b)))
}
