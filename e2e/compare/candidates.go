package main

import "context"

// The names of candidates that targets speak of.
const (
	storeTake  = "Noria: bucket.Store.Take"
	storeTold  = "Noria: bucket.Store.Take, told the time"
	nodeCheck  = "Noria: Node.Check, key held here"
	rateMutex  = "x/time/rate in a mutex map"
	rateMap    = "x/time/rate in sync.Map"
	goLimiter  = "sethvargo/go-limiter memorystore"
	rateBare   = "x/time/rate, one bare limiter"
	throttledG = "throttled memstore (GCRA)"
	jujuMutex  = "juju/ratelimit in a mutex map"
	ululeStore = "ulule/limiter memory (fixed window)"
	tollboothC = "didip/tollbooth"
)

// A candidate is a way to decide on checks inside the process.
type candidate struct {
	name string

	// one says that it limits one key alone.
	one bool

	// open returns a limiter that enforces l and does not outlive ctx.
	open func(ctx context.Context, l limit) (limiter, error)
}

// A limiter is an open candidate.
type limiter struct {
	// asker returns a function, for one goroutine, that asks about a key and says whether the request was allowed.
	asker func() func(key string) bool

	// close ends what the limiter runs in the background; nil if it runs nothing.
	close func()
}

// shut ends l.
func (l limiter) shut() {
	if l.close != nil {
		l.close()
	}
}

// shared returns a limiter whose goroutines all ask by the same function.
func shared(ask func(key string) bool) limiter {
	return limiter{asker: func() func(string) bool { return ask }}
}

// candidates returns all that are compared.
func candidates() []candidate {
	return []candidate{
		{name: storeTake, open: openStore},
		{name: storeTold, open: openToldStore},
		{name: nodeCheck, open: openNode},
		{name: rateBare, one: true, open: openRate},
		{name: rateMutex, open: openRateMutex},
		{name: rateMap, open: openRateMap},
		{name: goLimiter, open: openGoLimiter},
		{name: throttledG, open: openThrottled},
		{name: jujuMutex, open: openJuju},
		{name: ululeStore, open: openUlule},
		{name: tollboothC, open: openTollbooth},
	}
}
