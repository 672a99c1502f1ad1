package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it was tried and did not work, or a check failed
	exitUsage   = 2 // a flag, variable or file is wrong; nothing was started. Of verify also: the comparison is not complete
)

// A subcommand gets its arguments and the streams to use. It returns nil, a *usageError, or a failure.
type subcommand struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

func subcommands() []subcommand {
	return []subcommand{
		{"serve", "run the proxy in front of this region's Redis", runServe},
		{"status", "show the links to the other regions; fails when one is unhealthy", runStatus},
		{"conflicts", "show what was written concurrently, and what won", runConflicts},
		{"members", "add and remove regions while all goes on", runMembers},
		{"verify", "compare all regions, and name the keys that differ", runVerify},
		{"haproxy-config", "write a configuration for HAProxy in front of the proxies", runHAProxyConfig},
		{"haproxy-sync", "keep a running HAProxy equal to Consul's catalogue", runHAProxySync},
		{"migrate", "from an active-passive pair to active-active: check, report, promote", runMigrate},
		{"uninstall", "take Anabranch out of a Redis: its keys and its library go, data stays", runUninstall},
		{"demo", "start two regions on this machine and show how writes merge", runDemo},
		{"version", "print the version", runVersion},
		{"help", "show this text", runHelp},
	}
}

// usageError is a mistake of the caller: exit code 2.
type usageError struct{ reason error }

func (e *usageError) Error() string { return e.reason.Error() }
func (e *usageError) Unwrap() error { return e.reason }

// incompleteError is a comparison that did not come to its end: exit code 2.
type incompleteError struct{ reason error }

func (e *incompleteError) Error() string { return e.reason.Error() }
func (e *incompleteError) Unwrap() error { return e.reason }

// errSilent ends the program with status 1 when everything worth saying has been printed.
var errSilent = errors.New("failed")

func main() {
	// A sidecar shares its machine with Redis, which is one thread: on half of the cores it gets more done than on all,
	// because its goroutines move about less. Go's own choice is less than that where a container has a limit.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), max(1, runtime.NumCPU()/2)))
	}
	// SIGTERM and Ctrl-C end the context. A second one kills, because the handler is gone by then; but not at once, since
	// some senders, such as timeout(1), signal the process and then its group.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		writeHelp(stderr)
		return exitUsage
	}
	name := args[0]
	switch name {
	case "-h", "--help":
		name = "help"
	case "--version":
		name = "version"
	}
	for _, sub := range subcommands() {
		if sub.name == name {
			return exitCode(sub.run(ctx, args[1:], stdout, stderr), name, stderr)
		}
	}
	fmt.Fprintf(stderr, "anabranch: unknown command %q; \"anabranch help\" lists them\n", name)
	return exitUsage
}

func exitCode(err error, name string, stderr io.Writer) int {
	var usage *usageError
	var incomplete *incompleteError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailure
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "anabranch %s: %v\n\"anabranch %s --help\" lists the flags\n", name, usage.reason, name)
		return exitUsage
	case errors.As(err, &incomplete):
		fmt.Fprintf(stderr, "anabranch %s: %v\n", name, err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "anabranch %s: %v\n", name, err)
	return exitFailure
}
