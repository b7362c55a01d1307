package strict

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket/nearest"
)

// Text takes any text but an empty one.
func Text(s string) (string, error) {
	if s == "" {
		return "", errors.New("want something that is not empty")
	}
	return s, nil
}

// Whole returns the reader of whole numbers from least to most.
func Whole[T int | int64](least, most T) func(string) (T, error) {
	return func(s string) (T, error) {
		n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
		if err == nil && n >= int64(least) && n <= int64(most) {
			return T(n), nil
		}
		if int64(most) == math.MaxInt {
			return 0, fmt.Errorf("want a whole number of at least %d", least)
		}
		return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
	}
}

// Duration returns the reader of durations from least to most.
func Duration(least, most time.Duration) func(string) (time.Duration, error) {
	return func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("want a duration from %s to %s, such as 50ms or 10s", Short(least), Short(most))
		}
		return d, nil
	}
}

// Short returns d without the zeros that time.Duration writes behind whole minutes and hours.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// YesNo reads true or false.
func YesNo(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("want true or false")
	}
	return b, nil
}

// Choice returns the reader of one of the words known, of which there are two at least.
func Choice(known ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		for _, k := range known {
			if strings.EqualFold(s, k) {
				return k, nil
			}
		}
		last := len(known) - 1
		return "", fmt.Errorf("want %s or %s%s", strings.Join(known[:last], ", "), known[last], DidYouMean(s, known, "%q"))
	}
}

// URL reads the URL of a server.
func URL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("want http:// or https:// and a host, such as http://127.0.0.1:9000")
	}
	return u, nil
}

// DidYouMean returns ", did you mean X?" for the one of known that word is most likely a slip of, "" if it is like none.
// quote is how X is written.
func DidYouMean(word string, known []string, quote string) string {
	near := nearest.To(word, known, 3)
	if near == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean "+quote+"?", near)
}
