package redistest

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// clockSource is a small library that is preloaded into redis-server. The engine takes its time from Redis, so moving
// Redis's clock moves a region's. libfaketime would do the same, but does not start under jemalloc, which Redis uses.
//
//go:embed testdata/clock.c
var clockSource []byte

var clockLibrary built

// WithClock gives the server a wall clock that ShiftClock can move.
func WithClock() Option { return func(s *settings) { s.clock = true } }

// ShiftClock sets how far the server's wall clock is ahead of the machine's, from now on and over restarts. The server
// must have been started with WithClock.
func (s *Server) ShiftClock(ahead time.Duration) {
	s.t.Helper()
	if s.env == nil {
		s.t.Fatal("redistest: the server was started without WithClock")
	}
	if err := s.writeClock(ahead); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}

// writeClock changes the file in place, since the server has it in its memory.
func (s *Server) writeClock(ahead time.Duration) error {
	file, err := os.OpenFile(s.clockPath(), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(ahead.Milliseconds())), 0)
	return err
}

func (s *Server) clockPath() string { return filepath.Join(s.Dir, "clock") }

// giveClock compiles the library, once per test process, and prepares the environment of the server.
func (s *Server) giveClock() error {
	clockLibrary.once.Do(func() { clockLibrary.path, clockLibrary.err = buildClock() })
	if clockLibrary.err != nil {
		return clockLibrary.err
	}
	s.env = []string{"LD_PRELOAD=" + clockLibrary.path, "REDISTEST_CLOCK=" + s.clockPath()}
	return s.writeClock(0)
}

// buildClock leaves no file behind, as build does.
func buildClock() (string, error) {
	dir, err := os.MkdirTemp("", "redistest-clock-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return keep(library)
}
