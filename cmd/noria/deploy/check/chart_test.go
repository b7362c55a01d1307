package check

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the manifests of ../kubernetes anew")

const (
	chartDir = "../helm/noria"
	plainDir = "../kubernetes"
)

// load returns the chart.
func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns what the chart makes of values, in YAML: the text of each template by its name.
func render(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	v := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(values), &v); err != nil {
		t.Fatal(err)
	}
	c := load(t)
	all, err := chartutil.ToRenderValues(c, v, chartutil.ReleaseOptions{Name: "noria", Namespace: "default", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return nil, err
	}
	e := engine.Engine{Strict: true}
	out, err := e.Render(c, all)
	files := map[string]string{}
	for name, text := range out {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(text) != "" {
			files[path.Base(name)] = text
		}
	}
	return files, err
}

// variants are values with which the chart is rendered; between them they take each branch of the templates.
func variants() map[string]string {
	return map[string]string{
		"default":       ``,
		"insecure":      `insecure: true`,
		"tls":           `{apiTLS: true, adminTLS: true, serviceMonitor: {enabled: true, labels: {release: kube}}}`,
		"plain monitor": `{insecure: true, adminTLS: true, serviceMonitor: {enabled: true}}`,
		"gateway": `
gateway: {enabled: true, serviceType: LoadBalancer, annotations: {a: b}}
config: |
  node:
    max_keys: 1000
`,
		"scaled": `{autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 5}, podDisruptionBudget: {enabled: true, maxUnavailable: 34%}}`,
		"all else": `
image: {repository: registry.example/noria, tag: v1.2.3, pullPolicy: Always}
imagePullSecrets: [{name: pull}]
replicas: 5
label: prod
secretName: other
drain: {timeoutSeconds: 60}
state: {enabled: true, size: 2Gi, storageClassName: fast}
logLevel: debug
extraArgs: ["--peer-wait=100ms"]
extraEnv: [{name: NORIA_CLUSTER_FENCE, value: 1s}]
podDisruptionBudget: {enabled: false}
networkPolicy: {enabled: false}
service: {type: NodePort, annotations: {c: d}}
serviceAccount: {annotations: {e: f}}
podAnnotations: {g: h}
podLabels: {i: j}
nodeSelector: {disk: ssd}
tolerations: [{key: k, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: l, operator: Exists}]}]}}}
priorityClassName: system-cluster-critical
`,
	}
}

// The chart renders with each of the variants, and what comes out fits together.
func TestChart(t *testing.T) {
	for name, values := range variants() {
		t.Run(name, func(t *testing.T) {
			files, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			set, err := decode(files)
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range set.check(binary(t)) {
				t.Error(wrong)
			}
			if secure := !strings.Contains(values, "insecure: true"); secure == slices.Contains(set.args(), "--insecure") {
				t.Errorf("the arguments are %q where secure is %v", set.args(), secure)
			}
		})
	}
}

// Helm has nothing to say against the chart.
func TestLint(t *testing.T) {
	result := lint.All(chartDir, nil, "default", true)
	for _, m := range result.Messages {
		if m.Severity > support.InfoSev {
			t.Error(m)
		}
	}
}

// Values that cannot work are refused, by name.
func TestBadValues(t *testing.T) {
	for values, want := range map[string]string{
		`replicas: 0`:                     "replicas",
		`replica: 3`:                      "replica",
		`drain: {timeoutSeconds: 25s}`:    "timeoutSeconds",
		`gateway: {enable: true}`:         "enable",
		`service: {type: Ingress}`:        "type",
		`insecure: "no"`:                  "insecure",
		`goMemLimit: 1Gi`:                 "goMemLimit",
		`config: {node: {max_keys: 1}}`:   "config",
		`image: {repository: "", tag: x}`: "repository",
	} {
		if _, err := render(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("values %s: %v, want an error that names %s", values, err, want)
		}
	}
}

// The plain manifests are what the chart says with its defaults, each file in the list of kustomization.yaml, and no
// file beside them.
func TestPlain(t *testing.T) {
	files, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		head := "# Made from the Helm chart with its defaults, by \"make deploy-update\".\n"
		files[name] = head + strings.TrimLeft(strings.TrimPrefix(strings.TrimSpace(dropSource(text)), "---"), "\n") + "\n"
	}
	names := sortedKeys(files)
	files["kustomization.yaml"] = "# Made from the Helm chart with its defaults, by \"make deploy-update\". Secrets: ../secrets.sh.\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - " +
		strings.Join(names, "\n  - ") + "\n"
	if *update {
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(plainDir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string]string{}
	entries, err := os.ReadDir(plainDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".yaml" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(plainDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(b)
	}
	if diff := cmp.Diff(files, got); diff != "" {
		t.Errorf("../kubernetes is not what the chart says, run \"make deploy-update\" (-want +got):\n%s", diff)
	}
	delete(got, "kustomization.yaml")
	set, err := decode(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range set.check(binary(t)) {
		t.Error(wrong)
	}
}

// dropSource removes what names the template.
func dropSource(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# Source: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// sortedKeys returns the names of files in order.
func sortedKeys(files map[string]string) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// The checks notice what they are for: planted mistakes, each a change of one text in the chart's output.
func TestPlanted(t *testing.T) {
	for _, c := range []struct{ file, old, new, want string }{
		{"statefulset.yaml", "--join=dns://", "--joyn=dns://", "--joyn"},
		{"statefulset.yaml", "--drain-timeout=30s", "--drain-timeout=60s", "terminationGracePeriodSeconds"},
		{"statefulset.yaml", "path: /readyz", "path: /ready", "/ready"},
		{"statefulset.yaml", "name: admin, containerPort", "name: adm, containerPort", "admin"},
		{"statefulset.yaml", "containerPort: 8083", "containerPort: 8093", "8083"},
		{"statefulset.yaml", "mountPath: /etc/noria/secrets", "mountPath: /etc/secrets", "/etc/noria/secrets"},
		{"statefulset.yaml", "name: tmp, mountPath", "name: temp, mountPath", "temp"},
		{"statefulset.yaml", "serviceName: noria-gossip", "serviceName: noria", "headless"},
		{"statefulset.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "root"},
		{"statefulset.yaml", "minReadySeconds", "minReadySecond", "minReadySecond"},
		{"service.yaml", "targetPort: grpc", "targetPort: rpc", "rpc"},
		{"service.yaml", "app.kubernetes.io/name: noria\n    app.kubernetes.io/instance: noria\n  ports", "app.kubernetes.io/name: other\n  ports", "selects"},
		{"service-gossip.yaml", "publishNotReadyAddresses: true", "publishNotReadyAddresses: false", "publishNotReadyAddresses"},
		{"poddisruptionbudget.yaml", "      app.kubernetes.io/name: noria", "      app.kubernetes.io/name: wheel", "selects"},
		{"networkpolicy.yaml", "port: gossip-udp", "port: gossip-tcp", "gossip-tcp"},
	} {
		files, err := render(t, "")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(files[c.file], c.old) {
			t.Errorf("%s has no %q to plant a mistake in", c.file, c.old)
			continue
		}
		files[c.file] = strings.Replace(files[c.file], c.old, c.new, 1)
		found := []error{}
		set, err := decode(files)
		if err == nil {
			found = set.check(binary(t))
		} else {
			found = append(found, err)
		}
		if text := fmt.Sprint(found); !strings.Contains(text, c.want) {
			t.Errorf("%s with %q: the checks find %q, want something about %q", c.file, c.new, text, c.want)
		}
	}
}

// A folder that is missing is an error and not an empty set.
func TestFolders(t *testing.T) {
	for _, dir := range []string{chartDir, plainDir, "../docker", "../compose", "../systemd"} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is missing", dir)
		}
	}
}

// The programs that operators use say the same, where they are installed.
func TestPrograms(t *testing.T) {
	for _, c := range []struct {
		program string
		args    []string
	}{
		{"helm", []string{"template", "noria", chartDir, "--kube-version", "1.31.0"}},
		{"kubectl", []string{"kustomize", plainDir}},
	} {
		t.Run(c.program, func(t *testing.T) {
			path, err := exec.LookPath(c.program)
			if err != nil {
				t.Skipf("%s is not installed", c.program)
			}
			out, err := exec.Command(path, c.args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			set, err := decode(map[string]string{"all.yaml": string(out)})
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range set.check(binary(t)) {
				t.Error(wrong)
			}
		})
	}
}
