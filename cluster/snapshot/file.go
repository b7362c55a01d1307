package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"time"
)

const (
	magic   = "noria\n"
	version = 1

	// bodyMost is more than any body has: a message of package core has less than 256 KiB.
	bodyMost = 1 << 20
)

// The letters that bodies begin with.
const (
	isHead = 'h'
	isPart = 'p'
	isEnd  = 'e'
)

// Errors that Open returns, or says of what it skips.
var (
	ErrInUse   = errors.New("another process uses the directory")
	ErrForeign = errors.New("the directory is another node's")
	ErrVersion = errors.New("a newer release has written it")
	ErrTorn    = errors.New("torn or corrupted")
)

func torn(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTorn, fmt.Sprintf(format, args...))
}

// A Head is what a file says of itself.
type Head struct {
	Node, Label string
	Ring        string // the ring's parameters in words
	Boot        uint64 // of the run that has written it
	Written     time.Time
	Members     int // of the cluster at that time, the node among them
}

// A Part is some of what was saved of a partition.
type Part struct {
	Partition int
	Saved     time.Time
	Message   []byte // of package core; it is the callee's until it returns
}

func table() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A reader reads the frames of a file.
type reader struct {
	from  *bufio.Reader
	crc   *crc32.Table
	body  []byte
	bytes int64
	head  Head
	parts uint64
	ended bool
}

// newReader reads the begin of a file.
func newReader(f io.Reader) (*reader, error) {
	r := &reader{from: bufio.NewReaderSize(f, 1<<17), crc: table()}
	var begin [len(magic) + 1]byte
	if _, err := io.ReadFull(r.from, begin[:]); err != nil || string(begin[:len(magic)]) != magic {
		return nil, torn("it does not begin as one")
	}
	switch v := begin[len(magic)]; {
	case v > version:
		return nil, fmt.Errorf("%w: it has format %d, this one reads %d and older", ErrVersion, v, version)
	case v == 0:
		return nil, torn("format 0")
	}
	r.bytes = int64(len(begin))
	letter, c, err := r.frame()
	if err != nil {
		return nil, err
	}
	if letter != isHead {
		return nil, torn("it begins with a frame %q", letter)
	}
	r.head = Head{Node: c.text(), Label: c.text(), Ring: c.text(), Boot: c.uint(), Written: c.time(), Members: int(min(c.uint(), math.MaxInt32))}
	return r, c.err
}

// frame reads the next frame.
func (r *reader) frame() (letter byte, c cursor, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return 0, c, torn("it ends after %d bytes, in the middle", r.bytes)
	}
	size, sum := binary.LittleEndian.Uint32(head[:4]), binary.LittleEndian.Uint32(head[4:])
	if size == 0 || size > bodyMost {
		return 0, c, torn("a frame of %d bytes at %d", size, r.bytes)
	}
	if cap(r.body) < int(size) {
		r.body = make([]byte, size)
	}
	r.body = r.body[:size]
	if _, err := io.ReadFull(r.from, r.body); err != nil {
		return 0, c, torn("it ends after %d bytes, in the middle", r.bytes)
	}
	if crc32.Checksum(r.body, r.crc) != sum {
		return 0, c, torn("the checksum at %d is wrong", r.bytes)
	}
	r.bytes += int64(len(head)) + int64(size)
	return r.body[0], cursor{rest: r.body[1:]}, nil
}

// next returns the next part, and io.EOF after the last if all is there.
func (r *reader) next() (p Part, err error) {
	letter, c, err := r.frame()
	if err != nil {
		return p, err
	}
	switch letter {
	case isPart:
		number := c.uint()
		p = Part{Partition: int(min(number, math.MaxInt32)), Saved: c.time(), Message: c.rest}
		r.parts++
		return p, c.err
	case isEnd:
		if count := c.uint(); c.err != nil || count != r.parts {
			return p, torn("%d parts, want %d", r.parts, count)
		}
		if _, err := r.from.ReadByte(); err == nil {
			return p, torn("there is more after its end")
		}
		r.ended = true
		return p, io.EOF
	}
	return p, torn("a frame %q", letter)
}

// verify reads a whole file and says what it is.
func verify(path string) (Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	r, err := newReader(f)
	if err != nil {
		return Info{}, err
	}
	i := Info{Head: r.head}
	last := -1
	for {
		p, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			i.Bytes = r.bytes
			return i, nil
		case err != nil:
			return Info{}, err
		case p.Partition < last:
			return Info{}, torn("partition %d after %d", p.Partition, last)
		case p.Partition > last:
			i.Partitions++
		}
		last = p.Partition
	}
}

// A cursor reads a body. After the first error it reads zeros.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail() {
	c.rest = nil
	if c.err == nil {
		c.err = torn("a frame ends early")
	}
}

func (c *cursor) uint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) time() time.Time {
	v, n := binary.Varint(c.rest)
	if n <= 0 {
		c.fail()
		return time.Time{}
	}
	c.rest = c.rest[n:]
	return time.Unix(0, v)
}

func (c *cursor) text() string {
	n := c.uint()
	if n > uint64(len(c.rest)) {
		c.fail()
		return ""
	}
	s := string(c.rest[:n])
	c.rest = c.rest[n:]
	return s
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (h *Head) append(b []byte) []byte {
	b = append(b, isHead)
	b = appendText(b, h.Node)
	b = appendText(b, h.Label)
	b = appendText(b, h.Ring)
	b = binary.AppendUvarint(b, h.Boot)
	b = binary.AppendVarint(b, h.Written.UnixNano())
	return binary.AppendUvarint(b, uint64(max(h.Members, 0)))
}
