package main

import (
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// A request is what Gubernator's generated code makes of name, key, hits, limit, duration, algorithm and behaviour.
func TestGubernatorRequest(t *testing.T) {
	got := hex.EncodeToString(gubernatorRequest("k", scarce(), global))
	if want := "0a14" + "0a06736361726365" + "12016b" + "1801" + "2064" + "28e807" + "3802"; got != want {
		t.Errorf("request is %s, want %s", got, want)
	}
	if got := hex.EncodeToString(gubernatorRequest("k", scarce(), batching)); !strings.HasSuffix(got, "28e807") {
		t.Errorf("request %s has a behaviour, want the default", got)
	}
}

// answered returns a GetRateLimitsResp.
func answered(over, limit uint64, text string) []byte {
	var item []byte
	item = protowire.AppendVarint(protowire.AppendTag(item, 1, protowire.VarintType), over)
	item = protowire.AppendVarint(protowire.AppendTag(item, 2, protowire.VarintType), limit)
	item = protowire.AppendVarint(protowire.AppendTag(item, 3, protowire.VarintType), 7)
	item = protowire.AppendString(protowire.AppendTag(item, 5, protowire.BytesType), text)
	if text == "" {
		item = protowire.AppendBytes(protowire.AppendTag(item, 6, protowire.BytesType), []byte("\x0a\x05owner\x12\x01a"))
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), item)
}

// An answer is read as what it says, and what is no answer is an error.
func TestGubernatorAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
		want   bool
		err    string
	}{
		{"allowed", answered(0, 100, ""), true, ""},
		{"denied", answered(1, 100, ""), false, ""},
		{"failed", answered(0, 0, "no peer"), false, "no peer"},
		{"empty", nil, false, errGubernator.Error()},
		{"of no limit", answered(0, 0, ""), false, "no"},
		{"cut off", answered(0, 100, "")[:5], false, errGubernator.Error()},
	} {
		got, err := gubernatorAnswer(c.answer)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v; want %v, %q", c.name, got, err, c.want, c.err)
		}
	}
}

// Whatever comes is an answer or an error.
func FuzzGubernatorAnswer(f *testing.F) {
	f.Add(answered(1, 100, ""))
	f.Add([]byte{0x0a, 0x80})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if allowed, err := gubernatorAnswer(answer); allowed && err != nil {
			t.Errorf("allowed, although %v", err)
		}
	})
}
