package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	startLimit = 20 * time.Second // until a process must answer
	stopLimit  = 10 * time.Second // from SIGTERM to SIGKILL
)

// Server is a redis-server without persistence.
type Server struct {
	Addr string
	proc *process
}

// PID is the process id.
func (s *Server) PID() int { return s.proc.pid() }

// Close ends the server; its data is gone.
func (s *Server) Close() { s.proc.stop(stopLimit) }

// StartRedis starts the redis-server that PATH names, with dir for its files, and waits until it answers.
func StartRedis(ctx context.Context, dir string) (*Server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not installed (on Debian: apt-get install redis-server)")
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	proc, err := start(filepath.Join(dir, "redis.log"), program,
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	if err != nil {
		return nil, err
	}
	if err := awaitPing(ctx, proc, addr); err != nil {
		proc.stop(stopLimit)
		return nil, err
	}
	return &Server{Addr: addr, proc: proc}, nil
}

// FreeAddr is a loopback address on which nothing listens. The port is below the range from which the system takes ports
// of outgoing connections, so that none of those can take it before the server does.
func FreeAddr() (string, error) {
	for range 200 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(11000+rand.IntN(20000)))
		listener, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, listener.Close()
		}
	}
	return "", errors.New("no free port on 127.0.0.1 in 200 attempts")
}

// awaitPing waits until the process answers PING with PONG: a server that is still loading, or a proxy that has no Redis
// yet, answers with an error.
func awaitPing(ctx context.Context, proc *process, addr string) error {
	last := "no answer"
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); {
		answer, err := ping(addr)
		switch {
		case err == nil && answer == "+PONG":
			return nil
		case err != nil:
			last = err.Error()
		default:
			last = answer
		}
		if !proc.running() {
			return fmt.Errorf("%s ended at once:\n%s", proc.cmd.Path, proc.logTail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not serve on %s within %v: %s\n%s", proc.cmd.Path, addr, startLimit, last, proc.logTail())
}

func ping(addr string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}
