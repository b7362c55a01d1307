// Package peer carries asks between the nodes of a cluster: it implements cluster.Transport over gRPC.
//
// A node opens one stream to each peer that it asks, on one connection, when it first asks. Asks wait in a bounded queue
// for the stream's writer, which takes whatever is queued into one message as soon as fewer than two messages are
// unanswered. Nobody waits for a timer, so that an ask on an idle stream goes out at once, and the more is asked at the
// same time the more each message carries, which is what makes it cheap: most of what a gRPC message costs does not
// depend on its size.
//
// Two nodes that ask each other have a stream for each way, and so four messages where one stream with asks and answers in
// the same messages would need two. Such a stream was built and measured, with 3 nodes on 2 processors and 64 callers in
// them: a batch and its answers then took 1.15 system calls to write in place of 2.05, and 2.2 to read in place of 4.05, yet
// a check only a tenth less processor time (15.2us in place of 16.7us, the medians of nine runs each). Most of what a batch
// costs there is that a process sleeps and is woken for it: threads were switched 1.8 times a batch in both. For that tenth
// answers would wait behind asks that wait at their holder, and two nodes would have to agree on whose stream they keep.
//
// How much two processes cost shows a bare stream on which 64 callers share messages and nothing else is done, on 2
// processors: with both ends in one process 297,000 asks/s and 3.2us of processor time each, with two processes 172,000/s
// and 5.9us, and with two of GOMAXPROCS=1 287,000/s and 3.5us (medians of five runs; e2e/compare shows the second beside a
// forwarded check). So where processes share processors nearly half of the wire is threads that the Go scheduler wakes
// where a goroutine hands over to another one, with gRPC three times a batch at each end. One goroutine that reads and
// writes in place of two, and callers that are woken after a whole batch is decoded, made no difference beyond the noise.
// A forwarded check takes some 13us there: 4.5us are this wire, 2.8us its bucket's replica at both nodes, 2.5us its caller,
// 1.2us each the decision and the codec. With 3 nodes in 3 processes it is 8 asks that share a message, since that many of
// the callers wait for the same peer, and the wire is nearly half of it.
//
// Whatever the peer does, an ask is done at the latest when its Wait has passed, or its Most if that is more and the peer
// is heard of meanwhile, and a peer that is gone, frozen or overloaded costs its callers that at most once: from then on
// asks end at once until the peer is heard of again. Time in which this process stood still does not count, because the
// answers may have come in it, but for an ask that is never more than 250ms: so much after its Wait, or its Most if that
// is more, it is done by the real clock, once this process runs.
package peer
