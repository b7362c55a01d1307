package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A collector is an OTLP receiver, over HTTP and gRPC.
type collector struct {
	collectortrace.UnimplementedTraceServiceServer
	mu      sync.Mutex
	spans   []received      // guarded by mu
	metrics map[string]bool // names with the node, guarded by mu
}

// received is a span with the id of the node that sent it.
type received struct {
	*tracepb.Span
	node, service string
}

// numbers is a collector's service for metrics: both have the method Export.
type numbers struct {
	collectormetrics.UnimplementedMetricsServiceServer
	c *collector
}

func (c *collector) Export(_ context.Context, m *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range m.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				of := r.GetResource().GetAttributes()
				c.spans = append(c.spans, received{span, attributeOf(of, "service.instance.id"), attributeOf(of, "service.name")})
			}
		}
	}
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func (n numbers) Export(_ context.Context, m *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for _, r := range m.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, one := range s.GetMetrics() {
				n.c.metrics[attributeOf(r.GetResource().GetAttributes(), "service.instance.id")+" "+one.GetName()] = true
			}
		}
	}
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func attributeOf(all []*commonpb.KeyValue, key string) string {
	for _, a := range all {
		if a.GetKey() == key {
			if n, ok := a.GetValue().GetValue().(*commonpb.AnyValue_IntValue); ok {
				return fmt.Sprint(n.IntValue)
			}
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// ServeHTTP takes OTLP in protobuf.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		in = z
	}
	b, err := io.ReadAll(in)
	if err == nil && r.URL.Path == "/v1/traces" {
		m := new(collectortrace.ExportTraceServiceRequest)
		if err = proto.Unmarshal(b, m); err == nil {
			_, err = c.Export(r.Context(), m)
		}
	} else if err == nil {
		m := new(collectormetrics.ExportMetricsServiceRequest)
		if err = proto.Unmarshal(b, m); err == nil {
			_, err = numbers{c: c}.Export(r.Context(), m)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// find returns the first span that fits.
func (c *collector) find(fits func(s received) bool) (received, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if fits(s) {
			return s, true
		}
	}
	return received{}, false
}

// have says whether the metric has come from the node.
func (c *collector) have(node, metric string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics[node+" "+metric]
}

// until waits until is is true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 30 s still no %s", what)
		}
	}
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-01"
)

// A check that one node forwards to another is a span of the request's trace, with who asked whom at which hop; what the gateway
// forwards is one too, and the upstream is told of it; and metrics come with them. Over HTTP and over gRPC, by the variables that
// OpenTelemetry has for it.
func TestOpenTelemetry(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			c := &collector{metrics: map[string]bool{}}
			var told sync.Map
			upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told.Store("traceparent", r.Header.Get("Traceparent")) }))
			defer upstream.Close()
			env := []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + receive(t, c, protocol), "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
				"OTEL_SERVICE_NAME=limits", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=100",
			}
			for _, e := range env { // the SDK reads the process's
				name, value, _ := strings.Cut(e, "=")
				t.Setenv(name, value)
			}
			r := start(t, env, "fleet", "--free-ports", "--output", "json", "--peer-wait", "30s", "--nodes", "2", "--upstream", upstream.URL)
			var d fleetData
			if err := json.Unmarshal([]byte(r.line(r.out, `"nodes"`)), &d); err != nil {
				t.Fatal(err)
			}
			for i := range 20 { // about half of the keys are held by the other node
				postTraced(t, "http://"+d.Nodes[0].API+"/v1/check", fmt.Sprintf(`{"checks":[{"key":"k%d","limit":"100/s"},{"key":"l%d","limit":"100/s"}]}`, i, i))
				postTraced(t, "http://"+d.Nodes[0].API+"/v1/check", fmt.Sprintf(`{"key":"k%d","limit":"100/s"}`, i))
			}
			var hop received
			until(t, "span of a forwarded check", func() (ok bool) {
				hop, ok = c.find(func(s received) bool { return s.GetName() == "forward check" && s.node == "node-1" })
				return ok
			})
			for key, want := range map[string]string{"noria.node": "node-1", "noria.peer": "node-2", "noria.hop": "0", "noria.checks": "1", "noria.answer": "decided"} {
				if got := attributeOf(hop.GetAttributes(), key); got != want && (key != "noria.checks" || got != "2") {
					t.Errorf("the hop has %s %q, want %s: %v", key, got, want, hop.GetAttributes())
				}
			}
			if hop.service != "limits" || hex.EncodeToString(hop.GetTraceId()) != traceID {
				t.Errorf("the hop is of service %s and trace %x, want those of the variables and of the caller", hop.service, hop.GetTraceId())
			}
			until(t, "span of the request", func() bool {
				s, ok := c.find(func(s received) bool { return string(s.GetSpanId()) == string(hop.GetParentSpanId()) })
				return ok && s.GetName() == "api POST" && hex.EncodeToString(s.GetParentSpanId()) == "b7ad6b7169203331"
			})
			until(t, "span of each way in", func() bool {
				_, all := c.find(func(s received) bool {
					return s.GetName() == "forward check" && attributeOf(s.GetAttributes(), "noria.checks") == "2"
				})
				_, one := c.find(func(s received) bool {
					return s.GetName() == "forward check" && attributeOf(s.GetAttributes(), "noria.checks") == "1"
				})
				return all && one
			})
			postTraced(t, "http://"+d.Nodes[0].HTTP+"/x", "")
			var up received
			until(t, "span of a request to the upstream", func() (ok bool) {
				up, ok = c.find(func(s received) bool { return s.GetName() == "upstream POST" })
				return ok
			})
			if got, _ := told.Load("traceparent"); got != "00-"+traceID+"-"+hex.EncodeToString(up.GetSpanId())+"-01" {
				t.Errorf("the upstream was told %v, want trace %s and span %x", got, traceID, up.GetSpanId())
			}
			for _, name := range []string{"noria_decisions_total", "noria_partitions", "noria_check_duration_seconds", "noria_peer_round_trip_seconds", "go_goroutines"} {
				until(t, name, func() bool { return c.have("node-1", name) })
			}
			until(t, "metrics of the other node", func() bool { return c.have("node-2", "noria_partitions") })
		})
	}
}

// receive opens c for a protocol and returns its address.
func receive(t *testing.T, c *collector, protocol string) string {
	t.Helper()
	if protocol != "grpc" {
		s := httptest.NewServer(c)
		t.Cleanup(s.Close)
		return s.URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(s, c)
	collectormetrics.RegisterMetricsServiceServer(s, numbers{c: c})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return "http://" + l.Addr().String()
}

// postTraced sends body as part of a trace.
func postTraced(t *testing.T, url, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", parent)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d", url, res.StatusCode)
	}
}

// Variables that say what is not there are an error which says what is, and those that switch off do; without any nothing is sent.
func TestOpenTelemetryVariables(t *testing.T) {
	for _, c := range []struct{ env, wrong string }{
		{"OTEL_TRACES_EXPORTER=jaeger", `OTEL_TRACES_EXPORTER is "jaeger", want otlp, console or none`},
		{"OTEL_METRICS_EXPORTER=statsd", `OTEL_METRICS_EXPORTER is "statsd", want otlp, prometheus or none`},
		{"OTEL_TRACES_EXPORTER=otlp|OTEL_EXPORTER_OTLP_PROTOCOL=http/json", `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json", want http/protobuf or grpc`},
	} {
		r := start(t, strings.Split(c.env, "|"), append([]string{"serve"}, free()...)...)
		if status := r.wait(); status != statusUsage || !strings.Contains(r.err.String(), c.wrong) {
			t.Errorf("with %s serve ends with %d, %s, want %d and %s", c.env, status, r.err, statusUsage, c.wrong)
		}
	}
	for _, env := range []string{"", "OTEL_SDK_DISABLED=true|OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER=none|OTEL_METRICS_EXPORTER=prometheus|OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"} {
		r := start(t, strings.Split(env, "|"), append([]string{"serve"}, free()...)...)
		r.line(r.err, `"msg":"ready"`)
		r.stop()
		r.wait()
		if strings.Contains(r.err.String(), "OpenTelemetry") {
			t.Errorf("with %q something is sent: %s", env, r.err)
		}
	}
}
