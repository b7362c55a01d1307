package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The bare services answer the asks that are made for them.
func TestBare(t *testing.T) {
	stdin, end := io.Pipe()
	out, stdout := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- serveBare(stdin, stdout) }()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var addrs bareAddrs
	if err := json.Unmarshal(line, &addrs); err != nil {
		t.Fatal(err)
	}
	ways, err := addrs.ways(t.Context(), []string{key(1)}, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		for _, j := range slices.Repeat(w.jobs, 3) {
			j.For = time.Millisecond
			l, err := w.load(t.Context(), j)
			if err != nil || l.asked == 0 || l.failed > 0 {
				t.Errorf("%s, %d callers: %v, %d asked and %d failed, the first with %v", w.name, j.Callers, err, l.asked, l.failed, l.failure)
			}
		}
	}
	end.Close()
	if err := <-served; err != nil {
		t.Errorf("serveBare: %v, want nil once stdin ends", err)
	}
}

// Every check is counted, the failed ones too, and so is the processor time of all processes.
func TestLoad(t *testing.T) {
	var asks atomic.Int64
	every := func(int, limit) ask {
		return func(context.Context, string) (bool, error) {
			switch asks.Add(1) % 10 {
			case 0:
				return false, errors.New("tenth")
			case 5:
				return false, nil
			}
			return true, nil
		}
	}
	j := job{Load: spread, Callers: 4, Of: 4, For: 30 * time.Millisecond}
	l, err := load(t.Context(), j, every, []string{key(1), key(2)}, []int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if l.asked == 0 || l.asked != l.latency.TotalCount() || l.asked > asks.Load() {
		t.Errorf("%d checks counted and %d timed of %d", l.asked, l.latency.TotalCount(), asks.Load())
	}
	if l.failed < l.asked/10 || l.failed > l.asked/4+1 || l.failure == nil {
		t.Errorf("%d of %d checks failed, the first with %v; want a fifth", l.failed, l.asked, l.failure)
	}
	if want := asks.Load() * 8 / 10; l.admitted < want-1 || l.admitted > want+9 {
		t.Errorf("%d of %d checks admitted, want %d: those that are not measured count too", l.admitted, asks.Load(), want)
	}
	if l.took < 30*time.Millisecond || l.whole < l.took || l.cpu <= 0 {
		t.Errorf("took %v of %v and %v of processors, want 30ms or more and some", l.took, l.whole, l.cpu)
	}
	j.Load = over
	if l, err := load(t.Context(), j, every, []string{key(1)}, nil); err != nil || l.failed > l.asked/9+1 {
		t.Errorf("%d of %d checks failed, %v; want a tenth: over the limit a denial is no failure", l.failed, l.asked, err)
	}
}

// The name of a process may look like the fields behind it.
func TestStatTime(t *testing.T) {
	for _, c := range []struct {
		stat string
		want time.Duration
		bad  bool
	}{
		{stat: "7 (redis-server) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0", want: 1750 * time.Millisecond},
		{stat: "7 (a) S 9 (b)) S 1 2 3 4 5 6 7 8 9 10 1 2 0 0", want: 30 * time.Millisecond},
		{stat: "7 (a) S 1 2 3", bad: true},
		{stat: "", bad: true},
		{stat: "7 (a) S 1 2 3 4 5 6 7 8 9 10 x 2", bad: true},
	} {
		got, err := statTime([]byte(c.stat))
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("statTime(%q) = %v, %v; want %v, an error: %v", c.stat, got, err, c.want, c.bad)
		}
	}
}

// What is not to be had is left out, with the reason.
func TestNoRedis(t *testing.T) {
	for flag, want := range map[string]string{"none": "-redis is none", "/nowhere/redis-server": "/nowhere/redis-server"} {
		_, err := findRedis(t.Context(), flag, t.Logf)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("findRedis(%q): %v, want an error with %q", flag, err, want)
		}
	}
}
