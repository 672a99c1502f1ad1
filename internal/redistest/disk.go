package redistest

import (
	"fmt"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

// FillDisk lets no file of the server grow past the size that the largest of its append-only files has now: what it writes
// then fails, as on a full disk. The server must have been started with WithAOF and `appendfsync everysec`; with `always`, Redis
// ends itself.
func (s *Server) FillDisk() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "appendonlydir", "*.aof"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("redistest: no append-only file: %v", err)
	}
	most := int64(0)
	for _, path := range files {
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err != nil {
			s.t.Fatalf("redistest: %v", err)
		}
		most = max(most, stat.Size)
	}
	s.limitFiles(strconv.FormatInt(most, 10))
}

// EmptyDisk undoes FillDisk.
func (s *Server) EmptyDisk() {
	s.t.Helper()
	s.limitFiles("unlimited")
}

// limitFiles sets the soft limit alone, which anybody may raise again.
func (s *Server) limitFiles(limit string) {
	s.t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(s.PID()), fmt.Sprintf("--fsize=%s:", limit)).CombinedOutput()
	if err != nil {
		s.t.Fatalf("redistest: prlimit: %v\n%s", err, out)
	}
}

// A write past the limit shall fail and not kill. What a process ignores, its children do.
func init() { signal.Ignore(syscall.SIGXFSZ) }
