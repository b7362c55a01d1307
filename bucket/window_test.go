package bucket

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// windowAt returns the window of l around wall.
func windowAt(t testing.TB, l Limit, wall time.Time) (start, end time.Time) {
	t.Helper()
	at, err := l.windows()
	if err != nil {
		t.Fatal(err)
	}
	return at(wall)
}

func TestWindows(t *testing.T) {
	for _, tt := range []struct {
		limit, at, start, end string // times in UTC
		why                   string
	}{
		{"window 1 per 1m", "2025-03-04T05:06:07.8Z", "2025-03-04T05:06:00Z", "2025-03-04T05:07:00Z", ""},
		{"window 1 per 7s", "1970-01-01T00:00:06.999Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:07Z", ""},
		{"window 1 per 7s", "1970-01-01T00:00:07Z", "1970-01-01T00:00:07Z", "1970-01-01T00:00:14Z", ""},
		{"window 1 per 7s", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:53Z", "1970-01-01T00:00:00Z", "before the epoch"},
		{"window 1 per 7d", "1970-01-10T00:00:00Z", "1970-01-08T00:00:00Z", "1970-01-15T00:00:00Z", "not weeks: 1970 began on a Thursday"},
		{"window 1 per 100000d", "2025-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2243-10-17T00:00:00Z", ""},

		{"quota 1 per hour", "2025-12-31T23:59:59.9Z", "2025-12-31T23:00:00Z", "2026-01-01T00:00:00Z", ""},
		{"quota 1 per day", "2024-02-29T12:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "leap day"},
		{"quota 1 per week", "2024-12-29T23:59:59Z", "2024-12-23T00:00:00Z", "2024-12-30T00:00:00Z", "Sunday"},
		{"quota 1 per week", "2024-12-30T00:00:00Z", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z", "Monday, over a year's end"},
		{"quota 1 per week", "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z", ""},
		{"quota 1 per month", "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "leap year"},
		{"quota 1 per month", "2100-02-28T12:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z", "no leap year"},
		{"quota 1 per month", "2025-12-31T23:59:59Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z", ""},
		{"quota 1 per year", "2024-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", ""},

		{"quota 1 per day in Europe/Berlin", "2025-03-30T12:00:00Z", "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z", "23 h"},
		{"quota 1 per day in Europe/Berlin", "2025-10-26T12:00:00Z", "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", "25 h"},
		{"quota 1 per hour in Europe/Berlin", "2025-10-26T00:30:00Z", "2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z", "2 o'clock"},
		{"quota 1 per hour in Europe/Berlin", "2025-10-26T01:30:00Z", "2025-10-26T01:00:00Z", "2025-10-26T02:00:00Z", "2 o'clock again"},
		{"quota 1 per month in Asia/Tokyo", "2025-05-31T15:00:00Z", "2025-05-31T15:00:00Z", "2025-06-30T15:00:00Z", ""},
		{"quota 1 per year in Pacific/Kiritimati", "2025-12-31T10:00:00Z", "2025-12-31T10:00:00Z", "2026-12-31T10:00:00Z", "UTC+14"},
		{"quota 1 per day in Etc/GMT+12", "2025-06-01T11:59:59Z", "2025-05-31T12:00:00Z", "2025-06-01T12:00:00Z", "UTC-12"},
		{"quota 1 per hour in Asia/Kolkata", "2025-06-01T11:45:00Z", "2025-06-01T11:30:00Z", "2025-06-01T12:30:00Z", "UTC+5:30"},
		{"quota 1 per hour in Asia/Kathmandu", "2025-06-01T11:10:00Z", "2025-06-01T10:15:00Z", "2025-06-01T11:15:00Z", "UTC+5:45"},

		{"quota 1 per day in America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z", "begins at 1:00"},
		{"quota 1 per day in America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", "the day before"},
		{"quota 1 per day in America/Sao_Paulo", "2019-02-17T02:30:00Z", "2019-02-16T02:00:00Z", "2019-02-17T03:00:00Z", "25 h, set back at midnight"},
		{"quota 1 per day in Asia/Beirut", "2022-03-27T12:00:00Z", "2022-03-26T22:00:00Z", "2022-03-27T21:00:00Z", "begins at 1:00"},
		{"quota 1 per day in America/St_Johns", "2006-10-29T02:30:30Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z", "the first 0:00"},
		{"quota 1 per day in America/St_Johns", "2006-10-29T03:00:00Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z", "set back at 0:01 to 23:01"},
		{"quota 1 per day in America/St_Johns", "2006-10-29T03:30:00Z", "2006-10-29T02:30:00Z", "2006-10-30T03:30:00Z", "the second 0:00"},
		{"quota 1 per day in Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "the 29th"},
		{"quota 1 per day in Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", "the 31st: there was no 30th"},
		{"quota 1 per week in Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-26T10:00:00Z", "2012-01-01T10:00:00Z", "6 days"},
		{"quota 1 per day in Pacific/Kwajalein", "1969-10-01T00:00:00Z", "1969-09-29T13:00:00Z", "1969-10-01T12:00:00Z", "47 h: set back by 23"},

		{"quota 1 per day in Australia/Lord_Howe", "2024-04-06T20:00:00Z", "2024-04-06T13:00:00Z", "2024-04-07T13:30:00Z", "24:30 h"},
		{"quota 1 per hour in Australia/Lord_Howe", "2024-04-06T14:30:00Z", "2024-04-06T14:00:00Z", "2024-04-06T15:30:00Z", "set back from 2:00 to 1:30"},
		{"quota 1 per hour in Australia/Lord_Howe", "2024-04-06T15:29:59Z", "2024-04-06T14:00:00Z", "2024-04-06T15:30:00Z", "1:30 for the second time"},
		{"quota 1 per hour in Australia/Lord_Howe", "2024-10-05T15:00:00Z", "2024-10-05T14:30:00Z", "2024-10-05T15:30:00Z", "forward from 2:00 to 2:30"},
		{"quota 1 per hour in Australia/Lord_Howe", "2024-10-05T15:30:00Z", "2024-10-05T15:30:00Z", "2024-10-05T16:00:00Z", "30 min"},

		{"quota 1 per day in Europe/Berlin", "2149-07-01T00:00:00Z", "2149-06-30T22:00:00Z", "2149-07-01T22:00:00Z", "by the rule of the last years"},
		{"quota 1 per year in Europe/Berlin", "2040-12-31T12:00:00Z", "2039-12-31T23:00:00Z", "2040-12-31T23:00:00Z", "ZoneBounds ends before this day"},
		{"quota 1 per day in America/New_York", "2096-12-31T23:00:00Z", "2096-12-31T05:00:00Z", "2097-01-01T05:00:00Z", "and this"},
		{"quota 1 per hour in America/New_York", "2096-12-31T23:00:00Z", "2096-12-31T23:00:00Z", "2097-01-01T00:00:00Z", "and this"},
		{"quota 1 per hour in Pacific/Chatham", "2040-12-31T00:30:00Z", "2040-12-31T00:15:00Z", "2040-12-31T01:15:00Z", "and this"},
		{"quota 1 per hour in Pacific/Chatham", "2040-12-31T00:05:00Z", "2040-12-30T23:15:00Z", "2040-12-31T00:15:00Z", "and before it"},
	} {
		l, err := ParseLimit(tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		start, end := windowAt(t, l, at)
		if got, want := spell(start, end), tt.start+" "+tt.end; got != want {
			t.Errorf("%s at %s: window %s, want %s (%s)", tt.limit, tt.at, got, want, tt.why)
		}
	}
}

func spell(start, end time.Time) string {
	return start.Format(time.RFC3339Nano) + " " + end.Format(time.RFC3339Nano)
}

// Windows part the time line: each instant is in one, each ends where the next starts, and every instant of a window
// is told the same start, as an equal value.
func TestWindowsPartition(t *testing.T) {
	zones := zoneNames(t)
	rapid.Check(t, func(t *rapid.T) {
		l := drawWindow(t, zones)
		at, err := l.windows()
		if err != nil {
			t.Fatal(err)
		}
		wall := drawWall(t)
		start, end := at(wall.In(time.FixedZone("elsewhere", 3600)))
		if wall.Before(start) || !wall.Before(end) {
			t.Fatalf("%v: window %s is not around %v", l, spell(start, end), wall)
		}
		inside := start.Add(time.Duration(rapid.Int64Range(0, int64(end.Sub(start)-1)).Draw(t, "inside")))
		for _, other := range []time.Time{start, inside, end.Add(-1)} {
			if s, e := at(other); s != start || e != end {
				t.Fatalf("%v: window %s around %v, but %s around %v", l, spell(start, end), wall, spell(s, e), other)
			}
		}
		if s, e := at(end); s != end || !e.After(end) {
			t.Fatalf("%v: window %s is followed by %s", l, spell(start, end), spell(s, e))
		}
		if s, e := at(start.Add(-1)); e != start || !s.Before(start) {
			t.Fatalf("%v: window %s comes after %s", l, spell(start, end), spell(s, e))
		}
	})
}

// drawWindow draws a limit with a window.
func drawWindow(t *rapid.T, zones []string) Limit {
	l := Limit{Burst: 1, Window: Window(rapid.IntRange(int(Fixed), int(Year)).Draw(t, "window"))}
	if l.Window == Fixed {
		l.Per = drawPeriod(t)
	} else {
		l.Zone = rapid.SampledFrom(zones).Draw(t, "zone")
	}
	return l
}

// drawWall draws a time from 1970 to 2150.
func drawWall(t *rapid.T) time.Time {
	const years = 180 * 31_556_952
	return time.Unix(rapid.Int64Range(0, years).Draw(t, "unix"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
}

// Calendar windows are those that a plain look at the clocks, second by second, finds: at random and around every change
// of clocks.
func TestWindowsModel(t *testing.T) {
	zones := zoneNames(t)
	rapid.Check(t, func(t *rapid.T) {
		l := drawWindow(t, zones)
		if l.Window == Fixed {
			l.Window, l.Per, l.Zone = Hour, 0, "Australia/Lord_Howe"
		}
		loc, err := time.LoadLocation(l.Zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := l.windows()
		if err != nil {
			t.Fatal(err)
		}
		wall := drawWall(t)
		if _, change := wall.In(loc).ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "change") {
			wall = change.Add(time.Duration(rapid.Int64Range(-2*3600, 26*3600).Draw(t, "past")) * time.Second)
		}
		if rapid.IntRange(0, 9).Draw(t, "new year") == 0 {
			wall = wall.AddDate(0, 1-int(wall.Month()), -wall.Day())
		}
		start, end := at(wall)
		wantStart, wantEnd := slowWindow(l.Window, loc, wall)
		if got, want := spell(start, end), spell(wantStart, wantEnd); got != want {
			t.Fatalf("%v at %v: window %s, want %s", l, wall.UTC(), got, want)
		}
	})
}

// The model finds windows that are cut at time.Date's midnights, as they often are.
func TestWindowsModelFindsNaiveDays(t *testing.T) {
	naive := func(loc *time.Location, wall time.Time) (start, end time.Time) {
		y, m, d := wall.In(loc).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, loc).UTC(), time.Date(y, m, d+1, 0, 0, 0, 0, loc).UTC()
	}
	for _, tt := range []struct{ zone, at string }{
		{"America/Sao_Paulo", "2018-11-04T12:00:00Z"},
		{"America/St_Johns", "2006-10-29T03:00:00Z"},
		{"Pacific/Apia", "2011-12-29T12:00:00Z"},
	} {
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		wall, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		got, model := spell(naive(loc, wall)), spell(slowWindow(Day, loc, wall))
		if got == model {
			t.Errorf("in %s the model has %s, as the naive days", tt.zone, got)
		}
	}
}

// slowWindow is the model of hours.at and calendar.at: it knows nothing of zones but what clocks show, and looks at them
// every half minute, which is how finely clocks have been changed since 1970.
func slowWindow(w Window, loc *time.Location, wall time.Time) (start, end time.Time) {
	const step = 30 * time.Second
	wall = wall.Truncate(step)
	if w == Hour {
		start, end = wall, wall.Add(step)
		for !slowHour(start.In(loc)) {
			start = start.Add(-step)
		}
		for !slowHour(end.In(loc)) {
			end = end.Add(step)
		}
		return start.UTC(), end.UTC()
	}
	date := ""
	for back := time.Duration(0); back <= 27*time.Hour; back += step {
		date = max(date, wall.Add(-back).In(loc).Format(time.DateOnly))
	}
	first, _ := time.Parse(time.DateOnly, date)
	for !slowFirst(w, first) {
		first = first.Add(-day)
	}
	next := first.Add(day)
	for !slowFirst(w, next) {
		next = next.Add(day)
	}
	return slowReach(loc, first), slowReach(loc, next)
}

// slowHour says whether an hour begins at t.
func slowHour(t time.Time) bool {
	const hour = "2006-01-02 15"
	return t.Format("04:05") == "00:00" || t.Format(hour) > t.Add(-time.Second).Format(hour)
}

// slowFirst says whether a window begins with date.
func slowFirst(w Window, date time.Time) bool {
	switch w {
	case Week:
		return date.Weekday() == time.Monday
	case Month:
		return date.Format("02") == "01"
	case Year:
		return date.Format("01-02") == "01-01"
	default:
		return true
	}
}

// slowReach returns when clocks first show date.
func slowReach(loc *time.Location, date time.Time) time.Time {
	t := date.Add(-27 * time.Hour)
	for t.In(loc).Format(time.DateOnly) < date.Format(time.DateOnly) {
		t = t.Add(30 * time.Second)
	}
	return t
}

// A start tells its window apart also for times that a Duration since 1970 cannot hold.
func TestWindowsFarAway(t *testing.T) {
	for _, year := range []int{1, 1600, 1800, 2300, 9999} {
		wall := time.Date(year, 2, 3, 4, 5, 6, 7, time.UTC)
		for _, l := range []Limit{
			{Burst: 1, Window: Fixed, Per: 7 * time.Hour},
			{Burst: 1, Window: Hour, Zone: "Asia/Kolkata"},
			{Burst: 1, Window: Day, Zone: "America/Juneau"},
			{Burst: 1, Window: Year, Zone: "Asia/Manila"},
		} {
			start, end := windowAt(t, l, wall)
			if next, _ := windowAt(t, l, end); wall.Before(start) || !wall.Before(end) || next != end {
				t.Errorf("%v at %v: window %s, then from %v", l, wall, spell(start, end), next)
			}
		}
	}
}

// A zone that is not known is an error, not another zone.
func TestWindowsUnknownZone(t *testing.T) {
	for _, zone := range []string{"Europe/Berln", "Local", "UTC"} {
		if _, err := (Limit{Burst: 1, Window: Day, Zone: zone}).windows(); err == nil {
			t.Errorf("windows in %s: no error", zone)
		}
	}
}

func BenchmarkWindows(b *testing.B) {
	wall := time.Date(2025, 10, 26, 1, 30, 0, 0, time.UTC)
	for _, l := range []Limit{
		{Burst: 1, Window: Fixed, Per: time.Minute},
		{Burst: 1, Window: Hour, Zone: "Europe/Berlin"},
		{Burst: 1, Window: Day, Zone: "Europe/Berlin"},
		{Burst: 1, Window: Month},
	} {
		b.Run(fmt.Sprint(l.Window, l.Zone), func(b *testing.B) {
			at, err := l.windows()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				at(wall)
			}
		})
	}
}

// A copy that comes so late that it counts in the next window does not make a bucket owe less in this one.
func TestLateCopyOfWindow(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	r := &Request{Key: "k", Limit: Limit{Burst: 10, Window: Fixed, Per: time.Second}, Cost: 1}
	if _, err := s.Take(0, 0, r); err != nil {
		t.Fatal(err)
	}
	late := s.Export(0, 0) // owes 1 until 1s
	r.Cost = 8
	if _, err := s.Take(0, 0, r); err != nil {
		t.Fatal(err)
	}
	now := Instant(600 * time.Millisecond)
	if err := s.Import(now, 0, late); err != nil {
		t.Fatal(err)
	}
	r.Cost = 2
	if d, err := s.Take(now, 0, r); err != nil || d.Allowed {
		t.Errorf("%d tokens are there when 9 of 10 are taken, and a copy of before came late (%v)", d.Remaining+2, err)
	}
}
