package manifests

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"anabranch/internal/redistest"
)

// project reads compose.yaml as compose does; what it does not know is an error.
func project(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "examples/compose/compose.yaml")}, cli.WithDefaultProfiles("*"))
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// Who shares a network with whom is what keeps others away from Redis and from the peer ports, which are not protected by anything else.
func TestComposeKeepsNetworksApart(t *testing.T) {
	p := project(t)
	members := map[string][]string{}
	for name, service := range p.Services {
		for network := range service.Networks {
			members[network] = append(members[network], name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %d to %q", name, port.Target, port.HostIP)
			}
		}
	}
	for network, want := range map[string][]string{"eu": {"eu", "eu-redis"}, "us": {"us", "us-redis"}, "wan": {"eu", "us"}, "clients": {"demo", "eu", "us"}} {
		if slices.Sort(members[network]); !slices.Equal(members[network], want) {
			t.Errorf("network %s has %v, want %v", network, members[network], want)
		}
		if internal := bool(p.Networks[network].Internal); internal != (network != "clients") {
			t.Errorf("network %s: internal is %v", network, internal)
		}
	}
}

// Both regions run with the variables and commands of their containers, and the demo goes through.
func TestComposeRuns(t *testing.T) {
	redistest.Slow(t)
	p := project(t)
	regions := []string{"eu", "us"}
	shared := places{}
	for _, region := range regions {
		for _, name := range []string{region + "-redis:6379", region + ":6380", region + ":6480", region + ":6580"} {
			shared[name] = redistest.FreeAddr(t)
		}
	}
	proxies := map[string]*redistest.Command{}
	for _, region := range regions {
		startRedis(t, shared[region+"-redis:6379"], p.Services[region+"-redis"].Command[1:])
		env := map[string]string{"ANABRANCH_LISTEN": ":6380", "ANABRANCH_ADMIN_LISTEN": ":6580"} // those of the image, see TestImage
		for name, value := range p.Services[region].Environment {
			env[name] = *value
		}
		own := places{":6380": shared[region+":6380"], ":6480": shared[region+":6480"], ":6580": shared[region+":6580"]}
		for name, value := range env {
			if strings.HasPrefix(value, ":") {
				env[name] = own.here(value)
			} else {
				env[name] = shared.here(value)
			}
		}
		proxies[region] = startProxy(t, env, "serve")
	}
	for _, region := range regions {
		check := append(slices.Clone(p.Services[region].HealthCheck.Test[2:]), "--admin", shared[region+":6580"])
		eventually(t, region+" is healthy", func() bool {
			return exec.CommandContext(t.Context(), redistest.Binary(t, false), check...).Run() == nil
		})
		for _, port := range p.Services[region].Ports {
			if target := ":" + strconv.Itoa(int(port.Target)); shared[region+target] == "" {
				t.Errorf("%s publishes %s, where nobody listens", region, target)
			}
		}
	}

	demo := p.Services["demo"]
	script := ""
	for _, volume := range demo.Volumes {
		if volume.Target == demo.Command[1] {
			script = volume.Source
		}
	}
	var env []string
	for name, value := range demo.Environment {
		env = append(env, name+"="+shared.here(*value))
	}
	for range 2 { // also where it has run before
		said := run(t, env, demo.Command[0], script)
		for _, want := range []string{"us> GET greeting", "hello from eu", "eu> INCRBY visits 5", " 15\n", "us> INCRBY visits 3", " 13\n", " 18\n"} {
			if !strings.Contains(said, want) {
				t.Errorf("no %q in\n%s", want, said)
			}
		}
	}
	for _, region := range regions {
		proxies[region].Stop()
	}
}
