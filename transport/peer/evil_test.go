package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/peerpb"
)

// A peer that answers what was not asked, or badly, is given up; its asks end.
func TestBadAnswers(t *testing.T) {
	answer := &peerpb.Answer{Decisions: []*peerpb.Decision{{Allowed: true}}}
	unsound := &peerpb.Frame{}
	unsound.ProtoReflect().SetUnknown([]byte{4<<3 | 2, 100, 1})
	for name, frame := range map[string]*peerpb.Frame{
		"other number":       {Seq: 2, Answers: []*peerpb.Answer{answer}},
		"number 0":           {Answers: []*peerpb.Answer{answer}},
		"too many":           {Seq: 1, Answers: []*peerpb.Answer{answer, answer}},
		"no decision":        {Seq: 1, Answers: []*peerpb.Answer{{}}},
		"two decisions":      {Seq: 1, Answers: []*peerpb.Answer{{Decisions: []*peerpb.Decision{{}, {}}}}},
		"unknown status":     {Seq: 1, Answers: []*peerpb.Answer{{Status: 7}}},
		"negative remaining": {Seq: 1, Answers: []*peerpb.Answer{{Decisions: []*peerpb.Decision{{Remaining: -1}}}}},
		"unknown source":     {Seq: 1, Answers: []*peerpb.Answer{{Decisions: []*peerpb.Decision{{Source: 9}}}}},
		"an ask":             {Seq: 1, Asks: []*peerpb.Ask{rawAsk("k")}},
		"a hello":            rawHello("b"),
		"no framing":         unsound,
		"large":              {Hello: &peerpb.Hello{Label: strings.Repeat("x", maxMessage)}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFleet(t, Config{}, everyone{})
				f.evil(frame)
				took, err := f.ask(newAsk("k", time.Second))
				if !errors.Is(err, cluster.ErrPeerLost) || took > 0 {
					t.Errorf("Ask: %v after %v, want ErrPeerLost at once", err, took)
				}
			})
		})
	}
}

// An answer that comes twice ends the stream, and a late one is dropped.
func TestAnswersTwice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		answer := &peerpb.Answer{Decisions: []*peerpb.Decision{{Allowed: true}}}
		good := &peerpb.Frame{Seq: 1, Answers: []*peerpb.Answer{answer}}
		f.evil(good, good)
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Errorf("Ask: %v", err)
		}
		synctest.Wait()
		if got := f.a.Stats().Opened; got != 2 {
			t.Errorf("%d streams were opened, want a second one", got)
		}
	})
}

// evil puts a peer in b's place that answers each ask with frames.
func (f *fleet) evil(frames ...*peerpb.Frame) {
	f.kill()
	s := grpc.NewServer(grpc.MaxSendMsgSize(maxMessage * 2))
	peerpb.RegisterPeerServer(s, evilPeer{frames: frames})
	go s.Serve(f.net.listen("b", 1<<16))
	f.t.Cleanup(s.Stop)
}

type evilPeer struct {
	peerpb.UnimplementedPeerServer
	frames []*peerpb.Frame
}

func (e evilPeer) Talk(s grpc.BidiStreamingServer[peerpb.Frame, peerpb.Frame]) error {
	s.Recv()
	s.Send(rawHello("b"))
	for {
		if _, err := s.Recv(); err != nil {
			return nil //nolint:nilerr // how the other side ends is its own affair
		}
		for _, f := range e.frames {
			s.Send(f)
		}
	}
}

// A stranger's port is no peer.
func TestNotAPeer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		f.kill()
		s := grpc.NewServer()
		go s.Serve(f.net.listen("b", 1<<16))
		defer s.Stop()
		if _, err := f.ask(newAsk("k", time.Second)); !errors.Is(err, cluster.ErrPeerRefused) {
			t.Errorf("Ask: %v, want ErrPeerRefused", err)
		}
	})
}

// Garbage fills neither the log nor the counters of others: one line a second.
func TestComplaints(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := newNetwork()
		tr := mustNew(t, Config{Listener: n.listen("b", 1<<16), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		serve(t, tr, "b", everyone{})
		f := &fleet{t: t, net: n}
		conn := f.rawConn()
		for range 100 {
			s, err := peerpb.NewPeerClient(conn).Talk(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			say(t, s, &peerpb.Frame{})
			time.Sleep(10 * time.Millisecond)
		}
		conn.Close()
		tr.Close()
		if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 2 || !strings.Contains(log.String(), "first frame has no hello") {
			t.Errorf("100 bad streams in 1s wrote %d lines, want 1 or 2:\n%s", lines, &log)
		}
	})
}
