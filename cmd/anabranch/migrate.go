package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// runMigrate is `anabranch migrate check | report | promote`: what an operator needs on the way of docs/migration.md.
func runMigrate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	steps := []subcommand{
		{"check", "look at a Redis before anything is changed", runMigrateCheck},
		{"report", "ask proxies whether the next step may be taken: go, or no go", runMigrateReport},
		{"promote", "make a region's replica the primary of a region of its own", runMigratePromote},
	}
	if len(args) > 0 {
		for _, step := range steps {
			if step.name == args[0] {
				return step.run(ctx, args[1:], stdout, stderr)
			}
		}
		if args[0] != "-h" && args[0] != "--help" && args[0] != "help" {
			return &usageError{fmt.Errorf("%q: expected check, report or promote", args[0])}
		}
	}
	fmt.Fprint(stdout, `usage: anabranch migrate STEP [flags]

From an active-passive pair to active-active, without downtime and without copying data;
docs/migration.md is the guide.

`)
	for _, step := range steps {
		fmt.Fprintf(stdout, "  %-8s %s\n", step.name, step.summary)
	}
	if len(args) == 0 {
		return &usageError{errors.New("expected check, report or promote")}
	}
	for _, step := range steps {
		fmt.Fprintln(stdout)
		if err := step.run(ctx, []string{"--help"}, stdout, stderr); !errors.Is(err, pflag.ErrHelp) {
			return err
		}
	}
	return nil
}

// finding is one line of a check or a report.
type finding struct {
	Level string `json:"level"` // ok, look or no
	What  string `json:"what"`
	Text  string `json:"text"`
}

// The levels: fine; somebody should decide; the next step must not be taken.
const (
	levelOK   = "ok"
	levelLook = "look"
	levelNo   = "no"
)

// findings are what a check comes to.
type findings []finding

func (f *findings) add(level, what, format string, args ...any) {
	*f = append(*f, finding{level, what, fmt.Sprintf(format, args...)})
}

// when adds one level or another.
func (f *findings) when(good bool, otherwise, what, format string, args ...any) {
	if good {
		otherwise = levelOK
	}
	f.add(otherwise, what, format, args...)
}

func (f findings) count(level string) (n int) {
	for _, one := range f {
		if one.Level == level {
			n++
		}
	}
	return n
}

var marks = map[string]string{levelOK: "✓", levelLook: "!", levelNo: "✗"}

func (f findings) write(out io.Writer) {
	for _, one := range f {
		fmt.Fprintf(out, "%s %-14s %s\n", marks[one.Level], one.What, strings.ReplaceAll(one.Text, "\n", "\n                 "))
	}
}

// verdict prints the end of a list, and fails if something must be done first.
func (f findings) verdict(out io.Writer, next string) error {
	no, look := f.count(levelNo), f.count(levelLook)
	switch {
	case no > 0:
		fmt.Fprintf(out, "\nNO GO: %d to put right (✗), %d to look at (!)\n", no, look)
		return errSilent
	case look > 0:
		fmt.Fprintf(out, "\nGO, with %d to look at (!): %s\n", look, next)
	default:
		fmt.Fprintf(out, "\nGO: %s\n", next)
	}
	return nil
}
