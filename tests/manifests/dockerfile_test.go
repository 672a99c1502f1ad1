package manifests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"anabranch/internal/redistest"
)

// goVersion is what go.mod asks for at least.
var goVersion = regexp.MustCompile(`(?m)^go (\d+\.\d+)`)

// The image is built by hand, step by step as the Dockerfile says, and run in its empty root as its user, in a network of its own.
func TestImage(t *testing.T) {
	redistest.Slow(t)
	parsed, err := parser.Parse(strings.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range parsed.Warnings {
		t.Errorf("Dockerfile: %s", warning.Short)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	compiler := "golang:" + goVersion.FindStringSubmatch(read(t, "go.mod"))[1]
	if len(stages) != 2 || stages[0].BaseName != compiler || stages[1].BaseName != "scratch" {
		t.Fatalf("built with %s, want %s, and on %s", stages[0].BaseName, compiler, stages[len(stages)-1].BaseName)
	}
	i := &image{T: t, source: t.TempDir(), out: t.TempDir(), root: t.TempDir()}
	i.send()
	i.build(stages[0])
	i.assemble(stages[1])
	i.try()
}

// image is what becomes of the Dockerfile.
type image struct {
	*testing.T
	source, out, root string // /src and /out of the first stage, / of the last one
	env               []string
	user              string
	command           []string // ENTRYPOINT
	args              []string // CMD
	health            []string
}

// send copies what .dockerignore lets through.
func (i *image) send() {
	i.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(i.T, ".dockerignore")))
	if err != nil {
		i.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		i.Fatal(err)
	}
	list, err := exec.CommandContext(i.Context(), "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		i.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		skip, err := ignored.MatchesOrParentMatches(name)
		if err != nil {
			i.Fatal(err)
		}
		if !skip {
			i.copy(filepath.Join(root, name), filepath.Join(i.source, name))
		}
	}
	for _, name := range []string{".git", "docs", "tests", "examples", "proxy/session_test.go"} {
		if _, err := os.Stat(filepath.Join(i.source, name)); err == nil {
			i.Errorf("%s is sent to the builder", name)
		}
	}
}

func (i *image) copy(from, to string) {
	i.Helper()
	info, err := os.Stat(from)
	if err != nil {
		i.Fatal(err)
	}
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, data, info.Mode().Perm())
	}
	if err != nil {
		i.Fatal(err)
	}
}

// build runs the commands of the first stage. What they are copied is what was sent, all of it.
func (i *image) build(stage instructions.Stage) {
	i.Helper()
	env := []string{"TARGETOS=linux", "TARGETARCH=" + runtime.GOARCH, "REVISION=0123456789ab"}
	for _, step := range stage.Commands {
		command, is := step.(*instructions.RunCommand)
		if !is {
			continue
		}
		line := strings.ReplaceAll(strings.Join(command.CmdLine, " "), "/out/", i.out+"/")
		run(i.T, env, "sh", "-c", "cd "+i.source+" && "+line)
	}
}

// assemble puts the last stage together.
func (i *image) assemble(stage instructions.Stage) {
	i.Helper()
	stages := strings.NewReplacer("/src/", i.source+"/", "/out/", i.out+"/")
	if err := os.Chmod(i.root, 0o755); err != nil { // as / is
		i.Fatal(err)
	}
	for _, step := range stage.Commands {
		switch command := step.(type) {
		case *instructions.CopyCommand:
			if command.From != "build" || len(command.SourcePaths) != 1 {
				i.Errorf("COPY %v from %q", command.SourcePaths, command.From)
			}
			i.copy(stages.Replace(command.SourcePaths[0]), filepath.Join(i.root, command.DestPath))
		case *instructions.EnvCommand:
			for _, pair := range command.Env {
				i.env = append(i.env, pair.Key+"="+pair.Value)
			}
		case *instructions.UserCommand:
			i.user = command.User
		case *instructions.EntrypointCommand:
			i.command = command.CmdLine
		case *instructions.CmdCommand:
			i.args = command.CmdLine
		case *instructions.HealthCheckCommand:
			i.health = command.Health.Test
		}
	}
	id, _, _ := strings.Cut(i.user, ":")
	if n, err := strconv.Atoi(id); err != nil || n == 0 {
		i.Errorf("USER %q is no number, or root", i.user)
	}
	if len(i.health) < 2 || i.health[0] != "CMD" {
		i.Fatalf("HEALTHCHECK %q", i.health)
	}
}

// inside is the command line that runs something in the image, as its user, with its variables alone, in the network of a process.
func (i *image) inside(network int, env []string, args ...string) []string {
	line := []string{"nsenter", "--net", "--target", strconv.Itoa(network), "env", "-i"}
	line = append(append(line, i.env...), env...)
	return asRoot(append(append(line, "/usr/sbin/chroot", "--userspec="+i.user, i.root), args...)...)
}

func asRoot(args ...string) []string {
	if os.Geteuid() == 0 {
		return args
	}
	return append([]string{"sudo", "-n"}, args...)
}

// try runs what was built.
func (i *image) try() {
	i.Helper()
	network := asRoot("unshare", "--net", "sh", "-c", "ip link set lo up && exec redis-server --save '' --dir "+i.TempDir())
	server := redistest.StartProgram(i.T, nil, network[0], network[1:]...)
	eventually(i.T, "Redis has a network of its own", func() bool { return strings.Contains(server.Log(), "Ready to accept connections") })

	version := i.inside(server.PID(), nil, append(slices.Clone(i.command), "version")...)
	if said := run(i.T, nil, version[0], version[1:]...); !strings.Contains(said, "+0123456789ab (") {
		i.Errorf("the image says %q", said)
	}
	line := i.inside(server.PID(), []string{"ANABRANCH_REGION=A", "ANABRANCH_REGION_ID=1"}, append(slices.Clone(i.command), i.args...)...)
	proxy := redistest.StartProgram(i.T, nil, line[0], line[1:]...)
	healthy := func() bool {
		check := i.inside(proxy.PID(), nil, i.health[1:]...)
		return exec.CommandContext(i.Context(), check[0], check[1:]...).Run() == nil
	}
	eventually(i.T, "the health check passes", healthy)

	// All ports that clients and probes need are those of the image, on every interface.
	look := asRoot("nsenter", "--net", "--target", strconv.Itoa(proxy.PID()), "cat", "/proc/net/tcp6")
	listening := run(i.T, nil, look[0], look[1:]...)
	for _, port := range []int{6380, 6580} {
		if !strings.Contains(listening, fmt.Sprintf("00000000000000000000000000000000:%04X", port)) {
			i.Errorf("nobody listens at :%d:\n%s", port, listening)
		}
	}
	owner, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", proxy.PID()))
	if id, _, _ := strings.Cut(i.user, ":"); err != nil || !bytes.Contains(owner, []byte("Uid:\t"+id+"\t"+id)) {
		i.Errorf("it does not run as %s: %v\n%s", i.user, err, owner)
	}
	server.Kill()
	eventually(i.T, "the health check fails without Redis", func() bool { return !healthy() })
	proxy.Stop()
}
