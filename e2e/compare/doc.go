// Command compare measures Noria beside the rate limiters that people would pick instead, all in one run.
//
//	cd e2e/compare && go run .            # some minutes; writes results.md and results.json
//	cd e2e/compare && go run . -quick     # does it still run? its figures mean nothing
//
// It is a module of its own, so that nobody who uses Noria downloads the others. Rounds go through all candidates, each
// in another order, so that a machine that is slower for a while is slower for all of them; what is compared are figures
// of the same round. A target is met or missed by the median of its ratio over the rounds.
//
// Redis is the one thing it does not bring: it runs a redis-server that it finds on the PATH, or, as root on Debian,
// installs one. Without one those rows are missing and the results say why.
//
// It needs a Unix. The processor time of other processes is read from /proc, so on anything but Linux it counts the
// tool's own alone and says so.
package main
