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
// Take the ideal bucket, which knows time exactly and is charged with what this one admits. Let X* be the tick at which
// it will be full, times n (GCRA's theoretical arrival time): at t it owes X* - n*t units, or 0 if that is negative, and
// an admission of c tokens makes X* the larger of X* and n*t, plus c*p. Say it has room for every admission, that is,
// owes at most B*p after it. Let i be the first admission from t0 to t1 and j the last. If they are one, A <= B. If not,
// X* >= n*ti + c*p after i and every one after i adds its cost, so before j X* >= n*ti + p*(A-cj). There was room for j:
// X* + p*cj <= n*tj + p*B. Both together: p*A <= n*(tj-ti) + p*B, which is the claim.
//
// It remains to show that there is room, and for that it is enough that this bucket never reads less debt than the ideal
// one owes. It keeps debt and a tick, at; let X be debt + n*at.
//
// With ticks of a nanosecond it reads X - n*t, or 0, and X does what X* does, so both are the same.
//
// With coarser ticks t lies between two of them, floor(t) and ceil(t):
//
//   - It reads X - n*floor(t) and makes X the larger of X and n*ceil(t), plus the cost: debt is read as of an earlier time
//     and charged as of a later one, so X >= X* stays true and it reads no less than X* - n*t.
//   - Where it was full at floor(t) already, at is set to ceil(t), and until then debt is read as it is. Both buckets were
//     full at floor(t), and debt is the sum of what was taken since, so the ideal one does not owe more. That makes a full
//     bucket admit exactly B at once.
//
// It never admits much less either. The charge is late by less than a tick, and as long as the bucket is not full that
// lateness stays and does not grow, so X < X* + n for good; the reading is late by less than a tick once more. So what
// the ideal bucket has room for at t, this one admits two ticks later, after a century as on the first day.
//
// An Instant before the last admission's counts as that one's, or as less.
//
// # Queue
//
// A queue of Q tokens raises the line to (B+Q)*p, and delays an admission after which more than B*p is owed until the
// first tick e at which that is no longer so; e is the time at which it counts. The proof above holds at these times if X
// grows as at e: X becomes the larger of X and n*e, plus the cost. That differs from X alone by less than n, where the
// bucket is full just before e and loses what it would gain until e.
//
// # Refund
//
// To give a Take back is to go on as if it had never been. Without it the bucket would owe less by the units taken, but
// never less than nothing: whenever it owed less than these since, it would have been full, and the refill after that was
// lost to it. So what is still missing of the units is at most the least that the bucket owed since the Take. Refund knows
// a lower bound of that: what was owed after the Take, less all refill and all other refunds since. It gives back no more.
// Every other admission was made while the bucket owed at least what it would have owed without the Take, so the claim
// holds for those that remain. In a queue the bound counts until the last e, which those behind have been told.
//
// # Time
//
// Nothing here reads a clock: whoever calls says what time it is, as an Instant.
package bucket
