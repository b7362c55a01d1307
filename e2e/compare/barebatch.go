package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A batcher is many callers on one bare stream, in the way of transport/peer to a near peer: what is asked while a message
// is not answered goes out in the next one. It is the floor of such a stream between two processes, because nothing else is
// done: nothing is encoded, decoded, decided, replicated or late.
type batcher struct {
	stream  grpc.ClientStream
	message []byte        // one ask
	answer  int           // length of the answer to one
	wake    chan struct{} // has a value when asks are queued and nobody has looked since
	done    chan struct{} // closed when the stream has ended

	mu     sync.Mutex
	queued []chan struct{} // of those who wait; guarded by mu
	err    error           // why the stream ended; guarded by mu
}

// batchAsk opens a stream, which ends with ctx, and returns the asker whose callers share it.
func batchAsk(ctx context.Context, addr string) (asker, error) {
	s, message, err := openStream(ctx, addr)
	if err != nil {
		return nil, err
	}
	b := &batcher{stream: s, message: message, answer: proto.Size(bareAnswerFrame()), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go b.run()
	return func(int, limit) ask {
		answered := make(chan struct{}, 1)
		return func(context.Context, string) (bool, error) { return b.ask(answered) }
	}, nil
}

// ask asks once, and waits for the answer on answered.
func (b *batcher) ask(answered chan struct{}) (bool, error) {
	b.mu.Lock()
	b.queued = append(b.queued, answered)
	first := len(b.queued) == 1
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	select {
	case <-answered:
		return true, nil
	case <-b.done:
		b.mu.Lock()
		defer b.mu.Unlock()
		return false, b.err
	}
}

// run asks and answers until the stream ends.
func (b *batcher) run() {
	defer close(b.done)
	var batch []chan struct{}
	for {
		if batch = b.gather(batch); len(batch) == 0 {
			select {
			case <-b.wake:
				continue
			case <-b.stream.Context().Done():
				b.fail(b.stream.Context().Err())
				return
			}
		}
		if err := b.exchange(len(batch)); err != nil {
			b.fail(err)
			return
		}
		for _, answered := range batch {
			answered <- struct{}{}
		}
	}
}

// gather gives those who were answered their turn and returns who asks. It uses last's memory for those who ask next.
func (b *batcher) gather(last []chan struct{}) (batch []chan struct{}) {
	for i, n := 0, 0; i < 4 && n < max(len(last), 1); i++ { // as often as transport/peer
		runtime.Gosched()
		b.mu.Lock()
		n = len(b.queued)
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	batch, b.queued = b.queued, last[:0]
	return batch
}

// exchange sends n asks and waits for as many answers.
func (b *batcher) exchange(n int) error {
	if err := b.stream.SendMsg(frames(bytes.Repeat(b.message, n))); err != nil {
		return err
	}
	var in received
	if err := b.stream.RecvMsg(&in); err != nil {
		return err
	}
	if int(in) != n*b.answer {
		return fmt.Errorf("%d bytes answer %d asks, want %d", in, n, n*b.answer)
	}
	return nil
}

func (b *batcher) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}
