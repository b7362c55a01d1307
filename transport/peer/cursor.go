package peer

import (
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// cursor reads the fields of one protobuf message. After a field that breaks the format it is at its end and bad.
type cursor struct {
	rest []byte
	bad  bool
}

// Wire types, as in a tag's low three bits. A tag is a field's number times 8 plus one of them.
const (
	asVarint  = uint64(protowire.VarintType)
	asFixed64 = uint64(protowire.Fixed64Type)
	asBytes   = uint64(protowire.BytesType)
)

// next returns the next field's tag, 0 at the end.
func (c *cursor) next() uint64 {
	if len(c.rest) == 0 {
		return 0
	}
	tag := c.varint()
	if tag < 1<<3 { // there is no field 0
		c.fail()
		return 0
	}
	return tag
}

func (c *cursor) varint() uint64 {
	if len(c.rest) > 0 && c.rest[0] < 0x80 {
		v := c.rest[0]
		c.rest = c.rest[1:]
		return uint64(v)
	}
	return c.longVarint()
}

func (c *cursor) longVarint() uint64 {
	v, n := protowire.ConsumeVarint(c.rest)
	if n < 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) fixed64() uint64 {
	v, n := protowire.ConsumeFixed64(c.rest)
	if n < 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// bytes returns the content of a field with a length; it is part of the message's memory.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n > uint64(len(c.rest)) {
		c.fail()
		return nil
	}
	v := c.rest[:n:n]
	c.rest = c.rest[n:]
	return v
}

// text is bytes as a string, which is part of the message's memory too.
func (c *cursor) text() string {
	b := c.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// skip passes over the content of a field that nobody here knows.
func (c *cursor) skip(tag uint64) {
	num, typ := protowire.DecodeTag(tag)
	if !num.IsValid() {
		c.fail()
		return
	}
	n := protowire.ConsumeFieldValue(num, typ, c.rest)
	if n < 0 {
		c.fail()
		return
	}
	c.rest = c.rest[n:]
}

func (c *cursor) fail() { c.bad, c.rest = true, nil }
