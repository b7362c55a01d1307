package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// benchPair returns two cores that are a cluster, a of which holds half of the partitions and b the other half.
func benchPair(b *testing.B, partitions int) (cores [2]*Core) {
	b.Helper()
	builder, err := ring.NewBuilder(ring.Params{Partitions: partitions})
	if err != nil {
		b.Fatal(err)
	}
	ids := []ring.Member{"a", "b"}
	table, err := builder.Table(ids)
	if err != nil {
		b.Fatal(err)
	}
	v := View{Members: []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1}}, Table: table}
	for i, id := range ids {
		var stores [2]*bucket.Store
		for k := range stores {
			if stores[k], err = bucket.NewStore(bucket.StoreConfig{Partitions: partitions}); err != nil {
				b.Fatal(err)
			}
		}
		if cores[i], err = New(Config{Self: id, Boot: 1, Founder: true, Store: stores[0], Replicas: stores[1], Partitions: partitions}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range cores {
		w := v
		if w.Heirs, err = builder.Table(ids[1-i : 2-i]); err != nil {
			b.Fatal(err)
		}
		cores[i].View(1, w)
	}
	for i := range 50 { // claims, handoffs and first replicas
		now := bucket.Instant(i) * bucket.Instant(cores[0].Config.Tick)
		cores[0].Tick(now)
		cores[1].Tick(now)
		exchange(b, cores, now)
	}
	return cores
}

// exchange takes what both cores want to say to the other one, and the answers back.
func exchange(b *testing.B, cores [2]*Core, now bucket.Instant) (messages, bytes int) {
	for i, c := range cores {
		for _, o := range c.Outbox() {
			wire := o.Msg.Append(nil)
			msg, err := ReadMessage(wire)
			if err != nil {
				b.Fatal(err)
			}
			back := cores[1-i].Tell(now, c.Self, msg).Append(nil)
			r, err := ReadReply(back)
			if err != nil {
				b.Fatal(err)
			}
			c.Done(now, o, r)
			messages++
			bytes += len(wire) + len(back)
		}
	}
	return messages, bytes
}

// What it costs both nodes that a changed bucket becomes a replica: a tick's worth of changes, from the holder's memory to
// the heir's.
func BenchmarkReplicate(b *testing.B) {
	for _, keys := range []int{1, 100, 2000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			cores := benchPair(b, 1<<14)
			a := cores[0]
			l := bucket.Limit{Tokens: 100, Per: time.Second, Burst: 1_000_000}
			var requests []bucket.Request
			var parts []int
			for i := 0; len(requests) < keys; i++ {
				r := bucket.Request{Key: fmt.Sprintf("tenant/%017d", i), Limit: l, Cost: 1}
				if p := ring.Partition(ring.Hash(r.Key) & (1<<14 - 1)); a.Holds(p) {
					requests, parts = append(requests, r), append(parts, int(p))
				}
			}
			b.ReportAllocs()
			now, sent := bucket.Instant(time.Second), 0
			for b.Loop() {
				b.StopTimer()
				now += bucket.Instant(a.Config.Tick)
				for i := range requests {
					if _, err := a.Store.Take(now, parts[i], &requests[i]); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				a.Tick(now)
				cores[1].Tick(now)
				_, bytes := exchange(b, cores, now)
				sent += bytes
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(keys), "ns/change")
			b.ReportMetric(float64(sent)/float64(b.N)/float64(keys), "B/change")
		})
	}
}
