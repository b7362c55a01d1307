package policy

import (
	"strings"
	"testing"
)

// Whatever is in a file, reading it ends with a policy that can be asked or with errors at places.
func FuzzParse(f *testing.F) {
	f.Add(testdata(f, "full.yaml"), "NORIA_LIMITS_USER_TIERS_PRO", "1/s")
	f.Add([]byte(layers), "NORIA_LIMITS_IP_KEY", "path,const.x")
	for _, text := range []string{
		"limits: {a: {limit: 1/s, when: 'header[\"a\"] == path'}}\nroutes: {r: {limits: a}}", "routes: {r: {hosts: ['*.a'], path: /a/}}", "limits: &x\n  a: *x\n",
		"limits:\n  a: {tiers: {a: unlimited, b: 1/s}}\n", "{", "- - -", "? a\n: b\n", "limits: {a: {unit: concurrency, limit: 20}}", "<<: a", "!!x y", "\"\\x", ": :",
		"limits:\n  a:\n    limit: |\n      1/s\n", "%YAML 1.2\n---\n",
	} {
		f.Add([]byte(text), "NORIA_IPV6_BITS", "64")
	}
	f.Fuzz(func(t *testing.T, text []byte, name, v string) {
		env := map[string]string{name: v}
		p, err := Parse("f.yaml", text, env)
		if err != nil {
			if msg := err.Error(); msg == "" || !strings.Contains(msg, "f.yaml") && !strings.HasPrefix(msg, prefix) {
				t.Errorf("error %q does not say where", msg)
			}
			return
		}
		again, err := Parse("f.yaml", text, env)
		if err != nil || again.Hash != p.Hash {
			t.Errorf("read again it is %v with another hash", err)
		}
		a := Attributes{Host: "a.b:80", Method: "GET", Path: "/a"}
		for _, r := range p.Routes {
			var m Met
			_ = r.Meet(&a, &m) // conditions may be undecided
			for i, key := range m.Keys(nil) {
				if err := m.Bucket(i).Validate(); err != nil || key == "" || len(key) > 512 {
					t.Errorf("limit %d of %s: %v under %q", i, r.Name, err, key)
				}
			}
		}
		p.Route(a.Host, a.Method, a.Path)
	})
}
