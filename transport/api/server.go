package api

import (
	"log/slog"
	"net/http"
	"time"
)

// Bounds of an HTTP server, against clients that are slow on purpose.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 16 << 10 // bytes
	writeMargin       = 15 * time.Second
)

// NewServer returns an HTTP server for h whose clients cannot hold connections by being slow. longest is how long h may
// take for one answer: Config.MaxHold for NewHTTP, that of a profile for NewAdmin. Errors of connections go to log as
// warnings.
func NewServer(h http.Handler, longest time.Duration, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + max(0, longest) + writeMargin,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
