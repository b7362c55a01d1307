package peer

import "google.golang.org/protobuf/encoding/protowire"

// The functions below append fields of a protobuf message, which are left out where they are zero. Field numbers are
// below 16, so that a tag is one byte.

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(append(b, byte(num<<3)|byte(asVarint)), v)
}

func appendFixed(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(append(b, byte(num<<3)|byte(asFixed64)), v)
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(append(b, byte(num<<3)|byte(asBytes)), s)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(append(b, byte(num<<3)|byte(asBytes)), v)
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return append(b, byte(num<<3)|byte(asVarint), 1)
}

// begin appends the tag of a message inside a message and room for its length, and returns where its content starts.
func begin(b []byte, num protowire.Number) (_ []byte, at int) {
	b = append(b, byte(num<<3)|byte(asBytes), 0)
	return b, len(b)
}

// end fills in the length of the message whose content starts at at. Nearly all are below 128 bytes, whose length takes
// the one byte that begin left; the content of a longer one is moved.
func end(b []byte, at int) []byte {
	n := len(b) - at
	if n < 0x80 {
		b[at-1] = byte(n)
		return b
	}
	more := protowire.SizeVarint(uint64(n)) - 1
	for range more {
		b = append(b, 0)
	}
	copy(b[at+more:], b[at:at+n])
	protowire.AppendVarint(b[:at-1], uint64(n))
	return b
}
