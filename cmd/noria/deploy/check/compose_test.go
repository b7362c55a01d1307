package check

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// project reads the Compose file as docker compose does, strictly.
func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "../compose",
		ConfigFiles: []types.ConfigFile{{Filename: "../compose/compose.yaml"}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("noria", true) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The Compose file is one, its nodes take their settings, have each their own name and certificate, and are given more
// time to stop than they take.
func TestCompose(t *testing.T) {
	p := project(t)
	names := map[string]bool{}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is open at %q, want this machine alone", name, port.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := p.Secrets[secret.Source]; !ok {
				t.Errorf("%s wants secret %s", name, secret.Source)
			}
		}
		if !strings.HasPrefix(name, "node-") {
			continue
		}
		own := *s.Environment["NORIA_NODE_NAME"]
		if own != name || *s.Environment["NORIA_ADVERTISE_PEER"] != name || names[own] {
			t.Errorf("%s is named %s", name, own)
		}
		names[own] = true
		if s.StopGracePeriod == nil || s.StopGracePeriod.String() < "30s" || !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s stops within %v, read-only %v, without %v", name, s.StopGracePeriod, s.ReadOnly, s.CapDrop)
		}
		if aliases := s.Networks["fleet"].Aliases; *s.Environment["NORIA_CLUSTER_JOIN"] != "dns://"+aliases[0]+":7946" {
			t.Errorf("%s joins %s and is known as %q", name, *s.Environment["NORIA_CLUSTER_JOIN"], aliases)
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Error(err)
			}
		}
		for key, value := range s.Environment {
			path, ok := strings.CutPrefix(*value, "/run/secrets/")
			if ok && !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool {
				return c.Target == path || c.Target == "" && c.Source == path || c.Target == *value
			}) {
				t.Errorf("%s: %s is %s, which is no secret of it: %+v", name, key, *value, s.Secrets)
			}
		}
		if out, err := try(s.Environment, "serve", "--help"); err != nil {
			t.Errorf("%s: noria does not take its environment: %v: %s", name, err, out)
		}
		for key := range s.Environment {
			if strings.HasPrefix(key, "NORIA_") && !known(t)[key] {
				t.Errorf("%s sets %s, which noria does not read", name, key)
			}
		}
	}
	if len(names) != 3 {
		t.Errorf("nodes are %v, want three", names)
	}
}

// try runs noria with an environment and arguments.
func try(env types.MappingWithEquals, args ...string) (string, error) {
	cmd := exec.Command(noria, args...)
	cmd.Env = []string{"PATH=/nowhere"}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+*value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// known returns the environment variables that serve reads.
func known(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.Command(noria, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`\[\$(NORIA_[A-Z0-9_]+)\]`).FindAllSubmatch(out, -1) {
		all[string(m[1])] = true
	}
	return all
}

// Prometheus asks each node, with the token that Compose mounts, and knows of the alert rules; Grafana asks Prometheus.
func TestComposeMonitoring(t *testing.T) {
	var config struct {
		Global        map[string]string `json:"global"`
		RuleFiles     []string          `json:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string            `json:"job_name"`
			Authorization map[string]string `json:"authorization"`
			StaticConfigs []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	strict(t, "../compose/prometheus.yml", &config)
	p := project(t)
	targets := config.ScrapeConfigs[0].StaticConfigs[0].Targets
	for name := range p.Services {
		if strings.HasPrefix(name, "node-") && !slices.Contains(targets, name+":8082") {
			t.Errorf("Prometheus asks %q, and not %s", targets, name)
		}
	}
	secrets := p.Services["prometheus"].Secrets
	if path := config.ScrapeConfigs[0].Authorization["credentials_file"]; len(secrets) != 1 || path != "/run/secrets/"+secrets[0].Source {
		t.Errorf("Prometheus shows what is in %s, and has the secrets %+v", path, secrets)
	}
	rules := false
	for _, v := range p.Services["prometheus"].Volumes {
		rules = rules || strings.HasPrefix(config.RuleFiles[0], v.Target+"/")
	}
	if !rules {
		t.Errorf("rules %q are in no volume", config.RuleFiles)
	}
	var sources struct {
		APIVersion  int `json:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool            `json:"isDefault"`
			JSONData                     json.RawMessage `json:"jsonData"`
		} `json:"datasources"`
	}
	strict(t, "../compose/grafana/datasources.yaml", &sources)
	if got := sources.Datasources[0].URL; got != "http://prometheus:9090" || p.Services["prometheus"].Name == "" {
		t.Errorf("Grafana asks %s", got)
	}
	var boards struct {
		APIVersion int `json:"apiVersion"`
		Providers  []struct {
			Name, Type     string
			AllowUIUpdates bool              `json:"allowUiUpdates"`
			Options        map[string]string `json:"options"`
		} `json:"providers"`
	}
	strict(t, "../compose/grafana/dashboards.yaml", &boards)
	if !slices.ContainsFunc(p.Services["grafana"].Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == boards.Providers[0].Options["path"]
	}) {
		t.Errorf("dashboards are looked for in %v, which is no volume", boards.Providers[0].Options)
	}
}

// strict reads a YAML file whose fields are all in to.
func strict(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
