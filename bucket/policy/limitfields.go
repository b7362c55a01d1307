package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy/strict"
)

// unlimited is what a tier has that the limit is not for.
const unlimited = "unlimited"

// limit is the table of one limit. The unit is read before the amounts that depend on it.
func (a *draft) limit(l *Limit) ([]field, func(place)) {
	amount := form{kind: "limit", whole: true, least: 1, most: bucket.MaxBurst}
	table := []field{
		word("unit", "what it counts", &l.Unit, Requests, LLMTokens, Concurrency, Bytes),
		list("key", "parts of the key that has a bucket: client.ip, identity.id, identity.tier, identity.org, identity.attributes.NAME, "+
			"header.NAME, host, method, path, route, model, const.TEXT; one bucket for all without this", form{kind: "part"}, &l.parts, "", parsePart),
		scalar("limit", "how much there is: 100/s burst 200, quota 10000 per month, window 100 per 1m; for the unit concurrency a number",
			amount, &l.single, "", l.amount),
		{
			name: "tiers", usage: "how much there is for each tier, instead of limit; or unlimited; default for all other tiers",
			names: "TIER", goodName: isLabel, form: amount, put: l.tier, canon: func() string { return fmt.Sprintf("%q", l.tiers) },
		},
		word("on_lost", "who answers while the holder of the key is lost", &l.OnLost, bucket.Share, bucket.Deny, bucket.Allow),
		word("durability", "what the death of the holder may forget: what the last 20 ms admitted, nothing or everything",
			&l.Durability, bucket.Async, bucket.Sync, bucket.Ephemeral),
		word("cold_start", "what a bucket holds whose state is lost for good", &l.ColdStart, bucket.Full, bucket.Empty),
		scalar("shadow", "decide, count and tell, and never refuse", form{kind: "bool", boolean: true}, &l.Shadow, "false", strict.YesNo),
		scalar("when", "condition in CEL; without it always", form{kind: "condition"}, &l.when, "", a.condition),
	}
	return table, func(at place) {
		if err := l.finish(); err != nil {
			a.failf(at, "limits.%s: %w", l.Name, err)
		}
	}
}

// amount reads how much there is.
func (l *Limit) amount(s string) (bucket.Limit, error) {
	text := s
	if l.Unit == Concurrency && s != "" && strings.Trim(s, "0123456789_") == "" {
		text = "concurrency " + strings.ReplaceAll(s, "_", "")
	}
	read, err := bucket.ParseLimit(text)
	switch {
	case err != nil:
		return read, err
	case l.Unit == Concurrency && read.Window != bucket.Concurrency:
		return read, errors.New("want how many requests at once, such as 20, because the unit is concurrency")
	case l.Unit != Concurrency && read.Window == bucket.Concurrency:
		return read, errors.New("want the unit concurrency with it")
	}
	return read, nil
}

// tier reads how much a tier has.
func (l *Limit) tier(name string, v value) error {
	var read bucket.Limit
	if !strings.EqualFold(v.text, unlimited) {
		var err error
		if read, err = l.amount(v.text); err != nil {
			return err
		}
	} else if name == defaultTier {
		return errors.New("want a limit: tiers that nobody thought of would be unlimited")
	}
	if l.tiers == nil {
		l.tiers = map[string]bucket.Limit{}
	}
	l.tiers[name] = read
	return nil
}

// The bounds of a key. With them no key is longer than a bucket takes.
const (
	maxParts = 8
	maxPlain = 48 // bytes of a part; of what is longer the hash is taken
)

// finish checks l, all of which was read.
func (l *Limit) finish() error {
	switch {
	case len(l.parts) > maxParts:
		return fmt.Errorf("key has %d parts, want at most %d", len(l.parts), maxParts)
	case l.tiers == nil && l.single == bucket.Limit{}:
		return errors.New("want limit or tiers")
	case l.tiers != nil && l.single != bucket.Limit{}:
		return errors.New("has both limit and tiers, want one")
	case l.tiers == nil:
		return nil
	}
	if l.other = l.others(); l.other == "" {
		return errors.New("all tiers are unlimited, want one that is not")
	}
	person := func(p part) bool { return p.what == identityID || p.what == identityTier }
	if !slices.ContainsFunc(l.parts, person) {
		l.parts = append(l.parts, part{what: grantedTier})
	}
	return nil
}

// defaultTier is the name in tiers that stands for all that have none there.
const defaultTier = "default"

// others returns the tier that answers for those that l.tiers does not name: default, or else the strictest.
func (l *Limit) others() string {
	if _, ok := l.tiers[defaultTier]; ok {
		return defaultTier
	}
	least := ""
	for _, name := range slices.Sorted(maps.Keys(l.tiers)) {
		if t := l.tiers[name]; t != (bucket.Limit{}) && (least == "" || stricter(t, l.tiers[least])) {
			least = name
		}
	}
	return least
}

// word returns the field of one of several values, the first of which is the default.
func word[T comparable](name, usage string, to *T, known ...T) field {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = wordOf(k)
	}
	choice := strict.Choice(words...)
	return scalar(name, usage, form{kind: "word", words: words}, to, words[0], func(s string) (T, error) {
		s, err := choice(s)
		if err != nil {
			return *to, err
		}
		return known[slices.Index(words, s)], nil
	})
}

// wordOf returns the word that policy files have for a value of package bucket or of this one.
func wordOf(v any) string {
	switch v {
	case bucket.Share:
		return "share"
	case bucket.Deny:
		return "deny"
	case bucket.Allow:
		return "allow"
	case bucket.Async:
		return "async"
	case bucket.Sync:
		return "sync"
	case bucket.Ephemeral:
		return "none"
	case bucket.Full:
		return "full"
	case bucket.Empty:
		return "empty"
	}
	return fmt.Sprint(v)
}
