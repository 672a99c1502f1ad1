package redistest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is one child. Its methods may be called by several goroutines.
type process struct {
	cmd     *exec.Cmd
	logPath string
	done    chan struct{} // closed when the child has ended and was reaped

	mu  sync.Mutex
	err error // what Wait answered; guarded by mu, valid once done is closed
}

// spawn starts a child whose output is appended to logPath.
func spawn(logPath string, env []string, name string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child holds its own descriptor

	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	// A file, not a pipe: a pipe would need a copying goroutine, and would block the child when nobody reads.
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own keeps a Ctrl-C in the terminal from reaching the child before the test has decided to stop it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	p := &process{cmd: cmd, logPath: logPath, done: make(chan struct{})}
	started := make(chan error, 1)
	// Ends when the child does. The thread is locked for that long, because Pdeathsig is tied to the thread that forked.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// running says whether the child has not been reaped yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// exitError is nil while the child runs and after an exit with status 0.
func (p *process) exitError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// kill ends the child at once and waits until it is gone, so that its port is free afterwards.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // an error means that it is gone already
	<-p.done
}

// killGroup ends what the child has left behind: a Redis that is saving has forked.
func (p *process) killGroup() {
	group := -p.cmd.Process.Pid
	for range 40 {
		if syscall.Kill(group, syscall.SIGKILL) != nil {
			return // nobody is left
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// terminate asks the child to end and waits for at most limit.
func (p *process) terminate(limit time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = p.signal(syscall.SIGCONT) // a paused child would never see the SIGTERM
	select {
	case <-p.done:
		return p.exitError()
	case <-time.After(limit):
		return fmt.Errorf("still running %v after SIGTERM", limit)
	}
}

// logTail is the last part of the child's output, for messages.
func logTail(path string, limitBytes int64) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if int64(len(data)) > limitBytes {
		data = data[int64(len(data))-limitBytes:]
	}
	return string(data)
}
