package traces

import (
	"context"
	"fmt"
	"io"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// A wish is what variables ask for: how traces and metrics are sent, "" for not.
type wish struct{ traces, metrics string }

// The ways of sending.
const (
	overHTTP = "otlp http/protobuf"
	overGRPC = "otlp grpc"
	console  = "console"
)

// wishOf reads env.
func wishOf(env map[string]string) (w wish, err error) {
	if strings.EqualFold(env["OTEL_SDK_DISABLED"], "true") {
		return w, nil
	}
	if w.traces, err = way(env, "TRACES", console); err != nil {
		return wish{}, err
	}
	if w.metrics, err = way(env, "METRICS", "prometheus"); err != nil {
		return wish{}, err
	}
	if w.metrics == "prometheus" {
		w.metrics = "" // a page of the admin port has them
	}
	return w, nil
}

// way returns how a signal is sent. other is a way besides OTLP that it has.
func way(env map[string]string, signal, other string) (string, error) {
	name := "OTEL_" + signal + "_EXPORTER"
	switch is := env[name]; is {
	case "none":
		return "", nil
	case "":
		if env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" && env["OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"] == "" {
			return "", nil
		}
	case other:
		return other, nil
	case "otlp":
	default:
		return "", fmt.Errorf("%w: %s is %q, want otlp, %s or none", ErrConfig, name, is, other)
	}
	name = "OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL"
	if env[name] == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch is := env[name]; is {
	case "", "http/protobuf":
		return overHTTP, nil
	case "grpc":
		return overGRPC, nil
	default:
		return "", fmt.Errorf("%w: %s is %q, want http/protobuf or grpc", ErrConfig, name, is)
	}
}

// spans returns what sends spans.
func (w wish) spans(ctx context.Context, stderr io.Writer) (sdk.SpanExporter, error) {
	switch w.traces {
	case overGRPC:
		return otlptracegrpc.New(ctx)
	case console:
		return stdouttrace.New(stdouttrace.WithWriter(stderr))
	}
	return otlptracehttp.New(ctx)
}

// numbers returns what sends metrics.
func (w wish) numbers(ctx context.Context) (metric.Exporter, error) {
	if w.metrics == overGRPC {
		return otlpmetricgrpc.New(ctx)
	}
	return otlpmetrichttp.New(ctx)
}
