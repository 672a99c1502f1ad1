package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Ports are taken below the range that Linux uses for outgoing connections (32768…60999): a port from that range can be
// lost to somebody's outgoing connection while its server is being restarted.
const (
	portLow  = 11000
	portHigh = 31000
)

// portLocks holds one locked file per port that this test process has handed out. A lock is kept until the process ends,
// so a server can be restarted on its port while other test processes choose theirs.
var portLocks sync.Map // port (int) → *os.File

// FreePort reserves a loopback port for this test process. Nothing listens there yet.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := portLow + rand.IntN(portHigh-portLow)
		if reserve(port) {
			return port
		}
	}
	t.Fatal("redistest: no free port in 1000 attempts")
	return 0
}

// FreeAddr is FreePort as HOST:PORT.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

func reserve(port int) bool {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("redistest-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false
	}
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false
	}
	// A second descriptor of the same file conflicts also inside one process, so no port is handed out twice.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return false
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		lock.Close()
		return false
	}
	listener.Close()
	portLocks.Store(port, lock)
	return true
}
