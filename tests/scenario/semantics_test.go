package scenario

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

const semanticsPage = "../../docs/semantics.md"

// betweenCommandsMillis lies between the commands of a history, so that "later" is later by the clocks.
const betweenCommandsMillis = 5

// TestSemanticsPage plays every history of the page, so that it cannot promise what the regions do not do.
func TestSemanticsPage(t *testing.T) {
	redistest.Slow(t)
	page, err := os.ReadFile(semanticsPage)
	if err != nil {
		t.Fatal(err)
	}
	all, err := histories(string(page))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("%s has %d histories; are they still marked so?", semanticsPage, len(all))
	}
	s := &stage{t: t}
	for _, history := range all {
		t.Run(history.ID, func(t *testing.T) {
			if err := s.perform(t, history, true); err != nil {
				t.Error(err)
				s.drop()
			}
		})
	}
}

// histories reads the blocks of a page that are marked as such: a line for each command, in the order of time, and "--"
// where all regions get all that the others have.
func histories(page string) ([]scenario, error) {
	var all []scenario
	var open *scenario
	for n, line := range strings.Split(page, "\n") {
		switch {
		case line == "```history":
			open = &scenario{ID: fmt.Sprintf("line %d", n+1), Regions: stageRegions}
		case line == "```" && open != nil:
			all = append(all, *open)
			open = nil
		case open != nil && strings.HasPrefix(line, "--"):
			open.Steps = append(open.Steps, step{Sync: true})
		case open != nil:
			steps, err := historyLine(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			open.Steps = append(open.Steps, steps...)
		}
	}
	return all, nil
}

// A region, or all; the command; and what it answers, where that matters.
var (
	historyForm = regexp.MustCompile(`^(all|[A-C])> +(.+?)(?: +→ (.+))?$`)
	historyWord = regexp.MustCompile(`"[^"]*"|\S+`)
)

func historyLine(line string) ([]step, error) {
	parts := historyForm.FindStringSubmatch(line)
	if parts == nil {
		return nil, fmt.Errorf("%q is no command of a history", line)
	}
	command := step{At: parts[1], check: check{shown: parts[3]}}
	for _, word := range historyWord.FindAllString(parts[2], -1) {
		command.Cmd = append(command.Cmd, strings.Trim(word, `"`))
	}
	command.Unordered = command.Cmd[0] == "SMEMBERS"
	if command.At != "all" {
		return []step{{SleepMS: betweenCommandsMillis}, command}, nil
	}
	var everywhere []step
	for i := range stageRegions {
		command.At = string(rune('A' + i))
		everywhere = append(everywhere, command)
	}
	return everywhere, nil
}

func TestHistoriesAreRead(t *testing.T) {
	all, err := histories("```history\nA> SET \"a b\" 1\n-- seen\nB> GET k  → \"1\"\nall> TYPE k → none\n```\n```\nother\n```\n")
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	var got []string
	for _, s := range all[0].Steps {
		if s.SleepMS == 0 {
			got = append(got, fmt.Sprintf("%s = %s = %s", s, strings.Join(s.Cmd, "|"), s.shown))
		}
	}
	want := []string{"A: SET a b 1 = SET|a b|1 = ", "sync =  = ", `B: GET k = GET|k = "1"`, "A: TYPE k = TYPE|k = none", "B: TYPE k = TYPE|k = none", "C: TYPE k = TYPE|k = none"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := histories("```history\nD> GET k\n```\n"); err == nil {
		t.Error("a region that does not exist is taken")
	}
}

func TestShownRepliesCanFail(t *testing.T) {
	for _, test := range []struct{ shown, right, wrong string }{
		{`"1"`, "$1\r\n1\r\n", ":1\r\n"},
		{`(nil)`, "$-1\r\n", "$0\r\n\r\n"},
		{`["a" "b"]`, "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*1\r\n$1\r\na\r\n"},
		{`(error) WRONGTYPE…`, "-WRONGTYPE x\r\n", "-ERR x\r\n"},
		{`OK`, "+OK\r\n", "-OK\r\n"},
	} {
		c := check{shown: test.shown}
		if err := c.verify(reply(t, test.right)); err != nil {
			t.Errorf("%s refuses %q: %v", test.shown, test.right, err)
		}
		if err := c.verify(reply(t, test.wrong)); err == nil {
			t.Errorf("%s accepts %q", test.shown, test.wrong)
		}
	}
}
