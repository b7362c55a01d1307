package api

import (
	"fmt"
	"strings"

	"github.com/noriahq/noria/bucket/nearest"
	"github.com/noriahq/noria/transport"
)

// unknownField says that the API has no field of that name, and which one may have been meant.
func unknownField(at place, name string, known []string) error {
	return fmt.Errorf("%w: unknown field %q; %s", transport.ErrRequest, at.of(clip(name)), suggest(name, known))
}

// unknownWord says that field does not take value, and which one may have been meant.
func unknownWord(at place, field, value string, known []string) error {
	return fmt.Errorf("%w: %s is %q; %s", transport.ErrRequest, at.of(field), clip(value), suggest(value, known))
}

// suggest returns the rest of an error about an unknown word.
func suggest(word string, known []string) string {
	want := "want " + strings.Join(known[:len(known)-1], ", ")
	if len(known) > 1 {
		want += " or "
	}
	want += known[len(known)-1]
	if near := nearest.To(word, known, 2); near != "" {
		return fmt.Sprintf("did you mean %q? %s", near, want)
	}
	return want
}

// clip cuts what a caller sent to a length that fits an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
