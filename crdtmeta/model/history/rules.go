package history

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"anabranch/crdtmeta/model"
)

// Rule is a short history with the state that it must end in, for reading. A file of rules looks like this:
//
//	== name of the rule
//	adopt s set a b        every region has had this key from the start
//	A SADD s c -> 1        region A executes a command (and replies 1)
//	A>B                    all that A has written goes to B
//	sync                   everything goes everywhere
//	B t1 SET k v           with the time given, in milliseconds after the start of the rule
//	expect s set a b c     in every region; "none" for a key that must not exist
//	expect k string v ttl=9000000001000
//
// Words are separated by blanks; one in double quotes is a Go string. Comments start with #.
type Rule struct {
	Name  string
	Line  int
	Steps []Step
}

// Step is one line of a rule.
type Step struct {
	Line   int
	Kind   string // "do", "deliver", "sync", "adopt", "expect"
	Region string // "A", "B" or "C"
	To     string // for "deliver"
	Time   int64  // for "do": milliseconds, 0 when the rule does not care
	Words  []string
	Reply  string // for "do": the reply as Print writes it, "" when the rule does not care
}

// ReadRules reads a file of rules.
func ReadRules(path string) ([]Rule, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var rules []Rule
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if name, found := strings.CutPrefix(line, "== "); found {
			rules = append(rules, Rule{Name: name, Line: number})
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(rules) == 0 {
			return nil, fmt.Errorf("%s:%d: a step before the first rule", path, number)
		}
		step, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		step.Line = number
		last := &rules[len(rules)-1]
		last.Steps = append(last.Steps, step)
	}
	return rules, lines.Err()
}

func parseStep(line string) (Step, error) {
	line, reply, _ := strings.Cut(line, " -> ")
	words, err := split(line)
	if err != nil {
		return Step{}, err
	}
	switch head := words[0]; {
	case head == "sync":
		return Step{Kind: "sync"}, nil
	case head == "adopt" || head == "expect":
		if len(words) < 3 {
			return Step{}, fmt.Errorf("%s wants a key and a type", head)
		}
		return Step{Kind: head, Words: words[1:]}, nil
	case len(head) == 3 && head[1] == '>':
		return Step{Kind: "deliver", Region: head[:1], To: head[2:]}, nil
	case len(head) == 1 && len(words) > 1:
		step := Step{Kind: "do", Region: head, Words: words[1:], Reply: strings.TrimSpace(reply)}
		if millis, found := strings.CutPrefix(words[1], "t"); found && len(words) > 2 {
			if n, err := strconv.ParseInt(millis, 10, 64); err == nil {
				step.Time, step.Words = n, words[2:]
			}
		}
		return step, nil
	}
	return Step{}, fmt.Errorf("unknown step %q", line)
}

// split takes a line apart into words; quoted ones are unquoted as Go strings.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("in %q: %w", line, err)
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			words, line = append(words, word), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, word), rest
	}
	return words, nil
}

// Print writes a reply in the form that rules use: (nil), 5, "text", OK, (error) ERR …, [a b].
func Print(reply any) string {
	switch r := reply.(type) {
	case nil:
		return "(nil)"
	case int64:
		return strconv.FormatInt(r, 10)
	case string:
		return strconv.Quote(r)
	case error:
		return "(error) " + r.Error()
	case []any:
		parts := make([]string, len(r))
		for i, item := range r {
			parts[i] = Print(item)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(reply)
}

// ParseValue reads "key type words… [ttl=…]".
func ParseValue(words []string) (string, model.Value) {
	key, kind, words := words[0], words[1], words[2:]
	var v model.Value
	if len(words) > 0 {
		if ttl, found := strings.CutPrefix(words[len(words)-1], "ttl="); found {
			v.Deadline, _ = strconv.ParseInt(ttl, 10, 64)
			words = words[:len(words)-1]
		}
	}
	for _, t := range []model.Type{model.String, model.Hash, model.Set, model.ZSet, model.List} {
		if t.String() == kind {
			v.Type = t
		}
	}
	switch v.Type {
	case model.None:
		return key, model.Value{}
	case model.String:
		v.String = words[0]
		return key, v
	case model.List:
		v.List = append(v.List, words...)
		return key, v
	}
	v.Elements = map[string]string{}
	if v.Type == model.Set {
		for _, member := range words {
			v.Elements[member] = ""
		}
		return key, v
	}
	for i := 0; i+1 < len(words); i += 2 {
		v.Elements[words[i]] = words[i+1]
	}
	return key, v
}
