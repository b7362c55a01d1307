// Package peer carries asks between the nodes of a cluster: it implements cluster.Transport over gRPC.
//
// A node opens one stream to each peer that it asks, on one connection, when it first asks. Asks wait in a bounded queue
// for the stream's writer, which takes whatever is queued into one message as soon as fewer than two messages are
// unanswered. Nobody waits for a timer, so that an ask on an idle stream goes out at once, and the more is asked at the
// same time the more each message carries, which is what makes it cheap: most of what a gRPC message costs does not
// depend on its size.
//
// Whatever the peer does, an ask is done at the latest when its Wait has passed, or its Most if that is more and the peer
// is heard of meanwhile, and a peer that is gone, frozen or overloaded costs its callers that at most once: from then on
// asks end at once until the peer is heard of again. Time in which this process stood still does not count, because the
// answers may have come in it, but for an ask that is never more than 250ms: so much after its Wait, or its Most if that
// is more, it is done by the real clock, once this process runs.
package peer
