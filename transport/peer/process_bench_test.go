package peer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster"
)

// serveVar makes the test binary be the peer of a benchmark, in a process of its own.
const serveVar = "NORIA_PEER_BENCH"

func TestMain(m *testing.M) {
	if os.Getenv(serveVar) != "" {
		if err := servePeer(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// servePeer allows everything, and says where, and at each line of in how much processor time it has used.
func servePeer(in io.Reader, out io.Writer) error {
	t, err := New(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	addr, err := t.Listen()
	if err != nil {
		return err
	}
	go t.Serve(context.Background(), cluster.Hello{Protocol: cluster.Protocol, ID: "b"}, yes{})
	fmt.Fprintln(out, addr)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		fmt.Fprintln(out, int64(cpu()))
	}
	return t.Close()
}

// other is the process of servePeer.
type other struct {
	addr string
	in   io.Writer
	out  *bufio.Reader
}

func startOther(b *testing.B) *other {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), serveVar+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	o := &other{in: in, out: bufio.NewReader(out)}
	if _, err := fmt.Fscanln(o.out, &o.addr); err != nil {
		b.Fatal(err)
	}
	return o
}

// cpu returns the processor time that o has used.
func (o *other) cpu(b *testing.B) time.Duration {
	var d time.Duration
	fmt.Fprintln(o.in)
	if _, err := fmt.Fscanln(o.out, &d); err != nil {
		b.Fatal(err)
	}
	return d
}

// joined returns a node and its way to o.
func joined(b *testing.B, o *other) (*Transport, cluster.Peer) {
	b.Helper()
	t, err := New(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := t.Listen(); err != nil {
		b.Fatal(err)
	}
	go t.Serve(context.Background(), cluster.Hello{Protocol: cluster.Protocol, ID: "a"}, yes{})
	b.Cleanup(func() { t.Close() })
	p := t.Peer("b", o.addr)
	askAndWait(b, p, benchAsk(0))
	return t, p
}

// BenchmarkPeer with the peer in another process, which is what it is for: both then sleep and are woken. The processor
// time is that of both.
func BenchmarkPeerProcesses(b *testing.B) {
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := startOther(b)
			t, p := joined(b, o)
			before, spent, start := t.Stats(), o.cpu(b), cpu()
			callers(b, n, func(i int) func() {
				a := benchAsk(i)
				return func() { askAndWait(b, p, a) }
			})
			all := cpu() - start + o.cpu(b) - spent
			s := t.Stats()
			b.ReportMetric(float64(s.Asks-before.Asks)/float64(s.Batches-before.Batches), "asks/batch")
			b.ReportMetric(float64(all)/float64(b.N)/1000, "cpu-us/op")
		})
	}
}

// How long checks by 8 callers take, by themselves and while the peer is told the largest bodies all the time.
func BenchmarkChecksBesideTells(b *testing.B) {
	for _, tellers := range []int{0, 1, 8} {
		b.Run(fmt.Sprint(tellers), func(b *testing.B) {
			_, p := joined(b, startOther(b))
			var running sync.WaitGroup
			var told atomic.Int64
			done := make(chan struct{})
			for range tellers {
				running.Go(func() { told.Add(tellUntil(b, p, done)) })
			}
			took := make([][]time.Duration, 8)
			callers(b, len(took), func(i int) func() {
				a := benchAsk(i)
				return func() {
					start := time.Now()
					askAndWait(b, p, a)
					took[i] = append(took[i], time.Since(start))
				}
			})
			seconds := b.Elapsed().Seconds()
			close(done)
			running.Wait()
			all := slices.Sorted(slices.Values(slices.Concat(took...)))
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
			b.ReportMetric(float64(told.Load())*cluster.MaxBody/(1<<20)/seconds, "MiB/s")
		})
	}
}

// tellUntil tells p the largest bodies until done is closed, and returns how many.
func tellUntil(b *testing.B, p cluster.Peer, done <-chan struct{}) (n int64) {
	a := cluster.NewAsk()
	a.Op, a.Wait, a.Body = cluster.OpTell, 10*time.Second, make([]byte, cluster.MaxBody)
	for {
		select {
		case <-done:
			return n
		default:
		}
		p.Ask(a)
		if <-a.Finished(); a.Err != nil {
			b.Error(a.Err)
			return n
		}
		n++
	}
}
