// Package chaos breaks a fleet on purpose while clients ask it, and says whether a promise was broken.
//
// A Plan says how large the fleet is, which limits its keys have, how much is asked for, and which faults come when: nodes
// join, leave, are killed, restarted, frozen and cut off. Run carries it out on a Fleet, notes every request with the
// times at which it was called and had returned, and gives a Verdict: for each key the window that comes nearest to
// breaking its limit, with what the faults of that window may cost (rules.go has the table), and what became of the
// requests around each fault. A complaint about a limit is never wrong: only a request that was called and had returned
// inside a window counts as decided in it, and only one that was seen allowed counts as admitted.
//
// # Fleets
//
// Serve is a Fleet of noria serve processes. A service that embeds the limiter is broken the same way: it implements
// Fleet, six methods that start, end, freeze and ask one of its nodes, and where it can the interfaces Cutter, Locator and
// Settler beside it. The example shows one.
//
// Everything is bounded: how much is asked for and for how long, by the plan, and every wait. A Fleet's processes and
// networks are gone when its Close has returned.
package chaos
