package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type labels map[string]string

// object is what the manifests here have of Kubernetes' objects.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels labels
	}
	Data map[string]string
	Spec struct {
		// Service
		ClusterIP string `yaml:"clusterIP"`
		Ports     []struct {
			Name, Protocol string
			TargetPort     string `yaml:"targetPort"`
			Port           int
		}
		// StatefulSet; its selector is deeper than a Service's
		Selector    map[string]any
		ServiceName string `yaml:"serviceName"`
		Replicas    int
		Template    struct {
			Metadata struct{ Labels labels }
			Spec     pod
		}
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
		// NetworkPolicy
		PodSelector struct {
			MatchLabels labels `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		Ingress, Egress []struct {
			Ports []struct {
				Port     int
				Protocol string
			}
		}
	}
}

type pod struct {
	SecurityContext struct {
		RunAsNonRoot bool `yaml:"runAsNonRoot"`
		RunAsUser    int  `yaml:"runAsUser"`
		FSGroup      int  `yaml:"fsGroup"`
	} `yaml:"securityContext"`
	Containers []container
}

type container struct {
	Name, Image string
	Args        []string
	EnvFrom     []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Ports []struct {
		Name, Protocol string
		ContainerPort  int `yaml:"containerPort"`
	}
	StartupProbe   probe `yaml:"startupProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	Resources      struct{ Requests, Limits map[string]string }
	VolumeMounts   []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct{ Exec struct{ Command []string } }

// cluster is all objects, by kind and name.
type cluster map[string]map[string]object

// manifests reads what `kubectl apply -k` applies, and what the script addresses adds.
func manifests(t *testing.T) cluster {
	t.Helper()
	all := make(cluster)
	add := func(name, text string) {
		for _, o := range decode[object](t, name, text) {
			if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name == "" || all[o.Kind][o.Metadata.Name].Kind != "" {
				t.Errorf("%s: %s %q of %q is not complete, or there twice", name, o.Kind, o.Metadata.Name, o.APIVersion)
			}
			if all[o.Kind] == nil {
				all[o.Kind] = make(map[string]object)
			}
			all[o.Kind][o.Metadata.Name] = o
		}
	}
	for _, name := range kustomization(t).Resources {
		add(name, read(t, filepath.Join("kubernetes", name)))
	}
	add("addresses", script(t, newEngine(t, 3), "addresses", "kubernetes"))
	return all
}

type kustomizationFile struct {
	Namespace string
	Resources []string
	Images    []struct {
		Name    string
		NewName string `yaml:"newName"`
		NewTag  string `yaml:"newTag"`
	}
}

func kustomization(t *testing.T) kustomizationFile {
	t.Helper()
	return decode[kustomizationFile](t, "kustomization.yaml", read(t, "kubernetes/kustomization.yaml"))[0]
}

func TestKustomization(t *testing.T) {
	k := kustomization(t)
	files, err := os.ReadDir("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "kustomization.yaml" && !slices.Contains(k.Resources, f.Name()) {
			t.Errorf("nobody applies %s", f.Name())
		}
	}
	if len(k.Images) != 1 || k.Images[0].NewName+":"+k.Images[0].NewTag != image {
		t.Errorf("images are %+v, want %s", k.Images, image)
	}
	if _, ok := manifests(t)["Namespace"][k.Namespace]; !ok {
		t.Errorf("no namespace %q", k.Namespace)
	}
}

func TestStatefulSets(t *testing.T) {
	all := manifests(t)
	if got := slices.Sorted(maps.Keys(all["StatefulSet"])); !slices.Equal(got, []string{"bootstrap", "peers"}) {
		t.Errorf("StatefulSets are %v", got)
	}
	for name, o := range all["StatefulSet"] {
		if s, ok := all["Service"][o.Spec.ServiceName]; !ok || s.Spec.ClusterIP != "None" {
			t.Errorf("%s: no headless Service %q", name, o.Spec.ServiceName)
		}
		if selects, _ := o.Spec.Selector["matchLabels"].(map[string]any); !matches(selects, o.Spec.Template.Metadata.Labels) {
			t.Errorf("%s: its selector %v is not its own pods'", name, selects)
		}
		p := o.Spec.Template.Spec
		if s := p.SecurityContext; !s.RunAsNonRoot || !strings.HasPrefix(last(t, "USER"), "65532") || s.RunAsUser != 65532 || s.FSGroup != 65532 {
			t.Errorf("%s: runs as %+v, the image's user is %s", name, s, last(t, "USER"))
		}
		var claims []string
		for _, c := range o.Spec.VolumeClaimTemplates {
			claims = append(claims, c.Metadata.Name)
		}
		if len(p.Containers) != 1 || o.Spec.Replicas < 1 {
			t.Fatalf("%s: %d containers, %d replicas", name, len(p.Containers), o.Spec.Replicas)
		}
		checkContainer(t, name, p.Containers[0], claims, all)
	}
}

func checkContainer(t *testing.T, name string, c container, claims []string, all cluster) {
	t.Helper()
	checkArgs(t, name, c.Args)
	if c.Image != kustomization(t).Images[0].Name {
		t.Errorf("%s: image %q is not the one of kustomization.yaml", name, c.Image)
	}
	for what, p := range map[string]probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		checkProbe(t, name+": "+what, p.Exec.Command)
	}
	for _, m := range c.VolumeMounts {
		if !slices.Contains(claims, m.Name) {
			t.Errorf("%s: no volume %q", name, m.Name)
		}
	}
	if len(c.VolumeMounts) != 1 || c.VolumeMounts[0].MountPath != last(t, "VOLUME") {
		t.Errorf("%s: mounts %+v, the image has its repo in %s", name, c.VolumeMounts, last(t, "VOLUME"))
	}
	for _, e := range c.EnvFrom {
		if _, ok := all["ConfigMap"][e.ConfigMapRef.Name]; !ok {
			t.Errorf("%s: no ConfigMap %q", name, e.ConfigMapRef.Name)
		}
	}
	if joins := len(c.EnvFrom) == 1; joins != (name == "peers") {
		t.Errorf("%s: takes settings from %+v", name, c.EnvFrom)
	}
	open := []int{peerPort}
	if gateway := listensOn(c.Args, "--gateway"); gateway > 0 {
		open = append(open, gateway)
	}
	for _, p := range c.Ports {
		if !slices.Contains(open, p.ContainerPort) || p.Name == "" {
			t.Errorf("%s: port %+v, it listens on %v", name, p, open)
		}
	}
	if c.Resources.Requests["memory"] == "" || c.Resources.Requests["cpu"] == "" || c.Resources.Limits["memory"] == "" {
		t.Errorf("%s: resources are %+v", name, c.Resources)
	}
}

func TestServices(t *testing.T) {
	all := manifests(t)
	if len(all["Service"]) != 3 {
		t.Errorf("%d Services, want one for each set and the gateway", len(all["Service"]))
	}
	for name, o := range all["Service"] {
		found := false
		for _, set := range all["StatefulSet"] {
			if !matches(o.Spec.Selector, set.Spec.Template.Metadata.Labels) {
				continue
			}
			found = true
			for _, p := range o.Spec.Ports {
				if !hasPort(set.Spec.Template.Spec.Containers[0], p.TargetPort, p.Protocol) {
					t.Errorf("%s: %s has no port %q by %s", name, set.Metadata.Name, p.TargetPort, p.Protocol)
				}
			}
		}
		if !found {
			t.Errorf("%s: its selector %v is nobody's", name, o.Spec.Selector)
		}
	}
}

func hasPort(c container, name, protocol string) bool {
	for _, p := range c.Ports {
		if p.Name == name && p.Protocol == protocol {
			return true
		}
	}
	return false
}

func TestNetworkPolicy(t *testing.T) {
	all := manifests(t)
	policy, ok := all["NetworkPolicy"]["peers-only"]
	if !ok || len(policy.Spec.PodSelector.MatchLabels) == 0 {
		t.Fatalf("policies are %v", all["NetworkPolicy"])
	}
	for name, set := range all["StatefulSet"] {
		for k, v := range policy.Spec.PodSelector.MatchLabels {
			if set.Spec.Template.Metadata.Labels[k] != v {
				t.Errorf("%s is not under the policy", name)
			}
		}
	}
	for _, way := range [][]struct {
		Ports []struct {
			Port     int
			Protocol string
		}
	}{policy.Spec.Ingress, policy.Spec.Egress} {
		if len(way) == 0 || len(way[0].Ports) != 2 || way[0].Ports[0].Port != peerPort || way[0].Ports[1].Port != peerPort {
			t.Errorf("peers do not reach each other: %+v", way)
		}
	}
}

// matches tells whether labels are those that a selector wants.
func matches(selector map[string]any, have labels) bool {
	for k, v := range selector {
		if have[k] != v {
			return false
		}
	}
	return len(selector) > 0
}
