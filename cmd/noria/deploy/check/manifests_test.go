package check

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// A manifests is what one deployment consists of.
type manifests struct {
	stateful *appsv1.StatefulSet
	services []*corev1.Service
	accounts []*corev1.ServiceAccount
	configs  []*corev1.ConfigMap
	budgets  []*policyv1.PodDisruptionBudget
	policies []*networkingv1.NetworkPolicy
	scalers  []*autoscalingv2.HorizontalPodAutoscaler
	monitors []*serviceMonitor
}

// A serviceMonitor is of the Prometheus operator what the chart uses.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel          string               `json:"jobLabel"`
		Selector          metav1.LabelSelector `json:"selector"`
		NamespaceSelector struct {
			MatchNames []string `json:"matchNames"`
		} `json:"namespaceSelector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			Scheme        string `json:"scheme"`
			Authorization *struct {
				Type        string                   `json:"type"`
				Credentials corev1.SecretKeySelector `json:"credentials"`
			} `json:"authorization"`
			TLSConfig *struct {
				CA struct {
					Secret corev1.SecretKeySelector `json:"secret"`
				} `json:"ca"`
				ServerName string `json:"serverName"`
			} `json:"tlsConfig"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// decode reads files strictly: a field that Kubernetes does not know, or that is there twice, is an error.
func decode(files map[string]string) (*manifests, error) {
	m := &manifests{}
	for _, name := range sortedKeys(files) {
		for _, doc := range regexp.MustCompile(`(?m)^---\s*$`).Split(files[name], -1) {
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if meta.Kind == "" {
				continue
			}
			if err := m.add(meta, []byte(doc)); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if m.stateful == nil {
		return nil, errors.New("there is no StatefulSet")
	}
	return m, nil
}

// add decodes one document.
func (m *manifests) add(meta metav1.TypeMeta, doc []byte) error {
	switch meta.APIVersion + " " + meta.Kind {
	case "apps/v1 StatefulSet":
		m.stateful = new(appsv1.StatefulSet)
		return yaml.UnmarshalStrict(doc, m.stateful)
	case "v1 Service":
		return into(doc, &m.services)
	case "v1 ServiceAccount":
		return into(doc, &m.accounts)
	case "v1 ConfigMap":
		return into(doc, &m.configs)
	case "policy/v1 PodDisruptionBudget":
		return into(doc, &m.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		return into(doc, &m.policies)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return into(doc, &m.scalers)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return into(doc, &m.monitors)
	}
	return fmt.Errorf("%s %s is a kind that nobody checks", meta.APIVersion, meta.Kind)
}

// into decodes doc and appends it to all.
func into[T any](doc []byte, all *[]*T) error {
	one := new(T)
	*all = append(*all, one)
	return yaml.UnmarshalStrict(doc, one)
}

// pod returns what the pods are made of, and the only container.
func (m *manifests) pod() (*corev1.PodTemplateSpec, *corev1.Container) {
	p := &m.stateful.Spec.Template
	return p, &p.Spec.Containers[0]
}

// args returns the arguments of noria.
func (m *manifests) args() []string {
	_, c := m.pod()
	return c.Args
}

// flag returns the value of an argument, "" without one.
func (m *manifests) flag(name string) string {
	for _, a := range m.args() {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v
		}
	}
	return ""
}

// check returns what does not fit together. noria is the path of the binary whose flags the arguments are.
func (m *manifests) check(noria string) []error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(m.stateful.Spec.Template.Spec.Containers) != 1 {
		say("%d containers, want one", len(m.stateful.Spec.Template.Spec.Containers))
		return wrong
	}
	m.checkArgs(noria, say)
	m.checkPod(say)
	m.checkProbes(say)
	m.checkFiles(say)
	m.checkServices(say)
	m.checkOthers(say)
	return wrong
}

type say func(format string, args ...any)

// substituted returns args with what Kubernetes puts in place of variables.
func substituted(args []string) []string {
	r := strings.NewReplacer("$(POD_NAME)", "noria-0", "$(POD_NAMESPACE)", "default", "$(POD_IP)", "10.0.0.7")
	all := make([]string, len(args))
	for i, a := range args {
		all[i] = r.Replace(a)
	}
	return all
}

// checkArgs has the real binary read the arguments and the environment.
func (m *manifests) checkArgs(noria string, say say) {
	_, c := m.pod()
	args := substituted(c.Args)
	for i, a := range args {
		if strings.Contains(a, "$(") {
			say("argument %s has a variable that no env defines", c.Args[i])
		}
	}
	cmd := exec.Command(noria, append(args, "--help")...)
	for _, e := range c.Env {
		if e.Value != "" {
			cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		say("noria does not take its arguments: %v: %s", err, strings.TrimSpace(string(out)))
	}
	for _, name := range []string{"POD_NAME", "POD_NAMESPACE", "POD_IP"} {
		if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name && e.ValueFrom != nil && e.ValueFrom.FieldRef != nil }) {
			say("the arguments use %s, which env does not define", name)
		}
	}
	if svc := m.service(m.stateful.Spec.ServiceName); svc != nil {
		if want := "dns://" + svc.Name + ".$(POD_NAMESPACE).svc:7946"; m.flag("join") != want {
			say("--join is %s, want %s", m.flag("join"), want)
		}
	}
}

// service returns the service with the name, nil without one.
func (m *manifests) service(name string) *corev1.Service {
	for _, s := range m.services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// checkPod looks at what a pod is allowed, and how it stops.
func (m *manifests) checkPod(say say) {
	p, c := m.pod()
	if !labels.SelectorFromSet(m.stateful.Spec.Selector.MatchLabels).Matches(labels.Set(p.Labels)) {
		say("the StatefulSet selects %v, its pods are %v", m.stateful.Spec.Selector.MatchLabels, p.Labels)
	}
	var seconds int64
	if _, err := fmt.Sscanf(m.flag("drain-timeout"), "%ds", &seconds); err != nil || seconds < 1 {
		say("--drain-timeout is %q", m.flag("drain-timeout"))
	}
	if grace := p.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < seconds+5 {
		say("terminationGracePeriodSeconds %v is not well beyond --drain-timeout %d", grace, seconds)
	}
	s, own := p.Spec.SecurityContext, c.SecurityContext
	switch {
	case s == nil || own == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0:
		say("pods may run as root")
	case own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation || own.ReadOnlyRootFilesystem == nil || !*own.ReadOnlyRootFilesystem:
		say("pods may gain privileges or write their file system")
	case own.Capabilities == nil || !slices.Contains(own.Capabilities.Drop, "ALL") || s.SeccompProfile == nil:
		say("pods have capabilities or all system calls")
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
		say("there is no request for processors or no limit of memory")
	}
	if !slices.ContainsFunc(m.accounts, func(a *corev1.ServiceAccount) bool { return a.Name == p.Spec.ServiceAccountName }) {
		say("service account %s is not there", p.Spec.ServiceAccountName)
	}
	for _, spread := range p.Spec.TopologySpreadConstraints {
		if !labels.SelectorFromSet(spread.LabelSelector.MatchLabels).Matches(labels.Set(p.Labels)) {
			say("topology spread selects %v", spread.LabelSelector.MatchLabels)
		}
	}
	for flag, port := range map[string]string{"api": "api", "grpc": "grpc", "admin": "admin", "peer": "peer", "gossip": "gossip", "http": "http"} {
		addr, at := m.flag(flag), containerPort(c, intstr.FromString(port))
		if addr != "" && (at == nil || !strings.HasSuffix(addr, fmt.Sprintf(":%d", at.ContainerPort))) {
			say("--%s is %s, and the container's port %s is %+v", flag, addr, port, at)
		}
	}
}

// containerPort returns the port that a name or number stands for, nil for none.
func containerPort(c *corev1.Container, port intstr.IntOrString) *corev1.ContainerPort {
	for i, p := range c.Ports {
		if p.Name == port.StrVal || p.ContainerPort == port.IntVal {
			return &c.Ports[i]
		}
	}
	return nil
}

// checkProbes looks whether probes ask pages that there are, on the admin port.
func (m *manifests) checkProbes(say say) {
	_, c := m.pod()
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		want := "/healthz"
		if name == "readiness" {
			want = "/readyz"
		}
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != want {
			say("the %s probe is %+v, want %s", name, probe, want)
			continue
		}
		if at := containerPort(c, probe.HTTPGet.Port); at == nil || at.Name != "admin" {
			say("the %s probe asks port %s, want admin", name, probe.HTTPGet.Port.String())
		}
		scheme := corev1.URISchemeHTTP
		if m.flag("admin-tls-cert") != "" {
			scheme = corev1.URISchemeHTTPS
		}
		if probe.HTTPGet.Scheme != scheme {
			say("the %s probe asks by %s, want %s", name, probe.HTTPGet.Scheme, scheme)
		}
	}
}

// checkFiles looks whether each path in the arguments is mounted, and each mount has a volume.
func (m *manifests) checkFiles(say say) {
	p, c := m.pod()
	for _, mount := range c.VolumeMounts {
		if slices.ContainsFunc(m.stateful.Spec.VolumeClaimTemplates, func(v corev1.PersistentVolumeClaim) bool { return v.Name == mount.Name }) {
			continue
		}
		if !slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
			say("mount %s has no volume", mount.Name)
		}
	}
	for _, v := range p.Spec.Volumes {
		if !slices.ContainsFunc(c.VolumeMounts, func(mount corev1.VolumeMount) bool { return mount.Name == v.Name }) {
			say("volume %s is not mounted", v.Name)
		}
		if v.ConfigMap != nil && !slices.ContainsFunc(m.configs, func(cm *corev1.ConfigMap) bool { return cm.Name == v.ConfigMap.Name }) {
			say("config map %s is not there", v.ConfigMap.Name)
		}
	}
	for _, a := range c.Args {
		_, path, ok := strings.Cut(a, "=/")
		if ok && !slices.ContainsFunc(c.VolumeMounts, func(mount corev1.VolumeMount) bool {
			return strings.HasPrefix("/"+path+"/", mount.MountPath+"/")
		}) {
			say("%s is not in a volume", a)
		}
	}
}

// checkServices looks whether services lead to the pods, and the headless one finds them before they are ready.
func (m *manifests) checkServices(say say) {
	p, c := m.pod()
	for _, s := range m.services {
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) || len(s.Spec.Selector) == 0 {
			say("service %s selects %v, the pods are %v", s.Name, s.Spec.Selector, p.Labels)
		}
		for _, port := range s.Spec.Ports {
			if at := containerPort(c, port.TargetPort); at == nil || at.Protocol != port.Protocol {
				say("service %s leads to %s/%s, which the container does not have", s.Name, port.TargetPort.String(), port.Protocol)
			}
		}
	}
	headless := m.service(m.stateful.Spec.ServiceName)
	if headless == nil || headless.Spec.ClusterIP != "None" {
		say("serviceName %s is no headless service", m.stateful.Spec.ServiceName)
		return
	}
	if !headless.Spec.PublishNotReadyAddresses {
		say("service %s wants publishNotReadyAddresses, as no node is ready before it has found the others", headless.Name)
	}
}

// checkOthers looks at what watches over the pods.
func (m *manifests) checkOthers(say say) {
	p, c := m.pod()
	for _, b := range m.budgets {
		if !labels.SelectorFromSet(b.Spec.Selector.MatchLabels).Matches(labels.Set(p.Labels)) {
			say("the budget selects %v", b.Spec.Selector.MatchLabels)
		}
	}
	for _, n := range m.policies {
		if !labels.SelectorFromSet(n.Spec.PodSelector.MatchLabels).Matches(labels.Set(p.Labels)) {
			say("the network policy selects %v", n.Spec.PodSelector.MatchLabels)
		}
		open := map[string]bool{}
		for _, in := range n.Spec.Ingress {
			for _, port := range in.Ports {
				if containerPort(c, *port.Port) == nil {
					say("the network policy names port %s", port.Port.String())
				}
				open[port.Port.String()] = true
				if name := port.Port.String(); len(in.From) == 0 && (name == "peer" || strings.HasPrefix(name, "gossip")) {
					say("the network policy lets everybody to %s", name)
				}
			}
		}
		for _, port := range c.Ports {
			if !open[port.Name] {
				say("the network policy shuts %s", port.Name)
			}
		}
	}
	for _, h := range m.scalers {
		if ref := h.Spec.ScaleTargetRef; ref.Kind != "StatefulSet" || ref.Name != m.stateful.Name || m.stateful.Spec.Replicas != nil {
			say("the autoscaler is for %s %s, and the StatefulSet has %v replicas of its own", ref.Kind, ref.Name, m.stateful.Spec.Replicas)
		}
	}
	for _, mon := range m.monitors {
		m.checkMonitor(mon, say)
	}
}

// checkMonitor looks whether a monitor finds one service, and may ask.
func (m *manifests) checkMonitor(mon *serviceMonitor, say say) {
	found := 0
	for _, s := range m.services {
		if !labels.SelectorFromSet(mon.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
			continue
		}
		found++
		if job := s.Labels[mon.Spec.JobLabel]; job != "noria" {
			say("the monitor makes job %q of service %s, and alert rules ask for noria", job, s.Name)
		}
		for _, e := range mon.Spec.Endpoints {
			if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port }) || e.Path != "/metrics" {
				say("the monitor asks %s of port %s, which service %s does not have", e.Path, e.Port, s.Name)
			}
			if (m.flag("admin-token-file") != "") != (e.Authorization != nil) {
				say("the monitor shows a token: %v", e.Authorization != nil)
			}
			if (m.flag("admin-tls-cert") != "") != (e.Scheme == "https") {
				say("the monitor asks by %q", e.Scheme)
			}
		}
	}
	if found != 1 {
		say("the monitor selects %d services", found)
	}
}
