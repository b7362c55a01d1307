package main

import (
	"errors"
	"io"
	"log/slog"
	"strings"
)

// logging is how a node logs.
type logging struct {
	level  slog.Level
	format string // json or text
}

// addLogging defines the flags of l.
func addLogging(s section, l *logging, byDefault, format string) {
	s.add("log-level", "level", "least `LEVEL` that is logged: debug, info, warn or error", of(&l.level, "level", byDefault, level))
	s.add("log-format", "format", "`FORMAT` of the log: json, an object a line, or text for people", of(&l.format, "format", format, choice("json", "text")))
}

// level reads a log level.
func level(s string) (slog.Level, error) {
	word, err := choice("debug", "info", "warn", "error")(s)
	if err != nil {
		return 0, err
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(word))); err != nil {
		return 0, errors.New("want debug, info, warn or error")
	}
	return l, nil
}

// logger returns a logger to w.
func (l logging) logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.level}
	if l.format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
