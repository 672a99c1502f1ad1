package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binaryEnv names a ready anabranch binary to test, for example a release; without it the tree is built.
const binaryEnv = "ANABRANCH_TEST_BINARY"

type built struct {
	once sync.Once
	path string
	err  error
}

var builds = map[bool]*built{false: {}, true: {}}

// Binary is the path of the anabranch program, built once per test process. A test that runs with the race detector
// gets a program that has it too.
func Binary(t testing.TB, race bool) string {
	t.Helper()
	if path := os.Getenv(binaryEnv); path != "" {
		return path
	}
	race = race || raceEnabled
	b := builds[race]
	b.once.Do(func() { b.path, b.err = build(race) })
	if b.err != nil {
		t.Fatalf("redistest: %v", b.err)
	}
	return b.path
}

// build compiles into a directory that is gone before the first test runs: the program is kept alive by an open
// descriptor alone, so that no run leaves a binary behind, however it ends.
func build(race bool) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "redistest-build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "anabranch")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/anabranch")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/anabranch: %w\n%s", err, out)
	}
	return keep(path)
}

// keep opens a file that is about to be removed. It stays open for the life of the test process; /proc names it also for
// the children.
func keep(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	keepOpen.mu.Lock()
	defer keepOpen.mu.Unlock()
	keepOpen.files = append(keepOpen.files, file)
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd()), nil
}

// keepOpen stops the collector from closing what was built.
var keepOpen struct {
	mu    sync.Mutex
	files []*os.File
}

// moduleRoot is where the sources of Anabranch are, also for tests of a module beside it.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "anabranch").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go list -m anabranch: %w\n%s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
