package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// gubernatorVersion is the version that its own module asks for.
const gubernatorVersion = "v2.4.0"

// A gubernators is daemons of Gubernator, each in a process of its own, and a connection to each. They know each other by a
// static list; all their settings are the defaults.
type gubernators struct {
	nodes []*process
	conns []*grpc.ClientConn
}

// startGubernators runs n daemons.
func startGubernators(ctx context.Context, binary string, n int) (*gubernators, error) {
	addrs, err := freeAddrs(2 * n)
	if err != nil {
		return nil, err
	}
	g := &gubernators{}
	for i := range n {
		p, err := start(binary, "-self", addrs[i], "-http", addrs[n+i], "-peers", strings.Join(addrs[:n], ","))
		if err != nil {
			g.end()
			return nil, err
		}
		g.nodes = append(g.nodes, p)
	}
	for i, p := range g.nodes {
		if _, err := p.find(ctx, "serving"); err != nil {
			g.end()
			return nil, err
		}
		conn, err := grpc.NewClient(addrs[i], grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(kept{})))
		if err != nil {
			g.end()
			return nil, err
		}
		g.conns = append(g.conns, conn)
	}
	return g, nil
}

// The behaviours of Gubernator that are asked for.
const (
	batching = 0 // its default
	global   = 2 // each node answers by what it heard last
)

// asker returns an asker for a behaviour: callers are spread over all daemons, and ask by unary gRPC about one item. The
// messages are made by hand, because its generated code does not go together with newer gRPC; that is quicker than what it
// stands for by the fraction of a microsecond.
func (g *gubernators) asker(behaviour uint64) asker {
	return func(caller int, l limit) ask {
		conn := g.conns[caller%len(g.conns)]
		return func(ctx context.Context, key string) (bool, error) {
			var answer frames
			in := frames(gubernatorRequest(key, l, behaviour))
			if err := conn.Invoke(ctx, "/pb.gubernator.V1/GetRateLimits", in, &answer); err != nil {
				return false, err
			}
			return gubernatorAnswer(answer)
		}
	}
}

// gubernatorRequest returns a GetRateLimitsReq with one RateLimitReq.
func gubernatorRequest(key string, l limit, behaviour uint64) []byte {
	item := make([]byte, 0, 80)
	item = protowire.AppendString(protowire.AppendTag(item, 1, protowire.BytesType), l.name)
	item = protowire.AppendString(protowire.AppendTag(item, 2, protowire.BytesType), key)
	for field, v := range []uint64{3: 1, 4: uint64(l.burst), 5: uint64(l.window().Milliseconds()), 6: 0, 7: behaviour} {
		if v != 0 {
			item = protowire.AppendVarint(protowire.AppendTag(item, protowire.Number(field), protowire.VarintType), v)
		}
	}
	return protowire.AppendBytes(protowire.AppendTag(make([]byte, 0, 96), 1, protowire.BytesType), item)
}

var errGubernator = errors.New("not a GetRateLimitsResp with one RateLimitResp")

// gubernatorAnswer reads a GetRateLimitsResp with one RateLimitResp.
func gubernatorAnswer(answer []byte) (allowed bool, err error) {
	field, kind, n := protowire.ConsumeTag(answer)
	if n < 0 || field != 1 || kind != protowire.BytesType {
		return false, errGubernator
	}
	item, n := protowire.ConsumeBytes(answer[n:])
	if n < 0 {
		return false, errGubernator
	}
	var limit, over uint64
	for len(item) > 0 {
		field, kind, n := protowire.ConsumeTag(item)
		if n < 0 {
			return false, errGubernator
		}
		size := protowire.ConsumeFieldValue(field, kind, item[n:])
		if size < 0 {
			return false, errGubernator
		}
		switch value := item[n:]; {
		case field == 1 && kind == protowire.VarintType:
			over, _ = protowire.ConsumeVarint(value)
		case field == 2 && kind == protowire.VarintType:
			limit, _ = protowire.ConsumeVarint(value)
		case field == 5 && kind == protowire.BytesType:
			if text, _ := protowire.ConsumeString(value); text != "" {
				return false, fmt.Errorf("gubernator: %s", text)
			}
		}
		item = item[n+size:]
	}
	if limit == 0 {
		return false, errGubernator
	}
	return over == 0, nil
}

// pids returns the ids of g's processes.
func (g *gubernators) pids() []int { return pidsOf(g.nodes) }

// end ends all daemons.
func (g *gubernators) end() {
	for _, c := range g.conns {
		_ = c.Close() // nothing is under way
	}
	endAll(g.nodes)
}

// kept is a codec for messages as bytes, which keeps what it receives.
type kept struct{ raw }

// Unmarshal implements encoding.CodecV2.
func (kept) Unmarshal(data mem.BufferSlice, v any) error {
	to, ok := v.(*frames)
	if !ok {
		return fmt.Errorf("message is a %T, want *frames", v)
	}
	*to = data.Materialize()
	return nil
}
