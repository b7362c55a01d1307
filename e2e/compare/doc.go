// Command compare measures Noria beside the rate limiters that people would pick instead, all in one run.
//
//	cd e2e/compare && go run .                    # a quarter of an hour; writes results.md, results.json and plots
//	cd e2e/compare && go run . -quick             # does it still run? its figures mean nothing
//	cd e2e/compare && go run . -only Redis        # some services alone
//
// It is a module of its own, so that nobody who uses Noria downloads the others. Rounds go through all candidates, each
// in another order, so that a machine that is slower for a while is slower for all of them; what is compared are figures
// of the same round. A target is met or missed by the median of its ratio over the rounds.
//
// There are three kinds of figures: of checks inside the process, of whole services that are asked over loopback, and of
// what grows with keys and nodes. A service is real processes, which are started for their part of each round and then
// ended; the tool runs itself once more for those that it brings, and builds noria and the daemon of Gubernator, whose
// module is in the folder gubernator, for the others. Callers are the same code for all. Those of Node.Check run in the
// processes of the nodes, where a gateway or a service that embeds Noria has them too.
//
// First of all it measures what grows. Keys grow for a quarter of the time at most, and with the most of them a process is filled as
// that of a node in a fleet, with replicas: what garbage collections and growing tables stop there. Ctrl-C ends a run after the rounds that there
// have been.
//
// Redis is the one thing it does not bring: it runs a redis-server that it finds on the PATH, or, as root on Debian,
// installs one. What is not to be had is left out and the results say why.
//
// It needs a Unix. The processor time of other processes is read from /proc, so on anything but Linux it counts the
// tool's own alone and says so.
package main
