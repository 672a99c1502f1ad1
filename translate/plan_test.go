package translate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write testdata and docs/commands.md anew from the table")

// TestPlans holds the plans to testdata/plans: a command line, and indented below it the plan and the error.
func TestPlans(t *testing.T) {
	for _, path := range planFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			var wrong, whole strings.Builder
			for _, c := range readPlans(t, path) {
				got := describe(c.args)
				if got != c.plan {
					fmt.Fprintf(&wrong, "%s\n%swant:\n%s", c.line, got, c.plan)
				}
				whole.WriteString(c.line + "\n" + got)
			}
			if *update {
				if err := os.WriteFile(path, []byte(whole.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if wrong.Len() > 0 {
				t.Errorf("plans differ (go test -update writes them):\n%s", wrong.String())
			}
		})
	}
}

// TestEveryCommandHasAPlan fails when a command was added without a line in testdata/plans. Of subcommands only those with
// keys need one.
func TestEveryCommandHasAPlan(t *testing.T) {
	seen := map[*Command]bool{}
	for _, path := range planFiles(t) {
		for _, c := range readPlans(t, path) {
			seen[Classify(Lookup(c.args[0]), c.args).Command] = true
		}
	}
	for _, cmd := range Commands() {
		if cmd.subcommands == nil && !seen[cmd] {
			t.Errorf("%s has no line in testdata/plans", cmd.Name)
		}
		for _, sub := range cmd.Subcommands() {
			if len(sub.keys) > 0 && !seen[sub] {
				t.Errorf("%s has keys but no line in testdata/plans", sub.Name)
			}
		}
	}
}

type planCase struct {
	line string
	args [][]byte
	plan string
}

func planFiles(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	return paths
}

func readPlans(t testing.TB, path string) []planCase {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []planCase
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "\t") {
			cases[len(cases)-1].plan += line
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		cases = append(cases, planCase{line: line, args: splitLine(t, line)})
	}
	return cases
}

// splitLine cuts a command line at spaces; an argument may be a quoted Go string.
func splitLine(t testing.TB, line string) [][]byte {
	t.Helper()
	var args [][]byte
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		word, err := strconv.QuotedPrefix(rest)
		if err != nil {
			word, _, _ = strings.Cut(rest, " ")
			args = append(args, []byte(word))
		} else {
			plain, _ := strconv.Unquote(word)
			args = append(args, []byte(plain))
		}
		rest = rest[len(word):]
	}
	return args
}

func describe(args [][]byte) string {
	plan := Classify(Lookup(args[0]), args)
	words := []string{plan.Class.String()}
	if plan.Shape != ShapePlain {
		words = append(words, "shape="+plan.Shape.String())
	}
	if plan.DenyOOM {
		words = append(words, "denyoom")
	}
	if plan.Command != nil {
		plan.Command.EachKey(args, func(position int, access Access) bool {
			words = append(words, fmt.Sprintf("%d:%s", position, accessText(access)))
			return true
		})
	}
	text := "\t" + strings.Join(words, " ") + "\n"
	if plan.Err != "" {
		text += "\t-" + printable(plan.Err) + "\n"
	}
	return text
}

// printable quotes an error that a text file cannot hold as it is.
func printable(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strconv.Quote(text)
}

func accessText(access Access) string {
	text := ""
	for _, bit := range []struct {
		access Access
		letter string
	}{{AccessRead, "r"}, {AccessWrite, "w"}, {AccessPattern, "*"}} {
		if access&bit.access != 0 {
			text += bit.letter
		}
	}
	if text == "" {
		return "name"
	}
	return text
}
