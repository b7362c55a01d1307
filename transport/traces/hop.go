package traces

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"

	"github.com/noriahq/noria/cluster"
)

// Hop returns what cluster.Config.Trace is to be, nil where no spans are sent: each ask of another node has a span "forward check",
// with who asks whom and how many nodes were asked before. It is a part of the request's trace.
func (s *Sender) Hop() func(ctx context.Context, h cluster.Hop) func(cluster.AnswerStatus, error) {
	if !s.spansOn() {
		return nil
	}
	return s.hop
}

func (s *Sender) hop(ctx context.Context, h cluster.Hop) func(cluster.AnswerStatus, error) {
	if h.Op == cluster.OpLend {
		return nil // it is for many requests, and in the background
	}
	name := "forward " + h.Op.String()
	if h.Op == cluster.OpTake {
		name = "forward check"
	}
	_, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		span.End()
		return nil
	}
	span.SetAttributes(
		attribute.String("noria.node", s.node),
		attribute.String("noria.peer", string(h.Peer)),
		attribute.Int("noria.hop", h.Number),
		attribute.Int("noria.checks", h.Checks),
		attribute.Int("noria.partition", int(h.Partition)),
	)
	return func(a cluster.AnswerStatus, err error) {
		if err != nil {
			span.SetAttributes(attribute.String("error.type", kindOf(err)))
			span.SetStatus(codes.Error, kindOf(err))
		} else {
			span.SetAttributes(attribute.String("noria.answer", a.String()))
		}
		span.End()
	}
}

// kindOf returns in one of a few words what kept a peer from answering.
func kindOf(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, cluster.ErrPeerSilent):
		return "silent"
	case errors.Is(err, cluster.ErrPeerBusy):
		return "busy"
	case errors.Is(err, cluster.ErrPeerRefused):
		return "refused"
	case errors.Is(err, cluster.ErrPeerLost):
		return "lost"
	}
	return "other"
}

// notHealth says whether a call is not one about health, of which there are many and none is of interest.
func notHealth(i *stats.RPCTagInfo) bool {
	return !strings.HasPrefix(i.FullMethodName, "/grpc.health.")
}
