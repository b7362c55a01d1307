package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// maxHeader is the most bytes that a header may take on any route.
const maxHeader = 256 << 10

// NewServer returns an HTTP server for h, which New made: HTTP/1.1, and HTTP/2 with TLS and without. A client must say what it
// wants in time; after that answers may take as long as they go on, because streams do. Errors of connections go to logger
// as warnings.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	var speaks http.Protocols
	speaks.SetHTTP1(true)
	speaks.SetHTTP2(true)
	speaks.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         &speaks,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
