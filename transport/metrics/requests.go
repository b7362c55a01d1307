package metrics

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// Requests count what came in over HTTP and gRPC and how it was answered. It is safe for concurrent use.
type Requests struct {
	http  *prometheus.CounterVec
	took  *prometheus.HistogramVec
	under *prometheus.GaugeVec
	calls sync.Map // from call to *atomic.Uint64
}

// A call is how a gRPC call ended. There are as many as methods and codes.
type call struct{ method, code string }

// NewRequests returns counters.
func NewRequests() *Requests {
	return &Requests{
		http: prometheus.NewCounterVec(prometheus.CounterOpts{Name: httpRequests, Help: httpRequestsHelp}, []string{"server", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: httpDuration, Help: httpDurationHelp, Buckets: []float64{250e-6, 1e-3, 5e-3, 20e-3, 100e-3, 500e-3, 2, 10, 60},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"server"}),
		under: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: httpUnder, Help: httpUnderHelp}, []string{"server"}),
	}
}

// Describe implements prometheus.Collector.
func (r *Requests) Describe(to chan<- *prometheus.Desc) {
	r.http.Describe(to)
	r.took.Describe(to)
	r.under.Describe(to)
}

// Collect implements prometheus.Collector, for HTTP.
func (r *Requests) Collect(to chan<- prometheus.Metric) {
	r.http.Collect(to)
	r.took.Collect(to)
	r.under.Collect(to)
}

// HTTP returns h, whose requests are counted as those of the server with that name.
func (r *Requests) HTTP(server string, h http.Handler) http.Handler {
	took, under := r.took.WithLabelValues(server), r.under.WithLabelValues(server)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		began, told := time.Now(), &told{ResponseWriter: w}
		under.Inc()
		defer func() {
			under.Dec()
			took.Observe(time.Since(began).Seconds())
			r.http.WithLabelValues(server, told.code()).Inc()
		}()
		h.ServeHTTP(told, q)
	})
}

// told is a ResponseWriter that remembers the status.
type told struct {
	http.ResponseWriter
	status int // 0 for none yet
}

// WriteHeader implements http.ResponseWriter.
func (t *told) WriteHeader(status int) {
	if t.status < 200 { // others come before the one that counts
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (t *told) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Flush implements http.Flusher.
func (t *told) Flush() { _ = http.NewResponseController(t.ResponseWriter).Flush() } // what cannot flush does not buffer

// code returns the status as a label.
func (t *told) code() string {
	switch {
	case t.status == 0:
		return "200"
	case t.status < 100 || t.status > 999:
		return "invalid"
	}
	return strconv.Itoa(t.status)
}

// GRPC returns options of a gRPC server whose calls are counted. A stream is one call.
func (r *Requests) GRPC() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			res, err := handle(ctx, req)
			r.ended(info.FullMethod, err)
			return res, err
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			err := handle(srv, s)
			r.ended(info.FullMethod, err)
			return err
		}),
	}
}

// ended counts a call.
func (r *Requests) ended(method string, err error) {
	k := call{method, status.Code(err).String()}
	n, ok := r.calls.Load(k)
	if !ok {
		n, _ = r.calls.LoadOrStore(k, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

const (
	httpRequests     = "noria_http_requests_total"
	httpRequestsHelp = "HTTP requests that were answered, by server (api, auth, gubernator, gateway) and status."
	httpDuration     = "noria_http_request_duration_seconds"
	httpDurationHelp = "Time until an HTTP request was answered, by server; at the gateway with what its upstream took, and at all with what was waited for its turn."
	httpUnder        = "noria_http_requests_in_flight"
	httpUnderHelp    = "HTTP requests that are not answered yet, by server."
)

// requestsTable are the metrics of what came in.
func requestsTable() []Metric {
	return []Metric{
		{Name: httpRequests, Kind: Counter, Labels: []string{"server", "code"}, Help: httpRequestsHelp},
		{Name: httpDuration, Kind: Histogram, Labels: []string{"server"}, Help: httpDurationHelp},
		{Name: httpUnder, Kind: Gauge, Labels: []string{"server"}, Help: httpUnderHelp},
		counters("noria_grpc_calls_total", "gRPC calls that ended, by method and code; a stream is one call.", []string{"method", "code"}, func(m *Moment, put put) {
			if m.Requests == nil {
				return
			}
			m.Requests.calls.Range(func(k, n any) bool {
				put(float64(n.(*atomic.Uint64).Load()), k.(call).method, k.(call).code)
				return true
			})
		}),
	}
}
