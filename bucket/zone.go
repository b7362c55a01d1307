package bucket

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxZone is the most bytes of a zone's name.
const maxZone = 64

// loadZone returns the time zone of that IANA name, "" for UTC. What is found in a database beside those names is refused,
// because it is not the same on all nodes.
func loadZone(name string) (*time.Location, error) {
	const example = `want a name such as "Europe/Berlin"`
	shown := clip(name, maxFound)
	switch {
	case name == "UTC":
		return nil, errors.New(`time zone "UTC", want "": it is the default`)
	case strings.EqualFold(name, "Local"), strings.EqualFold(name, "localtime"):
		return nil, fmt.Errorf("time zone %q differs between nodes, %s", shown, example)
	case !isZoneName(name):
		return nil, fmt.Errorf("%q is not the name of a time zone, %s", shown, example)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not in this system's database, %s", shown, example)
	}
	return loc, nil
}

// isZoneName says whether name is made as IANA names are: of parts between slashes, each of which begins with an upper
// case letter and goes on with letters, digits and _+-.
func isZoneName(name string) bool {
	before := byte('/')
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
		case before != '/' && (kindOf(c) != kindOther || strings.IndexByte("/_+-", c) >= 0):
		default:
			return false
		}
		before = c
	}
	return before != '/' && len(name) <= maxZone
}

// zoneName returns name with the upper case letters of the zone that it means, "" for UTC.
func zoneName(name string) string {
	if strings.EqualFold(name, "UTC") {
		return ""
	}
	for _, spelling := range []string{name, title(name), strings.ToUpper(name)} {
		if _, err := loadZone(spelling); err == nil {
			return spelling
		}
	}
	return name
}

// title returns name with each part's first letter in upper case and the rest in lower, as most zones are written.
func title(name string) string {
	b := []byte(strings.ToLower(name))
	for i := range b {
		if first := i == 0 || strings.IndexByte("/_-", b[i-1]) >= 0; first && 'a' <= b[i] && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}
