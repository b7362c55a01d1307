package bucket

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseLimit(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  Limit
		canon string // "" where it is text
	}{
		{"100/s", Limit{Tokens: 100, Per: time.Second, Burst: 100}, ""},
		{"100/s burst 200", Limit{Tokens: 100, Per: time.Second, Burst: 200}, ""},
		{"20/m", Limit{Tokens: 20, Per: time.Minute, Burst: 20}, ""},
		{"1000/10s", Limit{Tokens: 1000, Per: 10 * time.Second, Burst: 1000}, ""},
		{"5/s burst 5 queue 50", Limit{Tokens: 5, Per: time.Second, Burst: 5, Queue: 50}, "5/s queue 50"},
		{"quota 100", Limit{Burst: 100}, ""},
		{"concurrency 20", Limit{Burst: 20, Window: Concurrency}, ""},
		{"CONCURRENCY 1", Limit{Burst: 1, Window: Concurrency}, "concurrency 1"},
		{"quota 10000 per month in Europe/Berlin", Limit{Burst: 10000, Window: Month, Zone: "Europe/Berlin"}, ""},
		{"quota 3 per hour", Limit{Burst: 3, Window: Hour}, ""},
		{"quota 3 per day", Limit{Burst: 3, Window: Day}, ""},
		{"quota 3 per week", Limit{Burst: 3, Window: Week}, ""},
		{"quota 3 per year", Limit{Burst: 3, Window: Year}, ""},
		{"window 100 per 1m", Limit{Burst: 100, Per: time.Minute, Window: Fixed}, ""},

		{"7/1500ms", Limit{Tokens: 7, Per: 1500 * time.Millisecond, Burst: 7}, ""},
		{"1/7d", Limit{Tokens: 1, Per: 7 * 24 * time.Hour, Burst: 1}, ""},
		{"1/ms", Limit{Tokens: 1, Per: time.Millisecond, Burst: 1}, ""},
		{"1/us", Limit{Tokens: 1, Per: time.Microsecond, Burst: 1}, ""},
		{"1/ns", Limit{Tokens: 1, Per: time.Nanosecond, Burst: 1}, ""},
		{"2/1001ns", Limit{Tokens: 2, Per: 1001, Burst: 2}, ""},
		{"1000000000/s burst 1000000000 queue 1000000000", Limit{1e9, time.Second, 1e9, 1e9, None, ""}, "1000000000/s queue 1000000000"},
		{"3000000000/10s burst 5", Limit{Tokens: 3e9, Per: 10 * time.Second, Burst: 5}, ""},

		{"60/60s", Limit{Tokens: 60, Per: time.Minute, Burst: 60}, "60/m"},
		{"60/0060s", Limit{Tokens: 60, Per: time.Minute, Burst: 60}, "60/m"},
		{"1/24h", Limit{Tokens: 1, Per: 24 * time.Hour, Burst: 1}, "1/d"},
		{"window 9 per 120m", Limit{Burst: 9, Per: 2 * time.Hour, Window: Fixed}, "window 9 per 2h"},
		{"window 9 per h", Limit{Burst: 9, Per: time.Hour, Window: Fixed}, "window 9 per 1h"},
		{"5/s queue 0", Limit{Tokens: 5, Per: time.Second, Burst: 5}, "5/s"},
		{"5/s queue 50 burst 7", Limit{Tokens: 5, Per: time.Second, Burst: 7, Queue: 50}, "5/s burst 7 queue 50"},
		{"\t 100 /\n10 S  BURST\u00a0200 ", Limit{Tokens: 100, Per: 10 * time.Second, Burst: 200}, "100/10s burst 200"},
		{"1/2s burst3queue4", Limit{1, 2 * time.Second, 3, 4, None, ""}, "1/2s burst 3 queue 4"},
		{"Quota 5 Per Day In UTC", Limit{Burst: 5, Window: Day}, "quota 5 per day"},
		{"quota 5 per day in america/new_york", Limit{Burst: 5, Window: Day, Zone: "America/New_York"}, "quota 5 per day in America/New_York"},
		{"QUOTA 5 PER DAY IN ASIA/TOKYO", Limit{Burst: 5, Window: Day, Zone: "Asia/Tokyo"}, "quota 5 per day in Asia/Tokyo"},
		{"quota 5 per day in gmt", Limit{Burst: 5, Window: Day, Zone: "GMT"}, "quota 5 per day in GMT"},
		{"quota 5 per day in Etc/GMT+5", Limit{Burst: 5, Window: Day, Zone: "Etc/GMT+5"}, ""},
	} {
		got, err := ParseLimit(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseLimit(%q) = %#v, %v, want %#v", tt.text, got, err, tt.want)
		}
		canon := tt.canon
		if canon == "" {
			canon = tt.text
		}
		if got := got.String(); got != canon {
			t.Errorf("ParseLimit(%q).String() = %q, want %q", tt.text, got, canon)
		}
	}
}

// An error says where something is wrong, what is there, and what would be right.
func TestParseLimitErrors(t *testing.T) {
	const (
		start  = `want a limit such as "100/s", "quota 100" or "window 100 per 1m"`
		floats = `want integers only: "3/2s" instead of "1.5/s", "1500ms" instead of "1.5s"`
		digits = `want a number in digits alone, such as 10000`
		city   = `want a name such as "Europe/Berlin"`
	)
	for _, tt := range []struct{ text, want string }{
		{``, `1: found the end, ` + start},
		{`  `, `3: found the end, ` + start},
		{`hundred/s`, `1: found "hundred", ` + start},
		{`/s`, `1: found "/s", ` + start},
		{`qouta 100`, `1: unknown word "qouta", did you mean "quota"?`},
		{`Windows 100 per 1m`, `1: unknown word "Windows", did you mean "window"?`},

		{`0/s`, `1: rate of 0 tokens, want at least 1`},
		{`-5/s`, `1: found "-5/s", want a number without a sign`},
		{`100/s burst +5`, `13: found "+5", want a number without a sign`},
		{`window 5 per -1s`, `14: found "-1s", want a number without a sign`},
		{`1.5/s`, `1: found "1.5/s", ` + floats},
		{`100/1.5s`, `5: found "1.5s", ` + floats},
		{`100/s burst 1.5`, `13: found "1.5", ` + floats},
		{`1,000/s`, `1: found "1,000/s", ` + digits},
		{`1_000/s`, `1: found "1_000/s", ` + digits},
		{`1e6/s`, `1: found "1e6/s", ` + digits},
		{`quota 10k`, `7: found "10k", ` + digits},
		{`100/s burst 2oo`, `13: found "2oo", ` + digits},
		{`100/s burst ٣`, `13: found "٣", want a whole number of tokens`},
		{`99999999999999999999/s`, `1: number 99999999999999999999 is too large: rates are at most 1000000000/s, all else 1000000000`},
		{`2000000000/s`, `1: rate of 2000000000 tokens per 1s, want at most 1000000000, which is 1000000000/s`},
		{`5000000000/10s`, `1: burst of 5000000000 tokens, want 1 to 1000000000; without "burst" it is the tokens of the rate`},

		{`100`, `4: found the end, want "/" and a period, such as "100/s"`},
		{`100 per s`, `5: found "per", want "/" and a period, such as "100/s"`},
		{`100/`, `5: found the end, want a period, such as "s", "10s" or "1d"`},
		{`100/x`, `5: found "x", want a period, such as "s", "10s" or "1d"`},
		{`100//s`, `5: found "/s", want a period, such as "s", "10s" or "1d"`},
		{`100/10`, `7: found the end, want a unit: ms, s, m, h or d`},
		{`100/10x`, `7: found "x", want a unit: ms, s, m, h or d`},
		{`100/10 Sec`, `8: unknown unit "sec", did you mean "s"?`},
		{`100/week`, `5: unknown unit "week", did you mean "7d"?`},
		{`100/3 years`, `7: found "years", which differs in length: want days, such as "365d", or "quota 100 per year"`},
		{`100/0S`, `5: period of 0s, want at least 1`},
		{`100/1m30s`, `5: found "1m30s", want a period of one unit, such as "90s"`},
		{`1/300000d`, `3: period of 300000d, want at most 106751d`},

		{`100/s brust 200`, `7: unknown word "brust", did you mean "burst"?`},
		{`100/s queu 200`, `7: unknown word "queu", did you mean "queue"?`},
		{`100/s burst`, `12: found the end, want a whole number of tokens`},
		{`100/s burst queue 5`, `13: found "queue", want a whole number of tokens`},
		{`100/s burst 0`, `13: burst of 0 tokens, want 1 to 1000000000`},
		{`100/s burst 1000000001`, `13: burst of 1000000001 tokens, want 1 to 1000000000`},
		{`100/s queue 1000000001`, `13: queue of 1000000001 tokens, want 0 to 1000000000`},
		{`100/s queue 1 QUEUE 2`, `15: "queue" is here a second time, want it once`},
		{`100/s in Europe/Berlin`, `7: found "in", want "burst", "queue" or the end`},
		{`100/s,burst 5`, `6: found ",burst", want "burst", "queue" or the end`},
		{`100/s burst 200 or so`, `17: found "or", want "burst", "queue" or the end`},
		{
			`7/3600000000001ns burst 1000000000`,
			`25: burst and queue of 1000000000 tokens, want at most 640511 with 7 per 3600000000001ns, or a period of whole seconds`,
		},
		{
			`1/36500d burst 1000000000`,
			`16: burst and queue of 1000000000 tokens, want at most 731178021 with 1 per 36500d, or a shorter period`,
		},
		{
			`2305843009213693953/9223372036854775807ns burst 1`,
			`21: rate of 2305843009213693953 tokens per 9223372036854775807ns is too fine to be counted, want a shorter period, or whole seconds`,
		},

		{`quota`, `6: found the end, want a whole number of tokens`},
		{`quota 0`, `7: quota of 0 tokens, want 1 to 1000000000`},
		{`quota 2000000000`, `7: quota of 2000000000 tokens, want 1 to 1000000000`},
		{`quota 100 burst 5`, `11: found "burst", which only a rate has: a quota or window holds its tokens at once`},
		{`quota 100 queue 5`, `11: found "queue", which only a rate has`},
		{`quota 100 in UTC`, `11: found "in", which only a calendar quota has, such as "quota 100 per day in Europe/Berlin"`},
		{`quota 100 each day`, `11: found "each", want "per" or the end`},
		{`quota 100 per`, `14: found the end, want hour, day, week, month or year`},
		{`quota 100 per 30d`, `15: found "30d", want hour, day, week, month or year; other periods are written "window 100 per 10m"`},
		{`quota 100 per minute`, `15: found "minute", want hour, day, week, month or year; other periods are written "window 100 per 10m"`},
		{`quota 100 per mnth`, `15: unknown word "mnth", did you mean "month"?`},
		{`quota 100 per daily`, `15: unknown word "daily", did you mean "day"?`},
		{`quota 100 per day on UTC`, `19: unknown word "on", did you mean "in"?`},
		{`quota 100 per day in`, `21: found the end, want a time zone, such as "Europe/Berlin"`},
		{`quota 100 per day in Europe/Berln`, `22: time zone "Europe/Berln" is not in this system's database, ` + city},
		{`quota 100 per day in local`, `22: time zone "local" differs between nodes, ` + city},
		{`quota 100 per day in localtime`, `22: time zone "localtime" differs between nodes, ` + city},
		{`quota 100 per day in ../../etc/passwd`, `22: "../../etc/passwd" is not the name of a time zone, ` + city},
		{`quota 100 per day in posix/Asia/Tokyo`, `22: "posix/Asia/Tokyo" is not the name of a time zone, ` + city},
		{`quota 100 per day in UTC now`, `26: found "now", want the end`},

		{`window`, `7: found the end, want a whole number of tokens`},
		{`window 0 per 1m`, `8: window of 0 tokens, want 1 to 1000000000`},
		{`window 100`, `11: found the end, want "per" and a period, such as "window 100 per 1m"`},
		{`window 100 per 1m queue 5`, `19: found "queue", which only a rate has`},
		{`window 100 per month`, `16: found "month", which differs in length: want days, such as "30d", or "quota 100 per month"`},
		{`window 100 per 1d in UTC`, `19: found "in", which only a calendar quota has, such as "quota 100 per day in Europe/Berlin"`},
	} {
		l, err := ParseLimit(tt.text)
		want := `bad limit "` + tt.text + `": column ` + tt.want
		switch {
		case err == nil:
			t.Errorf("ParseLimit(%q) = %v, want error %s", tt.text, l, want)
		case err.Error() != want:
			t.Errorf("ParseLimit(%q) says\n\t%v, want\n\t%s", tt.text, err, want)
		case !errors.Is(err, ErrLimit) || l != Limit{}:
			t.Errorf("ParseLimit(%q) = %v, %v, want no limit and ErrLimit", tt.text, l, err)
		}
	}
}

// However long and odd the input is, an error is one short line.
func TestParseLimitEchoesLittle(t *testing.T) {
	const x32, x60 = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	for _, tt := range []struct{ text, want string }{
		{strings.Repeat("x", 200), `bad limit "` + x60 + `...": column 1: found "` + x32 + `...", want a limit such as "100/s", "quota 100" or "window 100 per 1m"`},
		{strings.Repeat("x", 1<<20), `bad limit "` + x60 + `...": column 201: a limit has at most 200 bytes, found 1048576`},
		{"5/s\xff\n\x00", `bad limit "5/s\xff\n\x00": column 4: found "\xff", want "burst", "queue" or the end`},
	} {
		if _, err := ParseLimit(tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("ParseLimit of %d bytes says\n\t%v, want\n\t%s", len(tt.text), err, tt.want)
		}
	}
}

// ParseLimit never panics, and what it accepts is valid, countable and the same after String.
func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{
		"concurrency 20", "concurrency 5 per day", "100/s", "100/s burst 200", "20/m", "1000/10s", "5/s burst 5 queue 50", "quota 100",
		"quota 10000 per month in Europe/Berlin", "window 100 per 1m", "7/3600000000001ns burst 9", "1.5/s",
		"quota 1 per day in ../x", "100/1m30s", "9999999999999999999/s", "\xff/\u00a0", "quota 1 per week in utc",
		"100/s brust 200", "1/106751d", "-1/s", "quota 1 per 3h", strings.Repeat(" ", 200) + "1/s",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLimit(s)
		if err != nil {
			if most := 5*(maxEcho+maxFound) + 200; !errors.Is(err, ErrLimit) || len(err.Error()) > most {
				t.Fatalf("ParseLimit(%q) says %v in %d bytes, want ErrLimit in %d", s, err, len(err.Error()), most)
			}
			return
		}
		if len(s) > maxText {
			t.Fatalf("ParseLimit took %d bytes, want at most %d", len(s), maxText)
		}
		if err := l.Validate(); err != nil {
			t.Fatalf("ParseLimit(%q) = %v, which Validate refuses: %v", s, l, err)
		}
		if again, err := ParseLimit(l.String()); err != nil || again != l {
			t.Fatalf("ParseLimit(%q) = %#v, %v, want %#v", l.String(), again, err, l)
		}
	})
}

func BenchmarkParseLimit(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"rate", "100/s burst 200"},
		{"queue", "1000/10s burst 5 queue 50"},
		{"window", "window 100 per 1m"},
		{"utc", "quota 10000 per month"},
		{"zone", "quota 10000 per month in Europe/Berlin"},
		{"error", "100/s brust 200"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseLimit(bb.text)
			}
		})
	}
}
