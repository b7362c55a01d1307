package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// rlsRules is the configuration of a rate limit service with one limit.
const rlsRules = "domain: d\ndescriptors:\n- {key: user, rate_limit: {name: per user, unit: year, requests_per_unit: 1}}\n"

// rlsFolder returns a folder with text as its only file.
func rlsFolder(t *testing.T, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "d.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// askJSON returns status and body of a request of a user's.
func askJSON(t *testing.T, api, user string) (status int, body string) {
	t.Helper()
	res, err := http.Post("http://"+api+"/json", "application/json", strings.NewReader(`{"domain":"d","descriptors":[{"entries":[{"key":"user","value":"`+user+`"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(bytes.ReplaceAll(b, []byte(" "), nil))
}

// A node answers Envoy by the files of its ratelimit service beside all else; a file that changes is read again, and one
// that is bad is told and changes nothing.
func TestRLS(t *testing.T) {
	dir, file := rlsFolder(t, rlsRules)
	r, ready := serveNode(t, "--rls-config", dir)
	if status, body := askJSON(t, ready.API, "1"); status != http.StatusOK || !strings.Contains(body, `"overallCode":"OK"`) {
		t.Errorf("the first request is answered %d %s", status, body)
	}
	if status, body := askJSON(t, ready.API, "1"); status != http.StatusTooManyRequests || !strings.Contains(body, `"overallCode":"OVER_LIMIT"`) {
		t.Errorf("the second request is answered %d %s", status, body)
	}
	if status, body := fetch(t, "http://"+ready.API+"/v1/status"); status != http.StatusOK || !strings.Contains(body, `"ready":true`) {
		t.Errorf("/v1/status says %d %s", status, body)
	}
	policy := func() string {
		_, body := fetch(t, "http://"+ready.Admin+"/status")
		_, hash, _ := strings.Cut(strings.ReplaceAll(body, " ", ""), `"policy":"`)
		hash, _, _ = strings.Cut(hash, `"`)
		return hash
	}
	before := policy()
	if before == "" {
		t.Error("status says that there is no policy")
	}
	conn, err := grpc.NewClient(ready.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	health, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "envoy.service.ratelimit.v3.RateLimitService"})
	if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("the service's health is %v, %v", health, err)
	}
	change := func(text string) {
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	change("domain: d\ndescriptors:\n- {key: user, rate_limit: {unit: moon, requests_per_unit: 2}}\n")
	if line := r.line(r.err, "rate limit rules refused"); !strings.Contains(line, `d.yaml:3:34: unit is \"moon\"`) {
		t.Errorf("a bad file is told as %s", line)
	}
	if status, _ := askJSON(t, ready.API, "1"); status != http.StatusTooManyRequests {
		t.Errorf("after a bad file the answer is %d", status)
	}
	if now := policy(); now != before {
		t.Errorf("after a bad file the policy is %s, want %s as before", now, before)
	}
	change(strings.ReplaceAll(rlsRules, "unit: 1}", "unit: 2}"))
	r.line(r.err, "rate limit rules read")
	if status, _ := askJSON(t, ready.API, "1"); status != http.StatusOK {
		t.Errorf("by the new rules the answer is %d", status)
	}
	if now := policy(); now == before || now == "" {
		t.Errorf("by the new rules the policy is %s, want another one than %s", now, before)
	}
	_, numbers := fetch(t, "http://"+ready.Admin+"/metrics")
	for _, want := range []string{
		`noria_rls_hits_total{result="ok",rule="d.user"} 2`, `noria_rls_hits_total{result="over",rule="d.user"} 2`,
		`noria_rls_reloads_total{result="refused"} 1`, `noria_rls_reloads_total{result="ok"} 1`,
	} {
		if !strings.Contains(numbers, want) {
			t.Errorf("metrics do not say %s", want)
		}
	}
}

// Without --rls-config there is no /json.
func TestNoRLS(t *testing.T) {
	_, ready := serveNode(t)
	if status, body := askJSON(t, ready.API, "1"); status != http.StatusNotFound {
		t.Errorf("/json says %d %s", status, body)
	}
}

// config check and serve tell all that is wrong with a folder.
func TestRLSCheck(t *testing.T) {
	good, _ := rlsFolder(t, rlsRules)
	if status, out, errs := once(t, nil, "config", "check", good); status != statusFine || out != good+" is fine: 1 domains with 1 limits\n" {
		t.Errorf("config check of a good folder ends with %d, %q, %q", status, out, errs)
	}
	if status, out, _ := once(t, nil, "config", "check", good, "--output", "json"); status != statusFine || !strings.Contains(out, `"limits": 1`) && !strings.Contains(out, `"limits":1`) {
		t.Errorf("config check in JSON ends with %d, %q", status, out)
	}
	bad, file := rlsFolder(t, "domain: d\ndescriptors:\n- {kye: user}\n- {key: a, rate_limit: {}}\n")
	for _, args := range [][]string{{"config", "check", bad}, append([]string{"serve"}, free("--rls-config", bad)...)} {
		status, _, errs := once(t, nil, args...)
		for _, want := range []string{file + ":3:4: unknown field kye", file + ":4:24: rate_limit has no unit"} {
			if status != statusUsage || !strings.Contains(errs, want) {
				t.Errorf("%s ends with %d, %q, want %d and %s", args[0], status, errs, statusUsage, want)
			}
		}
	}
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if status, _, errs := once(t, nil, append([]string{"serve"}, free("--rls-config", dir)...)...); status != statusUsage || !strings.Contains(errs, dir) {
			t.Errorf("serve without rules ends with %d, %q", status, errs)
		}
	}
}
