package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Reservations and slots over HTTP, to the byte; bad input gets a 400 that says what is wrong, and nothing is taken.
func TestHTTPReserve(t *testing.T) {
	for name, asks := range map[string][][2]string{
		"reserve": {
			{PathReserve, `{"key":"user:42","limit":"quota 1000","cost":400,"id":"r-1","ttl_ms":60000}`},
			{PathReserve, `{"key":"user:42","limit":"quota 1000","cost":400,"id":"r-1"}`},
			{PathReserve, `{"key":"user:42","limit":"quota 1000","cost":700,"id":"r-2"}`},
			{PathSettle, `{"key":"user:42","id":"r-1","ttl_ms":1000}`},
			{PathSettle, `{"key":"user:42","id":"r-1","cost":100}`},
			{PathSettle, `{"key":"user:42","id":"r-1","cost":100}`},
			{PathReserve, `{"key":"user:42","limit":"quota 1000","cost":700,"id":"r-3"}`},
			{PathCancel, `{"key":"user:42","id":"r-3"}`},
			{PathCancel, `{"key":"user:42","id":"r-4"}`},
			{PathCheck, `{"key":"user:42","limit":"quota 1000","cost":0}`},
		},
		"acquire": {
			{PathAcquire, `{"key":"user:42","limit":"concurrency 1","id":"a"}`},
			{PathAcquire, `{"key":"user:42","limit":"concurrency 1","id":"a","ttl_ms":9000}`},
			{PathRelease, `{"key":"user:42","id":"a"}`},
			{PathAcquire, `{"key":"user:42","limit":"concurrency 1","id":"b"}`},
		},
		"reserve-bad": {
			{PathReserve, `{"key":"k","limit":"1/s"}`},
			{PathReserve, `{"key":"k","limit":"1/s","id":"i","cost":0}`},
			{PathReserve, `{"key":"k","limit":"1/s","id":"i","ttl_ms":0}`},
			{PathReserve, `{"key":"k","limit":"1/s","id":"i","ttl_ms":3600001}`},
			{PathReserve, `{"key":"k","limit":"1/s","id":"i","ttl_ms":"1m"}`},
			{PathReserve, `{"key":"k","limit":"1/s queue 5","id":"i"}`},
			{PathReserve, `{"checks":[{"key":"k","limit":"1/s"}]}`},
			{PathAcquire, `{"key":"k","limit":"100/s","id":"i"}`},
			{PathAcquire, `{"key":"k","limit":"concurrency 0","id":"i"}`},
			{PathCheck, `{"key":"k","limit":"concurrency 5"}`},
			{PathSettle, `{"key":"k","id":"i"}`},
			{PathSettle, `{"key":"k","id":"i","cost":1,"ttl_ms":1}`},
			{PathSettle, `{"key":"k","cost":1}`},
			{PathSettle, `{"id":"i","cost":1}`},
			{PathSettle, `{"key":"k","id":"i","cost":-1}`},
			{PathSettle, `{"key":"k","id":"i","costs":1}`},
			{PathCancel, `{"key":"k","id":"i","cost":1}`},
			{PathRelease, `{"key":"k"`},
		},
	} {
		f := newFake(t)
		h := NewHTTP(f, Config{})
		var b strings.Builder
		for _, ask := range asks {
			w := post(h, ask[0], ask[1])
			if bad := strings.HasSuffix(name, "-bad"); bad != (w.Code == http.StatusBadRequest) {
				t.Errorf("POST %s %s: %d %s", ask[0], ask[1], w.Code, w.Body)
			}
			text := w.Body.String()
			if w.Code == http.StatusTooManyRequests && name == "acquire" {
				text = "denied\n" // it says how long a slot lasts yet
			}
			if w.Code == http.StatusOK && ask[0] == PathAcquire {
				text = "allowed\n"
			}
			fmt.Fprintf(&b, "> POST %s %s\n%d %s", ask[0], ask[1], w.Code, text)
		}
		golden(t, "http/"+name, b.String())
		if got := f.store.Stats().Reservations; strings.HasSuffix(name, "-bad") && got != 0 {
			t.Errorf("bad requests reserved %d times", got)
		}
	}
}
