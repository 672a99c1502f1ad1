package manifests

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

// root is where the repository is, seen from here.
const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

// run is the output of a command, which must succeed.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// places are addresses as containers know them (HOST:PORT, or :PORT to listen on), each with the one that it has here.
type places map[string]string

// here replaces them in a text, the longer ones first: ":6480" is a part of "us:6480".
func (p places) here(text string) string {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name, p[name])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// startRedis runs redis-server as a container does, on a port of its own and with another folder in the place of /data.
func startRedis(t *testing.T, addr string, args []string) {
	t.Helper()
	port, data := addr[strings.LastIndex(addr, ":")+1:], t.TempDir()
	args = append(slices.Clone(args), "--port", port, "--bind", "127.0.0.1", "--dir", data)
	for i, arg := range args {
		if arg == "/data" {
			args[i] = data
		}
	}
	redistest.StartProgram(t, nil, "redis-server", args...)
}

// startProxy runs `anabranch ARGS…` with the variables of a container and nothing else of the kind.
func startProxy(t *testing.T, env map[string]string, args ...string) *redistest.Command {
	t.Helper()
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return redistest.StartProgram(t, list, redistest.Binary(t, false), args...)
}

// status is that of a GET request, or 0.
func status(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func client(t *testing.T, options redis.Options) *redis.Client {
	t.Helper()
	options.DisableIdentity = true
	c := redis.NewClient(&options)
	t.Cleanup(func() { c.Close() })
	return c
}
