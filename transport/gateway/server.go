package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns an HTTP server for h, which New made. A client must say what it wants in time; after that uploads and
// answers may take as long as they go on, because streams do. Errors of connections go to logger as warnings.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
