package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anabranch/internal/redistest"
	"anabranch/internal/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long something that happens by itself may take in a test.
const soon = 20 * time.Second

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", soon, what)
		}
	}
}

// call runs the program inside the test.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestMistakesOfTheCallerEndWithStatus2(t *testing.T) {
	for _, args := range [][]string{
		{}, {"sevre"}, {"serve"}, {"serve", "--region=A", "--region-id=99"}, {"serve", "--no-such-flag"},
		{"status", "--no-such-flag"}, {"demo", "extra"},
		{"conflicts"}, {"conflicts", "head"}, {"conflicts", "tail", "x"}, {"conflicts", "tail", "-n", "1001"}, {"conflicts", "tail", "-n", "x"},
		{"serve", "--region=A", "--region-id=1", "--tls-cert-file=/no/such.pem", "--tls-key-file=/no/such.pem"},
	} {
		if code, stdout, stderr := call(t, args...); code != exitUsage || stderr == "" || stdout != "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"help"}, {"--help"}, {"version"}, {"--version"}, {"serve", "--help"}, {"status", "-h"}, {"demo", "-h"}, {"conflicts", "-h"},
		{"conflicts", "tail", "--help"}} {
		if code, stdout, stderr := call(t, args...); code != exitOK || stdout == "" || stderr != "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestServeServesAndEndsWithStatus0OnSIGTERM(t *testing.T) {
	cluster := redistest.StartCluster(t, 1)
	region := cluster.Region("A")
	conn := region.Dial()
	conn.Must("SET", "k", "v")
	region.Proxy().Stop() // fails the test unless the status is 0
	if got := region.Redis.Client().Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("k is %q in Redis", got)
	}
}

func TestPingAndReadyzFollowRedis(t *testing.T) {
	cluster := redistest.StartCluster(t, 1)
	region := cluster.Region("A")
	admin := "http://" + region.Proxy().AdminAddr
	if code, body := get(t, admin+"/readyz"); code != http.StatusOK {
		t.Fatalf("/readyz: %d %s", code, body)
	}
	region.Redis.Kill()
	eventually(t, "/readyz fails without Redis", func() bool {
		code, _ := get(t, admin+"/readyz")
		return code == http.StatusServiceUnavailable
	})
	if code, _ := get(t, admin+"/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d without Redis; the process would be restarted for nothing", code)
	}
	eventually(t, "PING is refused without Redis", func() bool {
		return region.Dial().Do("PING").IsError()
	})
	region.Redis.Restart()
	eventually(t, "/readyz and PING succeed again", func() bool {
		code, _ := get(t, admin+"/readyz")
		return code == http.StatusOK && !region.Dial().Do("PING").IsError()
	})
}

func TestStatusShowsTheLinksAndFailsWhenOneIsDown(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Region("A"), cluster.Region("B")
	ask := func() (int, string) {
		code, stdout, stderr := call(t, "status", "--admin", a.Proxy().AdminAddr)
		return code, stdout + stderr
	}
	eventually(t, "the link is healthy", func() bool {
		code, text := ask()
		return code == exitOK && strings.Contains(text, "✓") && strings.Contains(text, "stream")
	})
	if code, stdout, stderr := call(t, "status", "--redis", a.Proxy().Addr); code != exitOK || !strings.Contains(stdout, "stream") {
		t.Errorf("over the client port: status %d, %q %q", code, stdout, stderr)
	}
	_, body := get(t, "http://"+a.Proxy().AdminAddr+"/status")
	var document status.Document
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	if document.Region != "A" || document.RegionID != 1 || len(document.Peers) != 1 || document.Peers[0].Name != "B" || document.Peers[0].ID != 2 {
		t.Errorf("/status: %s", body)
	}
	a.CRDT("PAUSE", "ALL")
	eventually(t, "a paused link is shown and healthy", func() bool {
		code, text := ask()
		return code == exitOK && strings.Contains(text, "paused")
	})
	a.CRDT("RESUME", "ALL")
	b.Proxy().Kill()
	eventually(t, "a lost link is unhealthy", func() bool {
		code, text := ask()
		return code == exitFailure && strings.Contains(text, "✗") && strings.Contains(text, "probe")
	})
	if code, _, stderr := call(t, "status", "--admin", b.Proxy().AdminAddr); code != exitFailure || stderr == "" {
		t.Errorf("a dead proxy: status %d, %q", code, stderr)
	}
}

func TestConflictsTailShowsWhoWonAndWhoLost(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Region("A").Dial(), cluster.Region("B").Dial()
	clash := func(key string) {
		cluster.PauseAll()
		a.Must("SET", key, "from a")
		time.Sleep(5 * time.Millisecond)
		b.Must("SET", key, "from b")
		cluster.ResumeAll()
		cluster.Converge()
	}
	clash("first")
	clash("second")
	addr := cluster.Region("A").Proxy().Addr
	code, stdout, stderr := call(t, "conflicts", "tail", "--redis", addr)
	if code != exitOK || stderr != "" {
		t.Fatalf("status %d, stderr %q", code, stderr)
	}
	for i, part := range []string{"db0 \"first\" (string): the last write wins", "won ", "\"from b\"", "lost", "\"from a\"", "db0 \"second\""} {
		if !strings.Contains(stdout, part) {
			t.Errorf("part %d, %q, is not in %q", i, part, stdout)
		}
	}
	if code, stdout, _ = call(t, "conflicts", "tail", "--redis", addr, "-n", "1", "--json"); code != exitOK || strings.Contains(stdout, "first") ||
		!strings.Contains(stdout, `"loser-value":"from a"`) {
		t.Errorf("the newest as JSON: status %d, %q", code, stdout)
	}
	if info := a.Must("INFO", "crdt").Text; !strings.Contains(info, "crdt_conflicts:2\r\n") || !strings.Contains(info, "crdt_conflicts_string:2\r\n") {
		t.Errorf("INFO does not count them: %q", info)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { // ends with ctx
		ended <- runConflicts(ctx, []string{"tail", "--redis", addr, "-n", "0", "-f"}, in, io.Discard)
	}()
	time.Sleep(200 * time.Millisecond)
	clash("third")
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, "third") {
		t.Errorf("following shows %q, %v", line, err)
	}
	go io.Copy(io.Discard, out) // ends when in is closed
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	in.Close()
}

func TestProfilesAreServedOnlyWhenAsked(t *testing.T) {
	without := redistest.StartCluster(t, 1).Region("A").Proxy()
	if code, _ := get(t, "http://"+without.AdminAddr+"/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("without --pprof: %d", code)
	}
	with := redistest.StartCluster(t, 1, redistest.WithFlags("--pprof")).Region("A").Proxy()
	if code, _ := get(t, "http://"+with.AdminAddr+"/debug/pprof/"); code != http.StatusOK {
		t.Errorf("with --pprof: %d", code)
	}
}

func TestServeFailsWhenItCannotListen(t *testing.T) {
	region := redistest.StartCluster(t, 1).Region("A")
	proxy := region.Proxy()
	out, err := exec.CommandContext(t.Context(), redistest.Binary(t, false), "serve", "--region=A", "--region-id=1",
		"--redis="+region.Redis.URL(), "--listen="+proxy.Addr, "--peer-listen="+redistest.FreeAddr(t), "--admin-listen="+redistest.FreeAddr(t)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure || !strings.Contains(string(out), "address already in use") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestServeRefusesDataOfAnotherRegion(t *testing.T) {
	region := redistest.StartCluster(t, 1).Region("A")
	out, err := exec.CommandContext(t.Context(), redistest.Binary(t, false), "serve", "--region=B", "--region-id=2",
		"--redis="+region.Redis.URL(), "--listen="+redistest.FreeAddr(t), "--peer-listen="+redistest.FreeAddr(t), "--admin-listen="+redistest.FreeAddr(t)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure || !strings.Contains(string(out), "another region") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDemoSucceedsAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), redistest.Binary(t, false), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	if strings.Contains(text, "✗") || strings.Contains(text, "\x1b") || strings.Count(text, "✓") != len(demoSteps())+1 {
		t.Errorf("unexpected output:\n%s", text)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInterruptedDemoEndsItsServers(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(redistest.Binary(t, false), "demo", "--keep")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // in the middle of its steps
	for range 2 {                      // timeout(1) signals the process, and then its group
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the process, which is killed below at the latest
	select {
	case <-ended:
	case <-time.After(soon):
		_ = cmd.Process.Kill()
		t.Fatalf("still running %v after the interrupt\n%s", soon, out.String())
	}
	if left := serversIn(t, dir); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// serversIn lists processes whose working directory or command line is in dir.
func serversIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if text, err := os.ReadFile(line); err == nil && strings.Contains(string(text), dir) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
		if target, err := os.Readlink(filepath.Join(filepath.Dir(line), "cwd")); err == nil && strings.HasPrefix(target, dir) {
			found = append(found, target)
		}
	}
	return found
}
