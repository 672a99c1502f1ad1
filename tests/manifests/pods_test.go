package manifests

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	core "k8s.io/api/core/v1"

	"anabranch/internal/redistest"
)

// secrets are what README.md has created by hand.
var secrets = map[string]map[string]string{"redis-passwords": {"anabranch": "secret-of-anabranch", "app": "secret-of-app"}}

// variable is one that Kubernetes puts into arguments and into later variables.
var variable = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

// environment is what a container gets.
func (r *region) environment(t *testing.T, container core.Container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range container.EnvFrom {
		config, there := r.configs[from.ConfigMapRef.Name]
		if !there {
			t.Fatalf("there is no ConfigMap %s", from.ConfigMapRef.Name)
		}
		for name, value := range config.Data {
			env[name] = value
		}
	}
	for _, one := range container.Env {
		value := expand(one.Value, env)
		if one.ValueFrom != nil {
			ref := one.ValueFrom.SecretKeyRef
			if value = secrets[ref.Name][ref.Key]; value == "" {
				t.Fatalf("README.md creates no %s in Secret %s", ref.Key, ref.Name)
			}
		}
		env[one.Name] = value
	}
	return env
}

func expand(text string, env map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string { return env[name[2:len(name)-1]] })
}

// probe asks as the kubelet would.
func probe(t *testing.T, container core.Container, p *core.Probe, addresses places) int {
	t.Helper()
	for _, port := range container.Ports {
		if port.Name == p.HTTPGet.Port.StrVal {
			return status(t, "http://"+addresses[":"+strconv.Itoa(int(port.ContainerPort))]+p.HTTPGet.Path)
		}
	}
	t.Fatalf("container %s has no port %s", container.Name, p.HTTPGet.Port.StrVal)
	return 0
}

// Two regions run with the commands, variables, secrets and probes of their pods: two pods in eu, one in us.
func TestKubernetesRuns(t *testing.T) {
	redistest.Slow(t)
	readme := read(t, "examples/kubernetes/README.md")
	certificates := t.TempDir()
	run(t, nil, filepath.Join(root, "scripts/certificates.sh"), certificates, "eu", "us")
	peers := places{"anabranch.eu.example.com:6480": redistest.FreeAddr(t), "anabranch.us.example.com:6480": redistest.FreeAddr(t)}

	pods := map[string]*pod{}
	for _, name := range []string{"eu", "us"} {
		r := kustomize(t, name)
		redisAddr := redistest.FreeAddr(t)
		server := r.sets["redis"].Spec.Template.Spec.Containers[0]
		var args []string
		for _, arg := range server.Args {
			args = append(args, expand(arg, r.environment(t, server)))
		}
		startRedis(t, redisAddr, args)
		for _, secret := range []string{"redis-passwords", "anabranch-peer-tls"} {
			if !strings.Contains(readme, "create secret generic "+secret) {
				t.Errorf("README.md does not create %s", secret)
			}
		}
		first := r.start(t, redisAddr, peers["anabranch."+name+".example.com:6480"], peers, certificates)
		pods[name] = first
	}
	eu := kustomize(t, "eu")
	second := eu.start(t, pods["eu"].redis, redistest.FreeAddr(t), peers, certificates)

	password := secrets["redis-passwords"]["app"]
	a := client(t, redis.Options{Addr: pods["eu"].addresses["127.0.0.1:6380"], Username: "app", Password: password})
	b := client(t, redis.Options{Addr: pods["us"].addresses["127.0.0.1:6380"], Username: "app", Password: password})
	if err := a.Set(t.Context(), "greeting", "hello", 0).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there in the other region", func() bool { return b.Get(t.Context(), "greeting").Val() == "hello" })
	if err := a.ConfigSet(t.Context(), "save", "").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("the application is an administrator: %v", err)
	}
	stranger := client(t, redis.Options{Addr: pods["eu"].redis})
	if err := stranger.Get(t.Context(), "greeting").Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without a password Redis says %v", err)
	}

	// The pod that leads is stopped within its time; another one of its region leads on.
	grace := time.Duration(*eu.apps["app"].Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	began := time.Now()
	pods["eu"].proxy.Stop()
	if took := time.Since(began); took > grace {
		t.Errorf("it took %v to stop, more than %v", took, grace)
	}
	if err := b.Set(t.Context(), "later", "yes", 0).Err(); err != nil {
		t.Fatal(err)
	}
	c := client(t, redis.Options{Addr: second.addresses["127.0.0.1:6380"], Username: "app", Password: password})
	eventually(t, "the other pod pulls for the region", func() bool { return c.Get(t.Context(), "later").Val() == "yes" })
}

// pod is one that runs.
type pod struct {
	redis     string
	addresses places
	proxy     *redistest.Command
}

// start runs the sidecar of one pod, and waits as the kubelet does.
func (r *region) start(t *testing.T, redisAddr, peerListen string, peers places, certificates string) *pod {
	t.Helper()
	sidecar := r.apps["app"].Spec.Template.Spec.InitContainers[0]
	p := &pod{redis: redisAddr, addresses: places{"127.0.0.1:6380": redistest.FreeAddr(t), ":6480": peerListen, ":6580": redistest.FreeAddr(t)}}
	mounted := t.TempDir()
	for name, file := range map[string]string{"tls.crt": r.name + ".pem", "tls.key": r.name + ".key", "ca.crt": "ca.pem"} {
		data, err := os.ReadFile(filepath.Join(certificates, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(mounted, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	env := r.environment(t, sidecar)
	for name, value := range env {
		for _, mount := range sidecar.VolumeMounts {
			value = strings.Replace(value, mount.MountPath+"/", mounted+"/", 1)
		}
		if addr, is := p.addresses[value]; is {
			value = addr
		}
		value = strings.Replace(peers.here(value), "@redis:6379", "@"+redisAddr, 1)
		env[name] = value
	}
	p.proxy = startProxy(t, env, sidecar.Args...)
	eventually(t, "the startup probe", func() bool { return probe(t, sidecar, sidecar.StartupProbe, p.addresses) == 200 })
	for _, other := range []*core.Probe{sidecar.ReadinessProbe, sidecar.LivenessProbe} {
		if code := probe(t, sidecar, other, p.addresses); code != 200 {
			t.Errorf("GET %s: %d", other.HTTPGet.Path, code)
		}
	}
	return p
}
