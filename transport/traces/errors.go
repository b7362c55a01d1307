package traces

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
)

// quiet is how long an error is not told of after another: a collector that is gone fails every time.
const quiet = time.Minute

// SetErrors makes log hear of what cannot be sent, once a minute at most. It is of the whole process, as OpenTelemetry has one such
// place for all that send: the last one who calls it hears of all.
func SetErrors(log *slog.Logger) {
	var last atomic.Int64 // Unix nanoseconds
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		now, was := time.Now().UnixNano(), last.Load()
		if errors.Is(err, context.Canceled) || now-was < int64(quiet) || !last.CompareAndSwap(was, now) {
			return
		}
		log.Warn("traces or metrics cannot be sent", "err", err)
	}))
}
