package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"anabranch/internal/sandbox"
)

// screen prints the demo for people. Colours are for terminals only, and only where NO_COLOR is not set.
type screen struct {
	out     io.Writer
	colours bool
}

func newScreen(out io.Writer) *screen {
	return &screen{out: out, colours: isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ANSI codes.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
	amber = "33"
)

func (s *screen) paint(code, text string) string {
	if !s.colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) line(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *screen) introduce(regions []*sandbox.Region) {
	s.line("")
	for _, region := range regions {
		s.line("  region %s   clients ──► anabranch %s ──► redis-server %s", s.name(region.Name), region.Addr, region.Redis.Addr)
	}
	s.line("")
	s.line("Both regions take reads and writes. In each step below the link between them is paused, both")
	s.line("write to the same key, the link is resumed, and both are asked what came out of it.")
}

func (s *screen) heading(text string) {
	s.line("")
	s.line("%s", s.paint(bold, text))
}

// commandWidth keeps the replies of a step in one column.
const commandWidth = 38

func (s *screen) exchange(region, command, reply string) {
	padding := strings.Repeat(" ", max(0, commandWidth-len(command)))
	s.line("   %s> %s%s  %s", s.name(region), command, padding, reply)
}

func (s *screen) note(format string, args ...any) {
	s.line("   %s", s.paint(dim, "── "+fmt.Sprintf(format, args...)))
}

func (s *screen) rule(ok bool, text string) {
	if ok {
		s.line("   %s %s", s.paint(green, "✓"), text)
		return
	}
	s.line("   %s %s", s.paint(red, "✗"), text)
}

func (s *screen) wrong(text string) { s.line("   %s", s.paint(red, "wrong: "+text)) }

func (s *screen) summary(steps, failed int) {
	s.line("")
	if failed == 0 {
		s.line("%s", s.paint(green, fmt.Sprintf("✓ %d of %d steps: both regions answer the same, and as the rules say.", steps, steps)))
		return
	}
	s.line("%s", s.paint(red, fmt.Sprintf("✗ %d of %d steps did not come out as the rules say.", failed, steps)))
}

func (s *screen) name(region string) string {
	if region == "A" {
		return s.paint(cyan, region)
	}
	return s.paint(amber, region)
}
