package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// scenario is one line of scenarios.jsonl.
type scenario struct {
	ID              string   `json:"id"`
	Source          string   `json:"source"`
	Topic           string   `json:"topic"`
	Note            string   `json:"note"`
	Derived         bool     `json:"derived"`
	Confidence      string   `json:"confidence"`
	Requires        []string `json:"requires"`
	ConvergenceOnly bool     `json:"expect_convergence_only"`
	Regions         int      `json:"regions"`
	Steps           []step   `json:"steps"`
	Expect          []step   `json:"expect"`
}

// step is one thing that happens, or one thing that is expected.
type step struct {
	At        string      `json:"at"`
	Cmd       []string    `json:"cmd"`
	Conn      int         `json:"conn"` // another connection in the same region
	Sync      bool        `json:"sync"`
	SleepMS   int         `json:"sleep_ms"`
	Partition []string    `json:"partition"`
	Heal      bool        `json:"heal"`
	Subscribe []string    `json:"subscribe"`
	Messages  [][2]string `json:"messages"` // channel and payload
	check
}

// check is what a reply must look like. The zero check accepts everything but an error.
type check struct {
	Reply       json.RawMessage   `json:"reply"`
	Unordered   bool              `json:"unordered"`       // compare as a multiset
	Numeric     bool              `json:"numeric"`         // compare as floats
	Range       []int64           `json:"range"`           // an integer between these two
	OneOf       []json.RawMessage `json:"one_of"`          // any of these
	ReplyLen    *int              `json:"reply_len"`       // number of elements
	Error       bool              `json:"error"`           // must be an error
	ErrorPrefix string            `json:"error_prefix"`    // that begins so
	JSON        bool              `json:"json"`            // the reply is a string that holds JSON
	Project     any               `json:"project"`         // take this field name or index of every row
	Everywhere  bool              `json:"same_everywhere"` // the raw reply must be the same in all regions
	shown       string            // the reply as redis-cli shows it, on one line; "…" stands for the rest
}

// empty says that the check looks at nothing, so the regions are compared with each other.
func (c check) empty() bool {
	return c.Reply == nil && c.Range == nil && c.OneOf == nil && c.ReplyLen == nil && !c.Error
}

func load(t *testing.T) []scenario {
	t.Helper()
	data, err := os.ReadFile("testdata/scenarios.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		s, err := parse(lines.Bytes())
		if err != nil {
			t.Fatalf("scenarios.jsonl:%d: %v", n, err)
		}
		if seen[s.ID] {
			t.Fatalf("scenarios.jsonl:%d: %s is there twice", n, s.ID)
		}
		seen[s.ID] = true
		all = append(all, s)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// parse refuses unknown fields: a check that the runner does not know would otherwise pass unseen.
func parse(line []byte) (scenario, error) {
	var s scenario
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, err
	}
	if s.ID == "" || s.Regions < 2 || len(s.Expect) == 0 {
		return s, fmt.Errorf("scenario %q without name, regions or expectations", s.ID)
	}
	return s, nil
}

// String shows a step in messages.
func (s step) String() string {
	switch {
	case s.Sync:
		return "sync"
	case s.Heal:
		return "heal"
	case s.Partition != nil:
		return "partition " + strings.Join(s.Partition, "-")
	case s.Subscribe != nil:
		return s.At + ": SUBSCRIBE " + strings.Join(s.Subscribe, " ")
	case s.Messages != nil:
		return fmt.Sprintf("%s: messages %q", s.At, s.Messages)
	case s.Cmd != nil:
		return s.At + ": " + strings.Join(s.Cmd, " ")
	}
	return fmt.Sprintf("sleep %d ms", s.SleepMS)
}
