package llm

import "bytes"

// mostHeld is how many bytes of an event are held back at most. An event with usage alone has some hundreds.
const mostHeld = 64 << 10

// What stands for itself in an event stream.
const (
	dataField     = "data"
	byteOrderMark = "\xef\xbb\xbf"
	stopMark      = "[DONE]" // the data of the last event of OpenAI's streams
)

// A part is where in a line of an event stream a reader is.
type part uint8

const (
	lineBegin  part = iota // before the first byte
	inName                 // in what may become dataField
	beforeData             // where one space is no data yet
	inData                 // in data
	inOther                // in a comment, or a field that is not data
)

// A way is where bytes go.
type way uint8

const (
	along   way = iota // with the event that they belong to
	onward             // to the client, though an event is held
	nowhere            // away
)

// events reads server-sent events piece by piece (https://html.spec.whatwg.org/multipage/server-sent-events.html) and
// passes them on.
type events struct {
	answer *answer
	scan   scanner

	part     part
	matched  int  // bytes of the line that are the begin of dataField
	mark     int  // bytes of the stream that are the begin of byteOrderMark
	begun    bool // the stream has a byte that is not of byteOrderMark
	returned bool // the last byte was a carriage return, and the way of a line feed after it is feed
	feed     way

	fields bool  // the event has a line that is no comment
	data   bool  // and one with data
	stop   int   // bytes of data that are the begin of stopMark, or -1
	since  int64 // answer.since at its begin

	remove  bool   // events with usage alone are removed
	passing bool   // the event goes on as it comes
	held    []byte // else its begin, at most mostHeld
}

// read reads text and appends to out what is to go on, nothing if remove is false: then all of text is.
func (e *events) read(text, out []byte) []byte {
	for len(text) > 0 {
		n, to, over := e.piece(text)
		out = e.send(text[:n], to, out)
		text = text[n:]
		if over {
			out = e.endEvent(out)
		}
	}
	return out
}

// close ends the stream.
func (e *events) close(out []byte) []byte {
	if e.data && (e.scan.end() || e.stop == len(stopMark)) {
		return e.endEvent(out)
	}
	return append(out, e.held...)
}

// send appends piece to out, or to what is held.
func (e *events) send(piece []byte, to way, out []byte) []byte {
	switch {
	case !e.remove, to == nowhere:
		return out
	case to == onward:
		out = append(out, e.held...)
		e.held = e.held[:0]
		return append(out, piece...)
	case e.passing:
		return append(out, piece...)
	}
	e.held = append(e.held, piece...)
	if e.answer.filled || len(e.held) > mostHeld {
		out = append(out, e.held...)
		e.held, e.passing = e.held[:0], true
	}
	return out
}

// endEvent ends an event and removes or releases what is held of it.
func (e *events) endEvent(out []byte) []byte {
	removed := e.remove && !e.passing && e.data && e.scan.end() && e.answer.bare()
	if !removed {
		out = append(out, e.held...)
	}
	if e.stop == len(stopMark) {
		e.answer.since = e.since
	}
	e.answer.endEvent()
	e.held = e.held[:0]
	e.scan = scanner{}
	e.fields, e.data, e.passing, e.stop, e.since = false, false, false, 0, e.answer.since
	e.feed = onward
	if removed {
		e.feed = nowhere
	}
	return out
}

// piece reads the begin of text, a byte at least, and returns how many, where they go, and whether they end an event.
func (e *events) piece(text []byte) (n int, to way, over bool) {
	b := text[0]
	if e.returned {
		e.returned = false
		if b == '\n' {
			return 1, e.feed, false
		}
	}
	if !e.begun && e.readMark(b) {
		if e.mark == len(byteOrderMark) {
			e.begun = true
			return 1, onward, false
		}
		return 1, along, false
	}
	if b == '\r' || b == '\n' {
		to, over = e.endLine(b)
		return 1, to, over
	}
	return e.line(text), along, false
}

// readMark tells whether b is a byte of the mark that a stream may begin with.
func (e *events) readMark(b byte) bool {
	if b == byteOrderMark[e.mark] {
		e.mark++
		return true
	}
	e.begun = true
	if e.mark > 0 {
		e.part, e.fields = inOther, true // what looked like the mark is the begin of a line
	}
	return false
}

// endLine reads the end of a line and returns where it goes, and whether it ends an event.
func (e *events) endLine(b byte) (to way, over bool) {
	over = e.part == lineBegin
	if !over && !e.fields {
		to = onward // a comment tells clients that the stream lives, so it does not wait for what it precedes
	}
	e.returned, e.feed = b == '\r', to
	e.part, e.matched = lineBegin, 0
	return to, over
}

// line reads bytes of one line, which text begins with, and returns how many.
func (e *events) line(text []byte) int {
	switch b := text[0]; e.part {
	case lineBegin:
		e.part = inName
		if b == ':' {
			e.part = inOther
			return 1
		}
		e.fields = true
		return e.name(b)
	case inName:
		return e.name(b)
	case beforeData:
		e.beginData()
		if b == ' ' {
			return 1
		}
	default:
	}
	n := bytes.IndexAny(text, "\r\n")
	if n < 0 {
		n = len(text)
	}
	if e.part == inData {
		e.readData(text[:n])
	}
	return n
}

// name reads a byte of a field's name, or the colon after it.
func (e *events) name(b byte) int {
	switch {
	case e.matched < len(dataField) && b == dataField[e.matched]:
		e.matched++
	case e.matched == len(dataField) && b == ':':
		e.part = beforeData
	default:
		e.part = inOther
	}
	return 1
}

// beginData begins the data of a line. What lines have of one event are lines of one text.
func (e *events) beginData() {
	if e.data {
		e.readData([]byte{'\n'})
	}
	e.part, e.data = inData, true
}

// readData reads data.
func (e *events) readData(data []byte) {
	if e.stop >= 0 {
		to := e.stop + len(data)
		if to > len(stopMark) || stopMark[e.stop:to] != string(data) {
			to = -1
		}
		e.stop = to
	}
	e.scan.feed(data, e.answer)
}
