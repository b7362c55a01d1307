// Package bucket decides: it holds token buckets in memory and says whether a request may take tokens from one.
//
// # Arithmetic
//
// A bucket is the generic cell rate algorithm (ITU-T I.371) in exact integers. A limit adds Tokens every Per; counted in
// ticks of some nanoseconds, that rate in lowest terms is n/p tokens a tick. One unit is 1/p of a token, so each tick
// pays back exactly n units and a request of c tokens costs exactly c*p units: refill, cost and comparison are integer
// additions, and nothing is ever rounded. The state is one amount, the debt: the units that the bucket misses to be full,
// as of some tick. The tick is a nanosecond, or for slow limits with a large burst the first of a microsecond, a
// millisecond or a second in which a drained bucket's debt fits 61 bits; Validate refuses limits that fit in none.
//
// # Why it never admits more
//
// Claim: a bucket with the rate r = n/p and the burst B admits A <= B + r*(t1-t0) tokens from t0 to t1, whatever t0 and
// t1 are.
//
// Let X be the tick at which the bucket will be full, times n (GCRA's theoretical arrival time): the debt, plus n times
// the tick as of which it is kept. At a tick t the bucket owes X - n*t, or nothing if that is negative. Times below are
// in ticks. For an admission of c tokens at t
//
//	(1)  X before it  <=  n*t + p*B - p*c   there was room
//	(2)  X after it   >=  n*t + p*c         refill before t is not kept
//
// and every admission makes X larger by p*c at least. Let i be the first admission from t0 to t1 and j the last. If they
// are one, A = c <= B. If not, X grows from (2) at i to (1) at j by all that is admitted between them, which is A - ci -
// cj: n*ti + p*ci + p*(A-ci-cj) <= n*tj + p*B - p*cj. So p*A <= p*B + n*(tj-ti), which is the claim.
//
// With ticks of a nanosecond (1) is the condition for an admission, and (2) is what it does: X becomes the larger of X
// and n*t, plus p*c. With coarser ticks t lies between two, floor(t) and ceil(t). The condition takes the first, and the
// admission makes X the larger of X and n*ceil(t), plus p*c, so (1) and (2) are true all the more.
//
// That alone would deny a full bucket's last token until the next tick. So where it was full at floor(t) already, the debt
// is kept as of ceil(t), and for the rest of the tick is read as it is. What is admitted in that tick counts as one
// admission: it is B at most, X was n*floor(t) or less before it, and n*ceil(t) and the costs after it. Any part of a tick
// that t0 or t1 cuts off only makes A smaller.
//
// It never admits much less either. X is n too large at most: it is charged late by less than a tick, and that lateness
// stays but does not grow until the bucket is full again. Debt is read late by less than a tick once more. So what an
// ideal bucket, with exact time, has room for at t, this one admits less than two ticks later, and that is so after a
// century as on the first day. Ticks of a nanosecond are exact.
//
// An Instant before the last admission counts as that one, or as itself.
//
// # Queue
//
// A queue of Q tokens raises the line to (B+Q)*p, and delays an admission after which more than B*p is owed until e, the
// first tick at which that is not so any more. It counts as admitted at e, where (1) is true. For (2) X becomes the larger
// of X and n*e, plus p*c: what a bucket gains between being full and e it does not keep.
//
// # Refund
//
// To give a Take back is to go on as if it had never been. Without it X would be less by the units taken, but never less
// than n*t at any t since, and less than n*e never where somebody has been told the turn e since: the bucket would have
// been full. So what a Refund may give is the units, or if that is less, X - n*t at the t for which that is least. Refund
// knows a lower bound of that: X after the Take, less what other refunds gave since, less n times the last t or e. It
// gives no more than that. So X stays at or above what it would be without the Take, the other admissions had room without
// it too, and the claim holds for those that remain.
//
// # Reservations
//
// A reservation is a Take of which it is said later what it came to, c tokens or less mostly. To settle it is to go on as if it
// had asked for that at first: it is a Refund of the rest, minutes later, on a bucket that others are given back of meanwhile.
// For that the bound above, which takes all other refunds off, would leave nothing. So for keys with reservations the least debt
// is kept between each of them and the next, less what those before it were given back since: what comes back is the rest, or the
// least of these since it was made, if that is less. That is no bound but exactly what the bucket would owe less.
//
// What is reserved under a limit of Concurrency is in no bucket: it is the sum of the reservations that live. Copies of these are
// merged to their union, in which what has ended in one has ended, so none is lost and none stays for good.
//
// # Time
//
// Nothing here reads a clock: whoever calls says what time it is, as an Instant.
package bucket
