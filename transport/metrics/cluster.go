package metrics

import (
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/transport/peer"
)

// whole is a gauge of a whole number.
func whole[N int | int64 | uint64](name, help string, of func(m *Moment) N) Metric {
	return gauge(name, help, func(m *Moment) float64 { return float64(of(m)) })
}

// count is a counter of a whole number.
func count(name, help string, of func(m *Moment) uint64) Metric {
	return counter(name, help, func(m *Moment) float64 { return float64(of(m)) })
}

// partitionsTable are the metrics of who holds what.
func partitionsTable() []Metric {
	return []Metric{
		whole("noria_ring_partitions", "Partitions of the whole ring, which all holders have between them.", func(m *Moment) int { return m.Stats.Ring }),
		whole("noria_partitions", "Partitions that the node holds.", func(m *Moment) int { return m.Node.Partitions }),
		whole("noria_partitions_wanted", "Partitions that the node should hold and does not yet.", func(m *Moment) int { return m.Node.Wanted }),
		gauges("noria_partitions_moving", "Partitions on their way: out to another node, or in from one that has promised them.", []string{"direction"}, func(m *Moment, put put) {
			put(float64(m.Stats.Partitions.Out), "out")
			put(float64(m.Stats.Partitions.In), "in")
		}),
		whole("noria_partitions_stale", "Partitions whose buckets the node has and does not decide on, as others may.", func(m *Moment) int { return m.Stats.Partitions.Stale }),
		whole("noria_partitions_without_replica", "Partitions that the node holds and whose heir has no whole replica yet; 0 where there is no other holder.", func(m *Moment) int { return m.Stats.Partitions.Exposed }),
		whole("noria_partitions_replicated", "Partitions of other holders of which the node keeps a replica.", func(m *Moment) int { return m.Stats.Partitions.Copies }),
		whole("noria_partition_term_max", "Highest term of a partition that the node holds: how many holders it has had.", func(m *Moment) uint64 { return uint64(m.Stats.Partitions.Term) }),
		counters("noria_handoffs_total", "Partitions handed over with their buckets, by where they went: out of this node or in.", []string{"direction"}, func(m *Moment, put put) {
			put(float64(m.Stats.Partitions.Moved[core.HandedOver]), "out")
			put(float64(m.Stats.Partitions.Moved[core.TakenIn]), "in")
		}),
		counters("noria_promotions_total", "Partitions that nobody held and this node started, by what they were started from: a replica, nothing where none was left, or new where nobody ever held them.", []string{"from"}, func(m *Moment, put put) {
			put(float64(m.Stats.Partitions.Moved[core.Promoted]), "replica")
			put(float64(m.Stats.Partitions.Moved[core.Cold]), "nothing")
			put(float64(m.Stats.Partitions.Moved[core.Founded]), "new")
		}),
		count("noria_partitions_yielded_total", "Partitions that the node gave up because another holder had a higher term, as after a cut.", func(m *Moment) uint64 { return m.Stats.Partitions.Moved[core.GivenUp] }),
		count("noria_claims_total", "Times that the node asked all members for partitions that it should hold.", func(m *Moment) uint64 { return m.Stats.Partitions.Claims }),
		count("noria_fenced_total", "Times that the node stopped deciding because more than half of the holders did not hear it.", func(m *Moment) uint64 { return m.Stats.Partitions.Fenced }),
		gauge("noria_replica_lag_seconds", "Age of the oldest change that an heir has not acknowledged, or how long the last one took.", func(m *Moment) float64 { return m.Stats.Partitions.Lag.Seconds() }),
	}
}

// bucketsTable are the metrics of what a node keeps in memory.
func bucketsTable() []Metric {
	return []Metric{
		whole("noria_keys", "Buckets in memory, of the partitions that the node holds. Full ones are dropped within half a minute.", func(m *Moment) int { return m.Node.Keys }),
		whole("noria_keys_max", "Most buckets that the node keeps, by --max-keys.", func(m *Moment) int { return m.Stats.MaxKeys }),
		whole("noria_replica_keys", "Buckets in memory that are replicas of what other nodes hold.", func(m *Moment) int { return m.Stats.Replicas.Keys }),
		count("noria_keys_swept_total", "Buckets dropped because they were full again, which forgets nothing.", func(m *Moment) uint64 { return m.Stats.Buckets.Swept }),
		count("noria_keys_evicted_total", "Buckets dropped because the node had as many as it may.", func(m *Moment) uint64 { return m.Stats.Buckets.Evicted }),
		count("noria_tokens_forgotten_total", "Tokens that evicted buckets owed: so many more may have been admitted than the limits allow.", func(m *Moment) uint64 { return m.Stats.Buckets.Forgotten }),
		whole("noria_reservations", "Reservations of keys that the node holds, neither settled nor over.", func(m *Moment) int { return m.Node.Reservations }),
		whole("noria_reservations_max", "Most reservations that the node keeps; those beyond are refused.", func(m *Moment) int { return m.Stats.MaxReservations }),
	}
}

// leasesTable are the metrics of tokens that were lent.
func leasesTable() []Metric {
	return []Metric{
		whole("noria_leases", "Leases that other nodes have of keys that this node holds: one for each node and key.", func(m *Moment) int { return m.Stats.Lent.Nodes }),
		whole("noria_lease_keys", "Keys that the node holds and has lent of.", func(m *Moment) int { return m.Stats.Lent.Keys }),
		whole("noria_lease_tokens", "Tokens that the node has lent to others, or set aside for them.", func(m *Moment) int64 { return m.Stats.Lent.Tokens }),
		whole("noria_borrowed_keys", "Keys of which other holders have lent tokens to this node.", func(m *Moment) int { return m.Stats.Borrowed.Keys }),
		whole("noria_borrowed_tokens", "Tokens that the node was lent and has not spent.", func(m *Moment) int64 { return m.Stats.Borrowed.Tokens }),
	}
}

// gossipTable are the metrics of who is in the cluster.
func gossipTable() []Metric {
	return []Metric{
		gauges("noria_members", "Members that the node knows, itself among them, by what they do: holder, gateway, or draining.", []string{"role"}, func(m *Moment, put put) {
			by := map[string]int{"holder": 0, "gateway": 0, "draining": 0}
			for _, one := range m.Node.Members {
				if one.Draining {
					by["draining"]++
				} else {
					by[string(one.Role)]++
				}
			}
			for _, role := range []string{"holder", "gateway", "draining"} {
				put(float64(by[role]), role)
			}
		}),
		whole("noria_gossip_health_score", "How badly gossip goes by this node's own judgement: 0 is well, 8 the worst.", func(m *Moment) int { return m.Stats.Gossip.Score }),
		count("noria_gossip_suspicions_total", "Times that the node began to suspect another member of being dead.", func(m *Moment) uint64 { return m.Stats.Gossip.Suspicions }),
		count("noria_gossip_refutations_total", "Times that the node had to tell others that it lives, as they suspected it.", func(m *Moment) uint64 { return m.Stats.Gossip.Refuted }),
		count("noria_gossip_deaths_total", "Times that the node, of itself, took another member for dead.", func(m *Moment) uint64 { return m.Stats.Gossip.Deaths }),
		count("noria_gossip_refused_total", "Times that the node heard of one that it does not let in: of another cluster, or of a version that it cannot speak with.", func(m *Moment) uint64 { return m.Stats.Gossip.Refused }),
	}
}

// peersTable are the metrics of the streams between nodes.
func peersTable() []Metric {
	labels := []string{"peer", "stream"}
	each := func(m *Moment, do func(l *peer.LinkStats, stream string)) {
		for i := range m.Peers.Peers {
			l, stream := &m.Peers.Peers[i], "checks"
			if l.Tells {
				stream = "moves"
			}
			do(l, stream)
		}
	}
	return []Metric{
		gauges("noria_peer_up", "1 while the stream to a peer is open, or was not needed yet; by stream: checks, or moves for partitions and replicas.", labels, func(m *Moment, put put) {
			each(m, func(l *peer.LinkStats, stream string) {
				put(truth(l.State == "open" || l.State == "idle" || l.State == "opening"), string(l.ID), stream)
			})
		}),
		gauges("noria_peer_silent", "1 while checks end at once because the peer owes older answers.", labels, func(m *Moment, put put) {
			each(m, func(l *peer.LinkStats, stream string) { put(truth(l.Silent), string(l.ID), stream) })
		}),
		gauges("noria_peer_queue_length", "Asks that wait to be sent to the peer.", labels, func(m *Moment, put put) {
			each(m, func(l *peer.LinkStats, stream string) { put(float64(l.Queue), string(l.ID), stream) })
		}),
		whole("noria_peer_queue_max", "Most asks that wait to be sent to one peer; those beyond are answered degraded at once.", func(m *Moment) int { return m.Peers.MaxQueue }),
		histograms("noria_peer_round_trip_seconds", "Time from when a batch of asks was sent to the peer until all of them were answered.", labels, func(m *Moment, put sizes) {
			each(m, func(l *peer.LinkStats, stream string) { put(l.Trips, string(l.ID), stream) })
		}),
		histograms("noria_peer_batch_asks", "Asks that share one message to the peer.", labels, func(m *Moment, put sizes) {
			each(m, func(l *peer.LinkStats, stream string) { put(l.Batches, string(l.ID), stream) })
		}),
		counters("noria_peer_asks_total", "Asks to all peers, by what came of them: sent, and of those or instead of that failed, full where the queue was, expired without an answer in time, late where the answer came after that.", []string{"result"}, func(m *Moment, put put) {
			put(float64(m.Peers.Asks), "sent")
			put(float64(m.Peers.Failed), "failed")
			put(float64(m.Peers.Full), "full")
			put(float64(m.Peers.Expired), "expired")
			put(float64(m.Peers.Late), "late")
		}),
		count("noria_peer_streams_opened_total", "Streams that the node opened to peers, the first and each that replaced a broken one.", func(m *Moment) uint64 { return m.Peers.Opened }),
		whole("noria_peer_streams", "Streams that peers have open to this node.", func(m *Moment) int { return m.Peers.Streams }),
		count("noria_peer_refused_total", "Connections and streams of peers that were turned away.", func(m *Moment) uint64 { return m.Peers.Refused }),
		count("noria_peer_asks_answered_total", "Asks of peers that the node has answered.", func(m *Moment) uint64 { return m.Peers.AsksAnswered }),
		count("noria_peer_asks_invalid_total", "Asks of peers that could not be read.", func(m *Moment) uint64 { return m.Peers.Invalid }),
	}
}
