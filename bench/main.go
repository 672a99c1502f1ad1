package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"anabranch/internal/sandbox"
)

// options are what the command line says.
type options struct {
	seconds     float64
	rounds      int
	workloads   []string
	connections []int
	pipelines   []int
	regions     int
	sections    []string
	binary      string
	serveFlags  []string
	quick       bool
}

// The parts of the report, in their order.
var allSections = []string{"throughput", "lag", "memory", "redis-benchmark"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:])
	if err == nil {
		err = run(ctx, o)
	}
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Float64Var(&o.seconds, "seconds", 5, "measured time of one row, of one target, of one round")
	flags.IntVar(&o.rounds, "rounds", 3, "turns of plain Redis and Anabranch for each row; the median counts")
	flags.StringSliceVar(&o.workloads, "workloads", workloadNames(), "commands to measure")
	flags.IntSliceVar(&o.connections, "connections", []int{1, 50, 500}, "connections of the load driver")
	flags.IntSliceVar(&o.pipelines, "pipelines", []int{1, 4, 16}, "commands that a connection sends before it reads")
	flags.IntVar(&o.regions, "regions", 2, "regions behind Anabranch; 1 leaves replication out, to tune the hot path")
	flags.StringSliceVar(&o.sections, "sections", allSections, "parts of the report")
	flags.StringVar(&o.binary, "binary", "", "anabranch program to measure; without it the tree is built")
	flags.StringArrayVar(&o.serveFlags, "serve-flag", nil, "flag added to every anabranch serve, such as --pprof; repeat it")
	flags.BoolVar(&o.quick, "quick", false, "SET and GET with 50 connections, one round: does it still run, roughly how fast")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds, o.workloads, o.connections, o.pipelines = 1, []string{"SET", "GET"}, []int{50}, []int{1, 16}
		o.sections = []string{"throughput"}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.seconds < 0.1 || o.seconds > 600:
		return o, fmt.Errorf("--seconds: %v is not between 0.1 and 600", o.seconds)
	case o.rounds < 1 || o.rounds > 100:
		return o, fmt.Errorf("--rounds: %d is not between 1 and 100", o.rounds)
	case slices.Min(o.connections) < 1 || slices.Max(o.connections) > 5000:
		return o, fmt.Errorf("--connections: must be 1 to 5000")
	case slices.Min(o.pipelines) < 1 || slices.Max(o.pipelines) > 1000:
		return o, fmt.Errorf("--pipelines: must be 1 to 1000")
	case o.regions < 1 || o.regions > 5:
		return o, fmt.Errorf("--regions: must be 1 to 5")
	}
	for _, name := range o.workloads {
		if _, ok := workloads[strings.ToUpper(name)]; !ok {
			return o, fmt.Errorf("--workloads: %q is not one of %s", name, strings.Join(workloadNames(), ", "))
		}
	}
	return o, nil
}

// duration of one measurement.
func (o options) duration() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

func run(ctx context.Context, o options) error {
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "anabranch-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.binary = filepath.Join(dir, "anabranch")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./cmd/anabranch")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("go build ./cmd/anabranch: %w", err)
		}
	}
	fmt.Println(machine(ctx))
	parts := map[string]func(context.Context, options, *targets) error{
		"throughput": reportThroughput, "lag": reportLag, "memory": reportMemory, "redis-benchmark": reportRedisBenchmark,
	}
	for _, name := range o.sections {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("--sections: %q is not one of %s", name, strings.Join(allSections, ", "))
		}
		// Every part starts with empty servers: what one leaves behind must not slow the next one down.
		if err := withTargets(ctx, o, part); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// targets are what is compared.
type targets struct {
	plain     *sandbox.Server
	anabranch *sandbox.Sandbox
}

// local is the region that gets the load.
func (t *targets) local() *sandbox.Region { return t.anabranch.Regions[0] }

// peerPIDs are the processes of the other regions.
func (t *targets) peerPIDs() (pids []int) {
	for _, region := range t.anabranch.Regions[1:] {
		pids = append(pids, region.Redis.PID(), region.ProxyPID())
	}
	return pids
}

func withTargets(ctx context.Context, o options, part func(context.Context, options, *targets) error) error {
	deployment, err := sandbox.Start(ctx, sandbox.Config{Binary: o.binary, Regions: o.regions, ServeFlags: o.serveFlags})
	if err != nil {
		return err
	}
	defer deployment.Close()
	plain, err := sandbox.StartRedis(ctx, filepath.Join(deployment.Dir, "plain"))
	if err != nil {
		return err
	}
	defer plain.Close()
	if err := part(ctx, o, &targets{plain, deployment}); err != nil {
		return errors.Join(err, failure(deployment))
	}
	return nil
}

func failure(deployment *sandbox.Sandbox) error {
	if text := deployment.Failed(); text != "" {
		return errors.New(text)
	}
	return nil
}
