package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/pflag"

	"anabranch/internal/sandbox"
)

// runDemo starts two regions, plays every step of demoSteps, and fails when a merged result is not what the rule says.
func runDemo(ctx context.Context, args []string, stdout, _ io.Writer) error {
	flags := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	keep := flags.Bool("keep", false, "leave both regions running until Ctrl-C, to try things with redis-cli")
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprint(stdout, "usage: anabranch demo [flags]\n\nStarts two regions on this machine, each a redis-server and a proxy, writes in both while\n"+
			"the link between them is paused, resumes it, and checks what the merge gives. Nothing is left behind.\n\n")
		writeFlags(stdout, flags, false)
	}
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	binary, err := ownBinary()
	if err != nil {
		return err
	}
	out := newScreen(stdout)
	out.line("Starting two regions, each with a redis-server of its own …")
	deployment, err := sandbox.Start(ctx, sandbox.Config{Binary: binary, Regions: 2, ServeFlags: []string{"--log-format", "console", "--dashboard-conflicts", "values"}})
	if err != nil {
		return err
	}
	defer deployment.Close()

	failed, err := playDemo(ctx, out, deployment)
	if err != nil {
		if text := deployment.Failed(); text != "" && ctx.Err() == nil {
			err = errors.Join(err, errors.New(text))
		}
		return err
	}
	if *keep && failed == 0 {
		showHowToConnect(out, deployment, binary)
		<-ctx.Done()
	}
	if err := deployment.Close(); err != nil {
		return err
	}
	if failed > 0 {
		return errSilent
	}
	return nil
}

// ownBinary is the program that runs now. After it was replaced or removed, the kernel still has it.
func ownBinary() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "/proc/self/exe", nil
	}
	return path, nil
}

func playDemo(ctx context.Context, out *screen, deployment *sandbox.Sandbox) (failed int, err error) {
	player := newPlayer(out, deployment.Regions)
	defer player.close()
	out.introduce(deployment.Regions)
	if err := player.showReplication(ctx); err != nil {
		return 0, err
	}
	for i, step := range demoSteps() {
		ok, err := player.play(ctx, i+1, step)
		if err != nil {
			return failed, fmt.Errorf("step %d, %s: %w", i+1, step.title, err)
		}
		if !ok {
			failed++
		}
	}
	out.summary(len(demoSteps()), failed)
	return failed, nil
}

func showHowToConnect(out *screen, deployment *sandbox.Sandbox, binary string) {
	out.line("")
	out.line("Both regions stay up until Ctrl-C. In other terminals:")
	out.line("")
	for _, region := range deployment.Regions {
		_, port, _ := net.SplitHostPort(region.Addr)
		out.line("    redis-cli -p %-8s region %s, log in %s/%s/anabranch.log", port, region.Name, deployment.Dir, region.Name)
	}
	out.line("    %s status --admin %s", binary, deployment.Regions[0].AdminAddr)
	out.line("")
	out.line("In a browser:")
	out.line("")
	for _, region := range deployment.Regions {
		out.line("    http://%s/   region %s", region.AdminAddr, region.Name)
	}
	out.line("")
	out.line("Say CRDT PAUSE ALL in both, write what you like, say CRDT RESUME ALL in both, and read.")
}
