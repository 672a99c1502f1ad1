package manifests

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// region is all that `kubectl apply -k` would send to the cluster of a region.
type region struct {
	name string
	apps map[string]apps.Deployment
	sets map[string]apps.StatefulSet

	services map[string]core.Service
	configs  map[string]core.ConfigMap
	networks map[string]networking.NetworkPolicy
	budgets  map[string]policy.PodDisruptionBudget
}

// kustomize builds a region and reads each object strictly, as the API server does with --validate=strict.
func kustomize(t *testing.T, name string) *region {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "examples/kubernetes/regions", name))
	if err != nil {
		t.Fatal(err)
	}
	r := &region{name: name, apps: map[string]apps.Deployment{}, sets: map[string]apps.StatefulSet{}, services: map[string]core.Service{},
		configs: map[string]core.ConfigMap{}, networks: map[string]networking.NetworkPolicy{}, budgets: map[string]policy.PodDisruptionBudget{}}
	for _, object := range built.Resources() {
		if object.GetNamespace() != "shop" {
			t.Errorf("%s is in namespace %q", object.CurId(), object.GetNamespace())
		}
		text, err := object.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch object.GetApiVersion() + " " + object.GetKind() {
		case "apps/v1 Deployment":
			err = decode(text, r.apps)
		case "apps/v1 StatefulSet":
			err = decode(text, r.sets)
		case "v1 Service":
			err = decode(text, r.services)
		case "v1 ConfigMap":
			err = decode(text, r.configs)
		case "networking.k8s.io/v1 NetworkPolicy":
			err = decode(text, r.networks)
		case "policy/v1 PodDisruptionBudget":
			err = decode(text, r.budgets)
		default:
			t.Errorf("%s is of a kind that this test does not know", object.CurId())
		}
		if err != nil {
			t.Errorf("%s: %v", object.CurId(), err)
		}
	}
	return r
}

func decode[T any](text []byte, into map[string]T) error {
	var object T
	var named struct {
		Metadata meta.ObjectMeta `json:"metadata"`
	}
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		return err
	}
	err := yaml.Unmarshal(text, &named)
	into[named.Metadata.Name] = object
	return err
}

// pods are the templates of all pods.
func (r *region) pods() map[string]core.PodTemplateSpec {
	pods := map[string]core.PodTemplateSpec{}
	for name, app := range r.apps {
		pods[name] = app.Spec.Template
	}
	for name, set := range r.sets {
		pods[name] = set.Spec.Template
	}
	return pods
}

// ports are the named ports of those pods that a selector finds.
func (r *region) ports(t *testing.T, who string, selector *meta.LabelSelector) (names []string) {
	t.Helper()
	finds, err := meta.LabelSelectorAsSelector(selector)
	if err != nil || finds.Empty() {
		t.Fatalf("%s selects %v, %v", who, selector, err)
	}
	found := false
	for _, pod := range r.pods() {
		if !finds.Matches(labels.Set(pod.Labels)) {
			continue
		}
		found = true
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			for _, port := range container.Ports {
				names = append(names, port.Name)
			}
		}
	}
	if !found {
		t.Errorf("%s selects no pod", who)
	}
	return names
}

// What names something else names something that is there.
func TestKubernetesHangsTogether(t *testing.T) {
	for _, name := range []string{"eu", "us"} {
		r := kustomize(t, name)
		for name, app := range r.apps {
			r.ports(t, "deployment "+name, app.Spec.Selector)
		}
		for name, set := range r.sets {
			r.ports(t, "set "+name, set.Spec.Selector)
			if _, there := r.services[set.Spec.ServiceName]; !there {
				t.Errorf("set %s has no service %s", name, set.Spec.ServiceName)
			}
		}
		for name, service := range r.services {
			ports := r.ports(t, "service "+name, &meta.LabelSelector{MatchLabels: service.Spec.Selector})
			for _, port := range service.Spec.Ports {
				if !slices.Contains(ports, port.TargetPort.StrVal) {
					t.Errorf("service %s leads to port %q, which is none of %v", name, port.TargetPort.StrVal, ports)
				}
			}
		}
		for name, budget := range r.budgets {
			r.ports(t, "budget "+name, budget.Spec.Selector)
		}
		for name, network := range r.networks {
			ports := r.ports(t, "policy "+name, &network.Spec.PodSelector)
			for _, rule := range network.Spec.Ingress {
				for _, port := range rule.Ports {
					if !slices.Contains(ports, port.Port.StrVal) {
						t.Errorf("policy %s opens port %q, which is none of %v", name, port.Port.StrVal, ports)
					}
				}
				for _, from := range rule.From {
					if from.PodSelector != nil {
						r.ports(t, "a rule of policy "+name, from.PodSelector)
					}
				}
			}
		}
		if from := r.networks["anabranch"].Spec.Ingress[0].From[0].IPBlock.CIDR; from != r.services["anabranch-peers"].Spec.LoadBalancerSourceRanges[0] || from == "192.0.2.0/24" {
			t.Errorf("region %s: peers come from %s, and the load balancer lets %v in", name, from, r.services["anabranch-peers"].Spec.LoadBalancerSourceRanges)
		}
	}
}

// version is that of the program.
var version = regexp.MustCompile(`(?m)^const version = "(.*)"$`)

// What makes it a sidecar, and what keeps it in its place.
func TestKubernetesSidecar(t *testing.T) {
	for _, name := range []string{"eu", "us"} {
		pod := kustomize(t, name).apps["app"].Spec.Template
		sidecar, app := pod.Spec.InitContainers[0], pod.Spec.Containers
		if len(app) != 1 || len(pod.Spec.InitContainers) != 1 || sidecar.Name != "anabranch" || sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != core.ContainerRestartPolicyAlways {
			t.Errorf("it is no native sidecar: %+v", pod.Spec)
		}
		if want := "anabranch:" + version.FindStringSubmatch(read(t, "cmd/anabranch/version.go"))[1]; sidecar.Image != want {
			t.Errorf("its image is %s, and this version is %s", sidecar.Image, want)
		}
		for _, container := range append(app, sidecar) {
			s := container.SecurityContext
			if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
				t.Errorf("container %s may do more than it needs: %+v", container.Name, s)
			}
			if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
				t.Errorf("container %s has no resources", container.Name)
			}
		}
		if !*sidecar.SecurityContext.RunAsNonRoot || *sidecar.SecurityContext.RunAsUser == 0 || !sidecar.Resources.Limits.Cpu().IsZero() {
			t.Errorf("the sidecar: %+v %+v", sidecar.SecurityContext, sidecar.Resources)
		}
		// What the application takes to stop, the proxy's --shutdown-time, and some more.
		if grace := *pod.Spec.TerminationGracePeriodSeconds; grace < 5+5+10 {
			t.Errorf("there are %d s to stop in", grace)
		}
		for _, volume := range pod.Spec.Volumes {
			for _, container := range app {
				if slices.ContainsFunc(container.VolumeMounts, func(m core.VolumeMount) bool { return m.Name == volume.Name }) {
					t.Errorf("the application has the volume %s too", volume.Name)
				}
			}
			if !strings.Contains(read(t, "examples/kubernetes/README.md"), volume.Secret.SecretName) {
				t.Errorf("README.md does not tell of the secret %s", volume.Secret.SecretName)
			}
		}
	}
}
