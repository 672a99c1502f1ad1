package redistest

import (
	"path/filepath"
	"testing"
)

// Command is any other program that runs until the test ends: another subcommand of anabranch, or a server that an example starts.
type Command struct {
	t    testing.TB
	name string
	path string // of its log
	proc *process
}

// StartCommand runs `anabranch ARGS…`.
func StartCommand(t testing.TB, args ...string) *Command {
	t.Helper()
	return StartProgram(t, nil, Binary(t, false), args...)
}

// StartProgram runs a program, with these variables (NAME=VALUE) besides those that there are.
func StartProgram(t testing.TB, env []string, name string, args ...string) *Command {
	t.Helper()
	c := &Command{t: t, name: name, path: filepath.Join(t.TempDir(), "log")}
	if len(args) > 0 {
		c.name += " " + args[0]
	}
	proc, err := spawn(c.path, env, name, args...)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	c.proc = proc
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Logf("%s:\n%s", c.name, c.Log())
		}
	})
	return c
}

// Running says whether the program lives.
func (c *Command) Running() bool { return c.proc.running() }

// PID is the process id.
func (c *Command) PID() int { return c.proc.cmd.Process.Pid }

// Stop sends SIGTERM; the command must end with status 0.
func (c *Command) Stop() {
	c.t.Helper()
	if err := c.proc.terminate(stopLimit); err != nil {
		c.t.Fatalf("redistest: %s: %v\n%s", c.name, err, c.Log())
	}
}

// Kill sends SIGKILL and waits for the end, also of what the program has forked.
func (c *Command) Kill() {
	if c.proc.running() {
		c.proc.kill()
	}
	c.proc.killGroup()
}

// Log is the end of what the command printed.
func (c *Command) Log() string { return logTail(c.path, logBytes) }
