package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// reports returns what all members say, asked by n.
func reports(t *testing.T, n *cluster.Node, q cluster.Question) []cluster.Report {
	t.Helper()
	all, err := n.Reports(context.Background(), func(ring.Member) cluster.Question { return q })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Each partition is held by one member by their own word, whoever asks them, and their numbers are those of all checks.
func TestReports(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, clustertest.Setup{Config: func(c *cluster.Config) {
			c.Version = "v-" + c.Name
			if strings.HasPrefix(c.Name, "g") {
				c.Role = cluster.RoleGateway
			}
		}}, "a", "b", "c", "g")
		const checks = 300
		for i := range checks {
			for _, name := range []string{"b", "g"} {
				if _, err := c.Node(name).Check(context.Background(), bucket.Request{Key: fmt.Sprint("user:", i), Limit: limit(t, "1/h"), Cost: 1}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, asked := range c.Names() {
			all := reports(t, c.Node(asked), cluster.Question{Holds: true})
			held, allowed, denied := 0, uint64(0), uint64(0)
			var once []byte
			for _, r := range all {
				if r.Err != "" || r.Version != "v-"+string(r.Node) || !r.Ready {
					t.Errorf("%s says of %s: version %q, ready %v, error %q", asked, r.Node, r.Version, r.Ready, r.Err)
				}
				if once == nil {
					once = make([]byte, 256)
				}
				for i, b := range r.Holds {
					if once[i]&b != 0 {
						t.Errorf("%s is told that partitions are held twice", asked)
					}
					once[i] |= b
					held += bits.OnesCount8(b)
				}
				a, d, _ := r.Decisions.Sum()
				allowed, denied = allowed+a, denied+d
			}
			if _, targets := c.Node(asked).Targets(); len(all) != 4 || held != len(targets) {
				t.Errorf("%s is told by %d members that %d of %d partitions are held", asked, len(all), held, len(targets))
			}
			if allowed != checks || denied != checks {
				t.Errorf("%s is told of %d checks allowed and %d denied, want %d of both", asked, allowed, denied, checks)
			}
		}
	})
}

// Who is gone and not missed yet is in the reports, with what is wrong, half a second later at the latest.
func TestReportOfTheDead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		c.Cut("c")
		began := time.Now()
		all := reports(t, c.Node("a"), cluster.Question{})
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if len(all) != 3 || all[0].Err != "" || all[1].Err != "" || all[2].Err == "" || !all[2].Silent || all[2].Node != "c" {
			t.Errorf("reports: %+v, want all but of c", all)
		}
	})
}

// A node tells who came, left, died and came back, and what became of the partitions, so that all of them are accounted for.
func TestEvents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		c.Add("c")
		time.Sleep(3 * time.Second)
		c.Leave("b")
		c.Settle()
		time.Sleep(3 * time.Second)
		c.Kill("c")
		c.Settle()
		time.Sleep(3 * time.Second)
		c.Add("c")
		time.Sleep(3 * time.Second)

		var membership []string
		counts := map[cluster.EventKind]int{}
		last := uint64(0)
		for _, e := range c.Node("a").Events() {
			if e.Seq != last+1 || e.Node != "a" || e.At.IsZero() {
				t.Errorf("event %+v after number %d", e, last)
			}
			last = e.Seq
			counts[e.Kind] += e.Partitions
			if e.Kind.IsMembership() {
				membership = append(membership, string(e.Kind)+" "+string(e.Member))
			}
		}
		want := "joined a, joined b, joined c, draining b, left b, dead c, back c"
		if got := strings.Join(membership, ", "); got != want {
			t.Errorf("a says: %s\nwant:   %s", got, want)
		}
		members, targets := c.Node("a").Targets()
		mine := 0
		for _, at := range targets {
			if members[at] == "a" {
				mine++
			}
		}
		came := counts[cluster.EventFounded] + counts[cluster.EventTakenIn] + counts[cluster.EventPromoted] + counts[cluster.EventCold]
		went := counts[cluster.EventHandedOver] + counts[cluster.EventGivenUp] + counts[cluster.EventFenced]
		if came-went != mine || counts[cluster.EventPromoted] == 0 || counts[cluster.EventTakenIn] == 0 || counts[cluster.EventHandedOver] == 0 || counts[cluster.EventCold] != 0 {
			t.Errorf("a holds %d partitions, and says: %v", mine, counts)
		}
	})
}

// Who follows too slowly is told how much was lost, and holds up nobody; what a follower has seen is not told again.
func TestFollowSlowly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		time.Sleep(time.Second)
		a := c.Node("a")
		f := a.Follow(1)
		first, lost, err := f.Next(context.Background())
		if err != nil || lost != 0 || first.Kind == "" {
			t.Fatalf("Next: %+v, %d lost, %v", first, lost, err)
		}
		for i := range uint64(1500) { // each is heard of by a view of its own
			a.AddEvent(cluster.Event{Kind: cluster.EventPolicy, Policy: fmt.Sprint(i)})
		}
		second, lost, err := f.Next(context.Background())
		if err != nil || lost != 1500-1024 || second.Seq != first.Seq+uint64(lost)+1 {
			t.Errorf("after 1500 more events Next: %+v, %d lost, %v, want 476 lost", second, lost, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, _, err := a.Follow(0).Next(ctx); err == nil {
			t.Error("Follow(0) tells of what was before")
		}
	})
}

// What is known of a key: who holds it, how full it is, and each decision since somebody looks, wherever it was asked for.
func TestKeyReport(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		const key = "tenant:42"
		for _, r := range reports(t, c.Node("a"), cluster.Question{Key: key}) {
			if r.Key == nil || r.Key.Bucket != nil || len(r.Key.Seen) != 0 {
				t.Errorf("%s knows of a key that nobody asked for: %+v", r.Node, r.Key)
			}
		}
		if got := c.Spend(key, limit(t, "quota 10"), 12); got != 10 {
			t.Fatalf("%d of 10 spent", got)
		}
		holder, seen, denials := 0, 0, 0
		for _, r := range reports(t, c.Node("a"), cluster.Question{Key: key}) {
			if r.Key.Holds {
				holder++
				if b := r.Key.Bucket; b == nil || b.Limit != "quota 10" || b.Level != 0 || b.Burst != 10 {
					t.Errorf("the holder says of the bucket %+v", b)
				}
				if string(r.Node) != c.Holder(key) || r.Key.Holder != r.Node {
					t.Errorf("%s says that it holds the key, and that %s does, want %s", r.Node, r.Key.Holder, c.Holder(key))
				}
			}
			for i, s := range r.Key.Seen {
				if s.Limit != "quota 10" || s.Cost != 1 || s.By != c.Holder(key) || s.Seq != uint64(i+1) {
					t.Errorf("%s says of a decision %+v", r.Node, s)
				}
			}
			seen += len(r.Key.Seen)
			if r.Key.Denial != nil {
				denials++
			}
		}
		if holder != 1 || seen != 12 || denials == 0 {
			t.Errorf("%d holders, %d decisions seen, want 1 and 12; %d remember a denial", holder, seen, denials)
		}
		time.Sleep(20 * time.Second)
		c.Spend(key, limit(t, "quota 10"), 3)
		for _, r := range reports(t, c.Node("a"), cluster.Question{Key: key}) {
			if len(r.Key.Seen) != 0 {
				t.Errorf("%s kept decisions long after somebody looked", r.Node)
			}
		}
	})
}

// The hottest keys of a fleet are found whoever answers for them: the holder, a lease or a denial that is remembered.
func TestHotKeys(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		ctx := context.Background()
		lent, denied := bucket.Request{Key: "lent", Limit: limit(t, "100000/s"), Cost: 1}, bucket.Request{Key: "denied", Limit: limit(t, "quota 1"), Cost: 1}
		for i := range 250 { // 20 ms each
			for _, name := range c.Names() {
				for range 10 {
					if _, err := c.Node(name).Check(ctx, lent); err != nil {
						t.Fatal(err)
					}
				}
				for range 5 {
					if _, err := c.Node(name).Check(ctx, denied); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := c.Node(name).Check(ctx, bucket.Request{Key: fmt.Sprint("cold", i), Limit: lent.Limit, Cost: 1}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		rates := map[string]float64{}
		for _, r := range reports(t, c.Node("a"), cluster.Question{Hot: 50}) {
			for _, h := range r.Hot {
				rates[h.Key] += h.Rate
			}
		}
		for key, want := range map[string]float64{"lent": 1500, "denied": 750} {
			if got := rates[key]; got < want*0.6 || got > want*1.4 {
				t.Errorf("%s is asked for %.0f times a second, by the sketches %.0f", key, want, got)
			}
		}
		for key, rate := range rates {
			if strings.HasPrefix(key, "cold") && rate > 100 {
				t.Errorf("%s was asked for three times, by the sketches %.0f times a second", key, rate)
			}
		}
	})
}

// A question that is none is refused, and a report has room in an answer however long the hot keys are.
func TestReportBounds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		a := c.Node("a")
		asks := []cluster.Ask{{Op: cluster.OpReport, Body: []byte("tell me")}}
		a.Answer("b", asks)
		if asks[0].Answer.Status != cluster.Invalid || !strings.Contains(asks[0].Answer.Reason, "not JSON") {
			t.Errorf("answer to nonsense: %+v", asks[0].Answer)
		}
		for range 2 {
			for i := range 100 {
				for range 130 {
					key := fmt.Sprintf("%03d%s", i, strings.Repeat("\x01", 509)) // six bytes each in JSON
					if _, err := a.Check(context.Background(), bucket.Request{Key: key, Limit: limit(t, "1000/s"), Cost: 1}); err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(2 * time.Second)
		}
		body, err := json.Marshal(cluster.Question{Hot: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		asks = []cluster.Ask{{Op: cluster.OpReport, Body: body}}
		a.Answer("b", asks)
		var r cluster.Report
		if err := json.Unmarshal(asks[0].Answer.Body, &r); err != nil || len(asks[0].Answer.Body) > cluster.MaxBody || len(r.Hot) < 20 {
			t.Errorf("a report of %d bytes with %d hot keys: %v, %s", len(asks[0].Answer.Body), len(r.Hot), err, asks[0].Answer.Reason)
		}
	})
}
