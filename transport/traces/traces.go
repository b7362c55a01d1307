// Package traces sends what a node does, as OpenTelemetry has it, to a collector: a span for each request that comes in, one for
// each check that it forwards to another node, one for each request that the gateway forwards, and the metrics of package metrics
// for those who do not scrape.
//
// All of it is off until an OTEL_* variable says otherwise. These decide what is sent, and where to:
//
//	OTEL_EXPORTER_OTLP_ENDPOINT             such as http://localhost:4318: both, unless one of the next says none
//	OTEL_EXPORTER_OTLP_TRACES_ENDPOINT      traces; OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: metrics
//	OTEL_TRACES_EXPORTER                    otlp, console (to standard error) or none
//	OTEL_METRICS_EXPORTER                   otlp, prometheus (which is there in any case) or none
//	OTEL_EXPORTER_OTLP_PROTOCOL             http/protobuf, the default, or grpc; also _TRACES_PROTOCOL and _METRICS_PROTOCOL
//	OTEL_SDK_DISABLED                       true: nothing
//
// The exporters and the SDK read the others of the specification themselves: OTEL_SERVICE_NAME (default: noria),
// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_METRIC_EXPORT_INTERVAL, OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT,
// _CERTIFICATE and so on. Contexts come in and go out as W3C's traceparent, tracestate and baggage. Spans
// of HTTP say what OpenTelemetry's conventions ask for, among it the path, at the gateway the query that goes upstream, and the
// client's address; no span has a limit, a key, a header or a body.
package traces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

// ErrConfig is wrapped by errors about variables.
var ErrConfig = errors.New("bad OpenTelemetry configuration")

// Config says what is sent of which node.
type Config struct {
	// Env are the variables of the process's environment. Those that the SDK reads itself it reads from the process.
	Env map[string]string

	// Node is the node's id, Cluster the label of its cluster, Version that of the binary.
	Node, Cluster, Version string

	// Metrics are what is sent besides traces. Default: nil, none.
	Metrics prometheus.Gatherer

	// Stderr is where the exporter console writes.
	Stderr io.Writer

	// Logger is told once what is sent. Default: nowhere.
	Logger *slog.Logger
}

// A Sender sends. A nil one sends nothing, and its methods return what they were given. It is safe for concurrent use.
type Sender struct {
	node    string
	traces  *sdk.TracerProvider // nil for none
	metrics *metric.MeterProvider
	tracer  trace.Tracer
	words   propagation.TextMapPropagator
}

// New returns what sends as c's variables say, nil if that is nothing. It connects to nobody yet. Errors wrap ErrConfig.
func New(ctx context.Context, c Config) (*Sender, error) {
	w, err := wishOf(c.Env)
	if err != nil || w == (wish{}) {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	of, err := resourceOf(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w", ErrConfig, err)
	}
	s := &Sender{
		node:  c.Node,
		words: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	if w.traces != "" {
		to, err := w.spans(ctx, c.Stderr)
		if err != nil {
			return nil, fmt.Errorf("%w: traces: %w", ErrConfig, err)
		}
		s.traces = sdk.NewTracerProvider(sdk.WithBatcher(to), sdk.WithResource(of))
		s.tracer = s.traces.Tracer("github.com/noriahq/noria")
	}
	if w.metrics != "" && c.Metrics != nil {
		to, err := w.numbers(ctx)
		if err != nil {
			s.Close(ctx)
			return nil, fmt.Errorf("%w: metrics: %w", ErrConfig, err)
		}
		all := bridge.NewMetricProducer(bridge.WithGatherer(c.Metrics))
		s.metrics = metric.NewMeterProvider(metric.WithResource(of), metric.WithReader(metric.NewPeriodicReader(to, metric.WithProducer(all))))
	}
	c.Logger.Info("OpenTelemetry is on", "node", c.Node, "traces", w.traces, "metrics", w.metrics)
	return s, nil
}

// resourceOf returns who sends. What variables say goes before what is known here.
func resourceOf(ctx context.Context, c Config) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "noria"),
			attribute.String("service.version", c.Version),
			attribute.String("service.instance.id", c.Node),
			attribute.String("noria.cluster", c.Cluster),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
}

// Close sends what waits, as far as ctx lets it, and ends.
func (s *Sender) Close(ctx context.Context) {
	if s == nil {
		return
	}
	if s.traces != nil {
		_ = s.traces.Shutdown(ctx) // a collector that is gone is no reason to stay
	}
	if s.metrics != nil {
		_ = s.metrics.Shutdown(ctx)
	}
}

// spansOn says whether spans are sent.
func (s *Sender) spansOn() bool { return s != nil && s.traces != nil }

// HTTP returns h, whose requests have spans that are named after server and their method.
func (s *Sender) HTTP(server string, h http.Handler) http.Handler {
	if !s.spansOn() {
		return h
	}
	return otelhttp.NewHandler(h, server, otelhttp.WithTracerProvider(s.traces), otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(s.words), otelhttp.WithSpanNameFormatter(func(server string, r *http.Request) string { return server + " " + method(r) }))
}

// method returns r's method, one word for those that are made up.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "HTTP"
}

// GRPC returns the options of a gRPC server whose calls have spans, but for those about health.
func (s *Sender) GRPC() []grpc.ServerOption {
	if !s.spansOn() {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(s.traces), otelgrpc.WithMeterProvider(noop.NewMeterProvider()), otelgrpc.WithPropagators(s.words),
		otelgrpc.WithFilter(notHealth),
	))}
}

// Upstream returns to, whose requests have spans and tell the upstream of them.
func (s *Sender) Upstream(to http.RoundTripper) http.RoundTripper {
	if !s.spansOn() {
		return to
	}
	return otelhttp.NewTransport(to, otelhttp.WithTracerProvider(s.traces), otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(s.words), otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return "upstream " + method(r) }))
}

// bye is how long Close may take when a node stops.
const bye = 3 * time.Second

// Stop is Close that takes 3 seconds at most.
func (s *Sender) Stop() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), bye)
	defer cancel()
	s.Close(ctx)
}
