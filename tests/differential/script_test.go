package differential

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mode says how the two replies of a line are compared.
type mode int

const (
	exact mode = iota
	unordered
	shape
	near
	differs
)

// line is one command of a script, or a directive without a command.
type line struct {
	number int
	args   []string
	mode   mode
	slack  int64         // for near
	direct bool          // past the proxy
	pause  time.Duration // instead of a command
	exec   bool          // EXEC of one command, whose mode this is
}

// inScript lets a script of the client carry out every command.
func inScript(script []line) []line {
	var wrapped []line
	for _, l := range script {
		if l.mode == differs {
			continue // it is about the proxy
		}
		switch strings.ToUpper(l.args0()) {
		case "RANDOMKEY":
			l.mode = shape // SCAN and RANDOMKEY of two servers agree on one key only
		case "PTTL":
			if l.mode == exact {
				l.mode, l.slack = near, 100 // a script's clock stands still, and the two scripts begin apart
			}
		}
		if !l.direct && l.pause == 0 {
			l.args = append([]string{"EVAL", "return redis.call(unpack(ARGV))", "0"}, l.args...)
		}
		wrapped = append(wrapped, l)
	}
	return wrapped
}

// inMulti puts every command into a transaction of its own, but for those that change the connection.
func inMulti(script []line) []line {
	var wrapped []line
	for _, l := range script {
		if l.direct || l.pause > 0 || slices.Contains([]string{"HELLO", "RESET", "QUIT", "MULTI", "EXEC", "DISCARD", "WATCH", "CLIENT",
			"READONLY", "READWRITE", "ASKING"}, strings.ToUpper(l.args0())) {
			wrapped = append(wrapped, l)
			continue
		}
		wrapped = append(wrapped, line{number: l.number, args: []string{"MULTI"}}, line{number: l.number, args: l.args})
		wrapped = append(wrapped, line{number: l.number, args: []string{"EXEC"}, mode: l.mode, slack: l.slack, exec: true})
	}
	return wrapped
}

// randomOrder lists commands whose order of elements Redis does not promise and that differs between two servers.
var randomOrder = map[string]bool{
	"SMEMBERS": true, "SUNION": true, "SINTER": true, "SDIFF": true, "KEYS": true, "SCAN": true, "SSCAN": true,
}

func loadScript(t *testing.T, path string) []line {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var script []line
	for i, text := range strings.Split(string(data), "\n") {
		parsed, err := parseLine(text)
		if err != nil {
			t.Fatalf("%s:%d: %v", path, i+1, err)
		}
		if parsed.args == nil && parsed.pause == 0 {
			continue
		}
		parsed.number = i + 1
		script = append(script, parsed)
	}
	return script
}

func parseLine(text string) (line, error) {
	text = strings.TrimSpace(text)
	if text == "" || text[0] == '#' {
		return line{}, nil
	}
	args, err := splitArgs(text)
	if err != nil {
		return line{}, err
	}
	var l line
	for len(args) > 0 && strings.HasPrefix(args[0], "!") {
		directive := args[0]
		args = args[1:]
		switch directive {
		case "!flush":
			args = []string{"FLUSHALL"}
		case "!direct":
			l.direct = true
		case "!unordered":
			l.mode = unordered
		case "!shape":
			l.mode = shape
		case "!differs":
			l.mode = differs
		case "!near", "!sleep":
			if len(args) == 0 {
				return l, fmt.Errorf("%s without a number", directive)
			}
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return l, err
			}
			args = args[1:]
			if directive == "!sleep" {
				return line{pause: time.Duration(n) * time.Millisecond}, nil
			}
			l.mode, l.slack = near, int64(n)
		default:
			return l, fmt.Errorf("unknown directive %s", directive)
		}
	}
	if len(args) == 0 {
		return l, errors.New("a directive without its command")
	}
	if l.mode == exact && randomOrder[strings.ToUpper(args[0])] {
		l.mode = unordered
	}
	l.args = args
	return l, nil
}

// splitArgs follows sdssplitargs of Redis, plus <N*text> and <from..to*words>.
func splitArgs(text string) ([]string, error) {
	var args []string
	for i := 0; ; {
		for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
			i++
		}
		if i == len(text) {
			return args, nil
		}
		arg, quoted, next, err := nextArg(text, i)
		if err != nil {
			return nil, err
		}
		if quoted {
			args = append(args, arg)
		} else {
			args = append(args, expand(arg)...)
		}
		i = next
	}
}

// nextArg reads the argument that begins at i; quoted says whether any of it stood in quotes.
func nextArg(text string, i int) (arg string, quoted bool, next int, err error) {
	var out strings.Builder
	quote := byte(0)
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			return out.String(), quoted, i, nil
		case quote == 0 && (c == '"' || c == '\''):
			quote, quoted = c, true
		case quote != 0 && c == quote:
			if i+1 < len(text) && text[i+1] != ' ' && text[i+1] != '\t' {
				return "", false, 0, fmt.Errorf("no space after the closing quote in %q", text)
			}
			quote = 0
		case quote == '"' && c == '\\':
			value, width := escape(text[i:])
			out.WriteByte(value)
			i += width - 1
		case quote == '\'' && strings.HasPrefix(text[i:], `\'`):
			out.WriteByte('\'')
			i++
		default:
			out.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", false, 0, fmt.Errorf("open quote in %q", text)
	}
	return out.String(), quoted, i, nil
}

// escape reads one backslash sequence inside double quotes.
func escape(text string) (value byte, width int) {
	if len(text) >= 4 && text[1] == 'x' {
		if n, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
			return byte(n), 4
		}
	}
	if len(text) < 2 {
		return '\\', 1
	}
	if at := strings.IndexByte("nrtba", text[1]); at >= 0 {
		return "\n\r\t\b\a"[at], 2
	}
	return text[1], 2
}

// expand turns the bare word <N*text> into N times text, and <from..to*a#,b> into many arguments: those between the
// commas, once for each number, which replaces #. Any other word stays as it is.
func expand(word string) []string {
	if !strings.HasPrefix(word, "<") || !strings.HasSuffix(word, ">") {
		return []string{word}
	}
	count, body, ok := strings.Cut(word[1:len(word)-1], "*")
	if !ok {
		return []string{word}
	}
	if from, to, isRange := strings.Cut(count, ".."); isRange {
		low, err1 := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		if err1 == nil && err2 == nil {
			var args []string
			for n := low; n < high; n++ {
				args = append(args, strings.Split(strings.ReplaceAll(body, "#", strconv.Itoa(n)), ",")...)
			}
			return args
		}
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return []string{word}
	}
	return []string{strings.Repeat(body, n)}
}
