package api

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/noriahq/noria/bucket"
)

// Limits are remembered, up to a bound, whoever asks; bad ones are not.
func TestLimits(t *testing.T) {
	ls := newLimits()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 3 * maxLimits {
				text := fmt.Sprintf("%d/s", i+1)
				got, err := ls.parse(single, text)
				if err != nil || got.text != text || got.limit.Tokens != int64(i+1) {
					t.Errorf("parse(%q) = %+v, %v", text, got, err)
				}
				if got, err := ls.valid(single, got.limit); err != nil || got.text != text {
					t.Errorf("valid(%q) = %+v, %v", text, got, err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := ls.parse(single, " 60 / 60s  BURST 60 "); err != nil || got.text != "60/m" {
		t.Errorf("parse of another spelling = %+v, %v, want 60/m", got, err)
	}
	before := len(ls.texts)
	if _, err := ls.parse(place(3), "x"); !errors.Is(err, bucket.ErrLimit) || len(ls.texts) != before {
		t.Errorf("parse of nonsense: %v, %d limits remembered, want %v and %d", err, len(ls.texts), bucket.ErrLimit, before)
	}
	if len(ls.texts) > maxLimits || len(ls.specs) > maxLimits {
		t.Errorf("%d and %d limits remembered, want at most %d", len(ls.texts), len(ls.specs), maxLimits)
	}
}
