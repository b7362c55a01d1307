package peer

import (
	"errors"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec hands frames to gRPC as the bytes that they are, so that their makers choose when to encode and who owns the
// memory. Other messages are left to the generated code.
type codec struct {
	pool *buffers
}

// Name is that of protobuf, because that is what frames are.
func (codec) Name() string { return proto.Name }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*outgoing); ok {
		return mem.BufferSlice{mem.NewBuffer(f.buf, c.pool)}, nil
	}
	return encoding.GetCodecV2(proto.Name).Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*incoming)
	if !ok {
		return encoding.GetCodecV2(proto.Name).Unmarshal(data, v)
	}
	if f.held != nil {
		return errors.New("a received frame is overwritten before it was released")
	}
	if len(data) == 1 {
		f.held = data[0]
		f.held.Ref()
	} else {
		f.held = data.MaterializeToBuffer(c.pool)
	}
	f.bytes = f.held.ReadOnlyData()
	return nil
}

// outgoing is a frame to send. gRPC returns its buffer to the pool when it is written.
type outgoing struct {
	buf *[]byte
}

// incoming is a received frame. Its bytes are valid until release.
type incoming struct {
	bytes []byte
	held  mem.Buffer
}

func (f *incoming) release() {
	if f.held != nil {
		f.held.Free()
	}
	f.held, f.bytes = nil, nil
}

// buffers is a pool of byte slices for frames. It implements mem.BufferPool.
type buffers struct {
	pool sync.Pool
}

// smallest keeps buffers above the size below which gRPC does not give them back.
const smallest = 4 << 10

func newBuffers() *buffers {
	return &buffers{pool: sync.Pool{New: func() any {
		b := make([]byte, 0, smallest)
		return &b
	}}}
}

// Get returns a slice of n bytes with any content.
func (p *buffers) Get(n int) *[]byte {
	b := p.pool.Get().(*[]byte)
	if cap(*b) < n {
		*b = make([]byte, n)
	}
	*b = (*b)[:n]
	return b
}

// Put takes back what Get returned.
func (p *buffers) Put(b *[]byte) { p.pool.Put(b) }
