package redistest

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// clockSource makes a library that shifts the wall clock of the process that preloads it.
//
//go:embed testdata/clock.c
var clockSource []byte

var clockLibrary struct {
	once sync.Once
	file *os.File // without a name, as the program under test
	err  error
}

// WithClock gives the server a wall clock of its own, off by that much. SetClock sets it again while the server runs.
func WithClock(offset time.Duration) Option { return func(s *settings) { s.clock = &offset } }

// WithClocks gives the regions' servers, in order, clocks of their own. The proxies keep the machine's clock.
func WithClocks(offsets ...time.Duration) ClusterOption {
	return func(s *clusterSettings) { s.clocks = offsets }
}

// SetClock sets the wall clock of a server that was started with WithClock, at once and also in the midst of its work.
func (s *Server) SetClock(offset time.Duration) {
	s.t.Helper()
	if err := s.writeClock(offset); err != nil {
		s.t.Fatalf("redistest: clock: %v", err)
	}
}

func (s *Server) clockPath() string { return filepath.Join(s.Dir, "clock") }

// writeClock changes the file in place: the server has it mapped.
func (s *Server) writeClock(offset time.Duration) error {
	file, err := os.OpenFile(s.clockPath(), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(offset.Microseconds())), 0)
	return err
}

// clockEnv is what a server needs in its environment to have a clock of its own, nothing for others.
func (s *Server) clockEnv() ([]string, error) {
	if s.clock == nil {
		return nil, nil
	}
	library := &clockLibrary
	library.once.Do(func() { library.file, library.err = buildClock() })
	if library.err != nil {
		return nil, library.err
	}
	preload := fmt.Sprintf("LD_PRELOAD=/proc/%d/fd/%d", os.Getpid(), library.file.Fd())
	return []string{preload, "REDISTEST_CLOCK=" + s.clockPath()}, nil
}

// buildClock compiles the library. Only an open descriptor keeps it, so that no run leaves one behind.
func buildClock() (*os.File, error) {
	dir, err := os.MkdirTemp("", "redistest-clock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, path := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", path, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return os.Open(path)
}

// clockOf is the option for the region with that index.
func (s *clusterSettings) clockOf(t testing.TB, index, count int) []Option {
	t.Helper()
	if s.clocks == nil {
		return nil
	}
	if len(s.clocks) != count {
		t.Fatalf("redistest: %d clocks for %d regions", len(s.clocks), count)
	}
	return []Option{WithClock(s.clocks[index])}
}
