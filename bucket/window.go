package bucket

import "time"

// windows returns a function that tells the window around a wall time, in UTC: start <= wall < end, each window ends where
// the next one starts, and a start tells its window apart from all others. The function is safe for concurrent use and
// reads no files; windows itself may, and fails as Validate does. l must have a Window.
//
// A day, week, month or year begins in the moment in which the zone's clocks first show its date. That is not always
// midnight: where clocks go forward at midnight the day begins at one. It happens once: clocks that are set back past
// midnight do not begin the day again. So a day has 23, 24 or 25 hours, mostly.
//
// An hour begins whenever the clocks show a full hour, or go forward past one. So each has 60 minutes, also those that
// clocks show twice, but in zones that change their clocks by half an hour (Lord Howe): there the hour of the change has
// 30 or 90 minutes.
func (l Limit) windows() (func(wall time.Time) (start, end time.Time), error) {
	if l.Window == Fixed {
		return fixed(l.Per).at, nil
	}
	loc := time.UTC
	if l.Zone != "" {
		var err error
		if loc, err = loadZone(l.Zone); err != nil {
			return nil, err
		}
	}
	if l.Window == Hour {
		return hours{loc}.at, nil
	}
	return calendar{l.Window, loc}.at, nil
}

// fixed windows begin at the multiples of a length since the Unix epoch, and before it.
type fixed time.Duration

func (f fixed) at(wall time.Time) (start, end time.Time) {
	length := time.Duration(f)
	wall = wall.UTC().Round(0)
	epoch := time.Unix(0, 0)
	age := wall.Sub(wall.Truncate(length)) - epoch.Sub(epoch.Truncate(length))
	if age < 0 {
		age += length
	}
	start = wall.Add(-age)
	return start, start.Add(length)
}

// shown returns what the clocks of t's zone show at t, as a time in UTC.
func shown(t time.Time) time.Time {
	_, ahead := t.Zone()
	return t.UTC().Add(time.Duration(ahead) * time.Second)
}

// unchanged returns a stretch of time around t in which the clocks of t's zone are not changed: from begin, which t is not
// before, until end, which t is before. Mostly they are changed then; the zero time is never.
func unchanged(t time.Time) (begin, end time.Time) {
	begin, end = t.ZoneBounds()
	if begin.After(t) {
		begin = t.Add(-time.Hour)
	}
	if !end.IsZero() && !end.After(t) { // happens on the last day of leap years: golang.org/issue/81583
		end = t.Add(time.Hour)
	}
	return begin, end
}

// hours are the windows of Hour.
type hours struct{ loc *time.Location }

func (h hours) at(wall time.Time) (start, end time.Time) {
	wall = wall.Round(0).In(h.loc)
	return hourBegin(wall).UTC(), hourEnd(wall).UTC()
}

// hourBegin returns the begin of the hour that t is in.
func hourBegin(t time.Time) time.Time {
	for {
		begin := t.Add(-pastHour(t))
		change, _ := unchanged(t)
		switch {
		case change.IsZero() || !begin.Before(change):
			return begin
		case beginsHour(change):
			return change
		}
		t = change.Add(-1)
	}
}

// hourEnd returns the end of the hour that t is in.
func hourEnd(t time.Time) time.Time {
	for {
		end := t.Add(time.Hour - pastHour(t))
		_, change := unchanged(t)
		switch {
		case change.IsZero() || end.Before(change):
			return end
		case beginsHour(change):
			return change
		}
		t = change
	}
}

// beginsHour says whether an hour begins at t, when the clocks may have been changed.
func beginsHour(t time.Time) bool {
	hour := shown(t).Truncate(time.Hour)
	return pastHour(t) == 0 || shown(t.Add(-1)).Before(hour)
}

// pastHour returns how long ago the clocks showed a full hour, had they not been changed since.
func pastHour(t time.Time) time.Duration {
	s := shown(t)
	return s.Sub(s.Truncate(time.Hour))
}

// A calendar has the windows of Day, Week, Month or Year.
type calendar struct {
	window Window
	loc    *time.Location
}

func (c calendar) at(wall time.Time) (start, end time.Time) {
	wall = wall.Round(0)
	date := c.date(shown(wall.In(c.loc)))
	start = c.reach(date)
	for {
		date = c.after(date)
		end = c.reach(date)
		if wall.Before(end) {
			return start, end
		}
		start = end // clocks were set back into a date that is over
	}
}

// date returns the first date of the window that clocks are in when they show s. Dates are midnights in UTC.
func (c calendar) date(s time.Time) time.Time {
	y, m, d := s.Date()
	switch c.window {
	case Week:
		d -= (int(s.Weekday()) + 6) % 7
	case Month:
		d = 1
	case Year:
		m, d = time.January, 1
	default: // a day is its own first
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// after returns the first date of the window after the one that begins with date.
func (c calendar) after(date time.Time) time.Time {
	switch c.window {
	case Week:
		return date.AddDate(0, 0, 7)
	case Month:
		return date.AddDate(0, 1, 0)
	case Year:
		return date.AddDate(1, 0, 0)
	default:
		return date.AddDate(0, 0, 1)
	}
}

// reach returns when the clocks first show date or later.
func (c calendar) reach(date time.Time) time.Time {
	t := date.Add(-2 * day).In(c.loc) // no zone is so far ahead
	for {
		_, ahead := t.Zone()
		midnight := date.Add(-time.Duration(ahead) * time.Second)
		if midnight.Before(t) { // the clocks went forward past it
			return t.UTC()
		}
		_, change := unchanged(t)
		if change.IsZero() || midnight.Before(change) {
			return midnight
		}
		t = change
	}
}
