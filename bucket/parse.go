package bucket

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxText is the most bytes of a limit in text.
const maxText = 200

// ParseLimit reads a limit from text:
//
//	100/s                               100 tokens a second, and as many at once
//	100/s burst 200                     100 tokens a second, 200 at once
//	1000/10s                            1000 tokens every 10 seconds, evenly
//	5/s burst 5 queue 50                as 5/s; up to 50 tokens' worth of requests wait their turn
//	quota 100                           100 tokens, never refilled
//	quota 10000 per month in Asia/Tokyo refilled when the month begins there; hour, day, week, month or year; UTC without in
//	window 100 per 1m                   refilled when the minute begins
//	concurrency 20                      20 at once, given back by those who have them
//
// A period is a whole number, 1 if left out, of one unit: ms, s, m, h or d; us and ns are understood too. All numbers are
// integers. White space and the case of letters do not matter. s has at most 200 bytes.
//
// The limit returned is valid. An error wraps ErrLimit and says at which byte of s, counted from 1, something is wrong,
// what is there and what would be right; it repeats about 100 bytes of s at most.
//
// A time zone is looked up in the system's time zone database, which may read a file; nothing is cached.
func ParseLimit(s string) (Limit, error) {
	p := parser{scanner: scanner{text: s}}
	if len(s) > maxText {
		p.fail(maxText, "a limit has at most %d bytes, found %d", maxText, len(s))
		return Limit{}, p.err
	}
	p.next()
	l := p.limit()
	if p.err == nil {
		p.check(l)
	}
	if p.err != nil {
		return Limit{}, p.err
	}
	return l, nil
}

// A parser reads one limit. After its first error it stands at the end of the text, so that reading on does no harm.
type parser struct {
	scanner
	place [parts]int // column of each part of the limit, from 1; 0 where it was left out
}

// check makes a flaw of l, which was read in full, the parser's error.
func (p *parser) check(l Limit) {
	at, wrong := l.flaw()
	if wrong == "" {
		return
	}
	column := p.place[at]
	if at == partBurst && column == 0 {
		column = p.place[partTokens]
		wrong += `; without "burst" it is the tokens of the rate`
	}
	p.fail(max(column-1, 0), "%s", wrong)
}

func (p *parser) limit() Limit {
	switch {
	case p.skip("quota"):
		return p.quota()
	case p.skip("window"):
		return p.window()
	case p.skip("concurrency"):
		return p.concurrency()
	case p.kind == kindNumber:
		return p.rate()
	}
	p.refuseSign()
	p.unexpected(`a limit such as "100/s", "quota 100" or "window 100 per 1m"`, "quota", "window", "concurrency")
	return Limit{}
}

// rate reads 100/s burst 200 queue 50.
func (p *parser) rate() Limit {
	l := Limit{Tokens: p.count(partTokens)}
	if !p.skip("/") {
		p.unexpected(`"/" and a period, such as "100/s"`)
	}
	l.Per = p.period()
	l.Burst = l.Tokens
	for p.kind != kindEnd {
		switch {
		case p.is("burst"):
			l.Burst = p.option(partBurst)
		case p.is("queue"):
			l.Queue = p.option(partQueue)
		default:
			p.unexpected(`"burst", "queue" or the end`, "burst", "queue")
		}
	}
	return l
}

// option reads a word and the count after it.
func (p *parser) option(at part) int64 {
	if p.place[at] != 0 {
		p.fail(p.start, "%q is here a second time, want it once", strings.ToLower(p.word()))
	}
	p.next()
	return p.count(at)
}

// quota reads what follows the word.
func (p *parser) quota() Limit {
	l := Limit{Burst: p.count(partBurst)}
	if !p.skip("per") {
		p.end(`"per" or the end`, "per")
		return l
	}
	l.Window = p.calendar()
	if !p.skip("in") {
		p.end(`"in" and a time zone, or the end`, "in")
		return l
	}
	l.Zone = p.zone()
	p.end("the end")
	return l
}

// window reads what follows the word.
func (p *parser) window() Limit {
	l := Limit{Window: Fixed, Burst: p.count(partBurst)}
	if !p.skip("per") {
		p.unexpected(`"per" and a period, such as "window 100 per 1m"`, "per")
	}
	l.Per = p.period()
	p.end("the end")
	return l
}

// concurrency reads what follows the word.
func (p *parser) concurrency() Limit {
	l := Limit{Window: Concurrency, Burst: p.count(partBurst)}
	p.end("the end")
	return l
}

// end refuses whatever is left of a quota or a window.
func (p *parser) end(want string, choices ...string) {
	switch {
	case p.kind == kindEnd:
	case p.is("burst"):
		p.fail(p.start, `found "burst", which only a rate has: a quota or window holds its tokens at once`)
	case p.is("queue"):
		p.fail(p.start, `found "queue", which only a rate has`)
	case p.is("in"):
		p.fail(p.start, `found "in", which only a calendar quota has, such as "quota 100 per day in Europe/Berlin"`)
	default:
		p.unexpected(want, choices...)
	}
}

// count reads the number of tokens of the part at.
func (p *parser) count(at part) int64 {
	p.place[at] = p.start + 1
	if p.kind != kindNumber {
		p.refuseSign()
		p.unexpected("a whole number of tokens")
		return 0
	}
	n := p.integer()
	if p.glued(kindLetters) && !p.is("burst") && !p.is("queue") && !p.is("per") {
		p.fail(p.place[at]-1, "found %s, want a number in digits alone, such as 10000", p.run(p.place[at]-1))
	}
	return n
}

// refuseSign refuses a sign before a number.
func (p *parser) refuseSign() {
	if p.is("-") || p.is("+") {
		p.fail(p.start, "found %s, want a number without a sign", p.run(p.start))
	}
}

// integer reads the digits that the parser stands at.
func (p *parser) integer() int64 {
	start, digits := p.start, p.word()
	p.next()
	if p.glued(kindOther) {
		switch p.text[p.start] {
		case '.':
			p.fail(start, `found %s, want integers only: "3/2s" instead of "1.5/s", "1500ms" instead of "1.5s"`, p.run(start))
		case ',', '_', '\'':
			p.fail(start, "found %s, want a number in digits alone, such as 10000", p.run(start))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		p.fail(start, "number %s is too large: rates are at most %d/s, all else %d", clip(digits, maxFound), maxRate, MaxBurst)
	}
	return n
}

// period reads 10s: a count, which may be left out, and a unit.
func (p *parser) period() time.Duration {
	at := p.start
	p.place[partPer] = at + 1
	n := int64(1)
	if p.kind == kindNumber {
		n = p.integer()
	}
	word := p.word()
	unit := unitOf(word)
	if unit == 0 {
		p.refuseSign()
		p.noUnit(p.start > at)
		return 0
	}
	p.next()
	most := math.MaxInt64 / int64(unit)
	switch {
	case p.glued(kindNumber):
		p.fail(at, `found %s, want a period of one unit, such as "90s"`, p.run(at))
	case n < 1:
		p.fail(at, "period of 0%s, want at least 1", strings.ToLower(word))
	case n > most:
		p.fail(at, "period of %d%s, want at most %d%[2]s", n, strings.ToLower(word), most)
	}
	return time.Duration(n) * unit
}

// noUnit refuses what stands in the place of a unit, after a count or without one.
func (p *parser) noUnit(counted bool) {
	word := strings.ToLower(p.word())
	switch hint := unitHint(word); {
	case hint == "" && counted:
		p.unexpected("a unit: ms, s, m, h or d")
	case hint == "":
		p.unexpected(`a period, such as "s", "10s" or "1d"`)
	case hint == "30d" || hint == "365d":
		p.fail(p.start, `found %q, which differs in length: want days, such as %q, or "quota 100 per %s"`,
			word, hint, strings.TrimSuffix(word, "s"))
	default:
		p.fail(p.start, "unknown unit %q, did you mean %q?", word, hint)
	}
}

// calendar reads the name of a calendar window.
func (p *parser) calendar() Window {
	p.place[partWindow] = p.start + 1
	for w := Hour; w <= Year; w++ {
		if p.skip(w.String()) {
			return w
		}
	}
	hint := unitHint(strings.ToLower(p.word()))
	if p.kind == kindNumber || unitOf(p.word()) != 0 || hint == "s" || hint == "m" || hint == "ms" {
		p.fail(p.start, `found %s, want hour, day, week, month or year; other periods are written "window 100 per 10m"`, p.run(p.start))
	}
	p.unexpected("hour, day, week, month or year", "hour", "day", "week", "month", "year")
	return None
}

// zone reads the name of a time zone and returns it as a Limit has it.
func (p *parser) zone() string {
	p.place[partZone] = p.start + 1
	if p.kind == kindEnd {
		p.unexpected(`a time zone, such as "Europe/Berlin"`)
	}
	return zoneName(p.rest())
}
