package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/peerpb"
)

// How long a stream may take to begin once it is connected, and the pauses between tries to open one. The first are
// short: a process that dies may still take in a connection, and only the next try is refused and tells that it is gone.
const (
	helloWait  = 5 * time.Second
	firstPause = 5 * time.Millisecond
	longPause  = time.Second
	settled    = 100 * time.Millisecond // a stream that lasted this long is followed by the next without a pause
)

// run opens a stream, talks on it, and opens the next when it breaks, until ctx ends. It pauses after a try that failed
// and after a stream that did not last, but for the first of them.
func (l *link) run(ctx context.Context) {
	var pause time.Duration
	for ctx.Err() == nil {
		lasted, err := l.visit(ctx)
		if ctx.Err() != nil {
			return
		}
		if lasted >= settled {
			pause = 0
		}
		if lasted > 0 && pause == 0 {
			pause = firstPause
			continue
		}
		l.lose(lost, err)
		pause = max(pause, firstPause)
		if l.rest(ctx, pause) {
			pause = min(2*pause, longPause)
		} else {
			pause = firstPause
		}
	}
}

// rest waits for about pause and says whether it was that long: not if the peer is known to be back or ctx has ended.
func (l *link) rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause - rand.N(pause/4))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.back:
	case <-ctx.Done():
	}
	return false
}

// visit opens a stream and talks on it until it breaks. It returns how long the stream lasted, 0 if it did not open, and
// the error with which asks end because of that.
func (l *link) visit(ctx context.Context) (lasted time.Duration, err error) {
	log := l.t.cfg.Logger.With("peer", l.id)
	s, err := l.open(ctx)
	if err != nil {
		if ctx.Err() == nil && l.reachable() {
			log.Warn("peer cannot be reached", "err", err)
		}
		return 0, err
	}
	defer s.conn.Close()
	began := l.t.now()
	l.t.count.opened.Add(1)
	l.opened()
	log.Info("stream to peer opened")
	err = l.why(s.talk(), nil)
	l.broke(err)
	lasted = max(l.t.now()-began, 1)
	if ctx.Err() == nil {
		log.Warn("stream to peer broke", "err", err, "took", lasted)
	}
	return lasted, err
}

// reachable says whether the last try to open a stream did not fail.
func (l *link) reachable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state != lost
}

// open connects to the peer and exchanges hellos with it.
func (l *link) open(ctx context.Context) (*session, error) {
	me, err := l.t.identity(ctx)
	if err != nil {
		return nil, err
	}
	dialer := &dialer{dial: l.t.cfg.Dialer}
	conn, err := grpc.NewClient("passthrough:///"+l.addr, l.t.dialOptions(dialer)...)
	if err != nil {
		return nil, l.why(err, nil)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	slow := time.AfterFunc(l.t.cfg.ConnectTimeout+helloWait, func() { cancel(errNoHello) })
	defer slow.Stop()
	s := &session{l: l, conn: conn, cancel: cancel, done: make(chan struct{}), slots: make(chan struct{}, inFlight)}
	if err := s.greet(ctx, me); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(err)
		_ = conn.Close() // err says what was wrong
		return nil, l.why(err, dialer.last())
	}
	return s, nil
}

var errNoHello = errors.New("peer did not say hello in time")

// greet opens the stream, says hello, and hears who the peer is.
func (s *session) greet(ctx context.Context, me *identity) (err error) {
	if s.stream, err = peerpb.NewPeerClient(s.conn).Talk(ctx); err != nil {
		return err
	}
	buf := s.l.t.codec.pool.Get(0)
	*buf = appendOpening(*buf, me.self)
	sendErr := s.stream.SendMsg(&outgoing{buf}) // if it is io.EOF the reason is what is received
	hello, err := s.hello()
	if err != nil {
		return err
	}
	if sendErr != nil {
		return sendErr
	}
	if hello.ID != s.l.id {
		return fmt.Errorf("%w: %s is the address of %q now", cluster.ErrPeerRefused, s.l.addr, hello.ID)
	}
	from, _ := peer.FromContext(s.stream.Context()) //nolint:contextcheck // it is the stream that knows its peer
	if err := s.l.t.identify(from, hello.ID); err != nil {
		return fmt.Errorf("%w, and we to it: %w", cluster.ErrPeerRefused, err)
	}
	if err := me.handler.Hello(hello); err != nil {
		return fmt.Errorf("%w, and we to it: %w", cluster.ErrPeerRefused, err)
	}
	return nil
}

// hello receives the first frame.
func (s *session) hello() (cluster.Hello, error) {
	var in incoming
	if err := s.stream.RecvMsg(&in); err != nil {
		return cluster.Hello{}, err
	}
	defer in.release()
	var f frame
	if err := f.split(in.bytes); err != nil {
		return cluster.Hello{}, fmt.Errorf("%w: %w", errProtocol, err)
	}
	hello, err := f.opening()
	if err != nil {
		return cluster.Hello{}, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return hello, nil
}

// why returns the error with which asks end when err ended a stream or kept it from opening. dialed is how connecting
// failed, nil if it did not.
func (l *link) why(err, dialed error) error {
	switch {
	case errors.Is(err, cluster.ErrPeerRefused):
		return err
	case errors.Is(dialed, cluster.ErrPeerRefused):
		return dialed
	case dialed != nil:
		return fmt.Errorf("%w: %w", cluster.ErrPeerLost, dialed)
	}
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%w: %w", cluster.ErrPeerLost, err)
	}
	if means := explain(err); strings.Contains(err.Error(), "remote error: tls: ") {
		return fmt.Errorf("%w: %w", cluster.ErrPeerRefused, means)
	}
	switch st.Code() {
	case codes.FailedPrecondition, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("%w: %s", cluster.ErrPeerRefused, st.Message())
	default:
		return fmt.Errorf("%w: %s: %s", cluster.ErrPeerLost, st.Code(), st.Message())
	}
}
