package acl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
	"anabranch/translate"
)

// oracle is a real server, which knows better.
type oracle struct {
	t          *testing.T
	client     *redis.Client
	vocabulary *Vocabulary
	random     *rand.Rand
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ANABRANCH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with ANABRANCH_SEED=%d", seed)
		}
	})
	client := redistest.Start(t).Client()
	reply, err := client.Do(context.Background(), "COMMAND").Slice()
	if err != nil {
		t.Fatal(err)
	}
	return &oracle{
		t: t, client: client, vocabulary: NewVocabulary(ReadCommands(reply)), random: rand.New(rand.NewPCG(seed, 1)),
	}
}

func (o *oracle) do(args ...any) (any, error) {
	return o.client.Do(context.Background(), args...).Result()
}

// read returns the user as ACL LIST tells it.
func (o *oracle) read(name string) *User {
	o.t.Helper()
	lines, err := o.client.Do(context.Background(), "ACL", "LIST").StringSlice()
	if err != nil {
		o.t.Fatal(err)
	}
	directory, confused := ReadDirectory(o.vocabulary, lines, nil)
	if len(confused) > 0 {
		o.t.Errorf("%v in %q", confused, lines)
	}
	return directory.User(name)
}

// text is a random word of a few letters, some of which mean something in patterns.
func (o *oracle) text(letters string) string {
	word := make([]byte, o.random.IntN(7))
	for i := range word {
		word[i] = letters[o.random.IntN(len(letters))]
	}
	return string(word)
}

// pattern is never a lone star: %RW~* is printed like ~*, though it is not about the empty name.
func (o *oracle) pattern() string {
	if o.random.IntN(2) == 0 {
		return o.pick(patterns)
	}
	if text := o.text("abc*?[]^-\\"); text != "*" {
		return text
	}
	return ""
}

func (o *oracle) name() string {
	if o.random.IntN(2) == 0 {
		return o.pick(names)
	}
	return o.text("abc]-")
}

func (o *oracle) pick(words []string) string { return words[o.random.IntN(len(words))] }

var (
	patterns = []string{"a*", "b?", "[ab]*", "a", "b", "ab", "*b", "[^a]*", "[a-b]", "a\\*", "?", "", "**b*", "[", "[]", "a[", "\\", "[^"}
	names    = []string{"a", "b", "ab", "bb", "ba", "c", "", "a*", "*", "abcb", "1", "2", "[", "\\", "\xff"}
	words    = []string{"a", "b", "ab", "c", "1", "2", "0", "STORE", "BY", "GET", "KEYS", "STOREDIST", "b*", "LIMIT", "-1",
		"COUNT", "SET", "u8", "AUTH", "AUTH2", "", "INCRBY", "get"}
)

// rule makes a rule that the server may or may not take.
func (o *oracle) rule() string {
	cmd := o.row()
	name := cmd.FullName()
	if subs := cmd.Subcommands(); len(subs) > 0 && o.random.IntN(2) == 0 {
		name = subs[o.random.IntN(len(subs))].FullName()
	}
	switch o.random.IntN(16) {
	case 0, 1:
		return "+@" + o.pick(categoryNames)
	case 2:
		return "-@" + o.pick(categoryNames)
	case 3, 4:
		return "+" + name
	case 5, 6:
		return "-" + strings.ToUpper(name)
	case 7:
		return "+" + name + "|" + o.pick([]string{"a", "B", "0", ""})
	case 8:
		return o.pick([]string{"+@all", "-@all", "+@all", "~*", "&*", "allkeys", "resetkeys", "allchannels", "resetchannels", "reset", "on", "nopass", "clearselectors"})
	case 9, 10:
		return "~" + o.pattern()
	case 11, 12:
		if o.random.IntN(4) == 0 {
			return "%R~*"
		}
		return "%" + o.pick([]string{"R", "W", "RW", "wr", "", "RR", "X"}) + o.pick([]string{"~", "~", "~", ""}) + o.pattern()
	case 13, 14:
		return "&" + o.pattern()
	}
	return o.pick([]string{">pw", "<pw", "#" + strings.Repeat("a", 64), "!" + strings.Repeat("a", 64), "#abc", "+nosuch", "+@nosuch",
		"what", "-get|a", "+config|get|a", "+@ALL", "+@read -@write", "resetpass"})
}

func (o *oracle) rules() []string {
	var rules []string
	for range 1 + o.random.IntN(6) {
		rule := o.rule()
		if o.random.IntN(5) == 0 {
			rule = "(" + rule + " " + o.rule() + " " + o.rule() + ")"
		}
		rules = append(rules, rule)
	}
	return rules
}

// row is a command that the server has.
func (o *oracle) row() *translate.Command {
	for {
		commands := translate.Commands()
		if cmd := commands[o.random.IntN(len(commands))]; cmd.Group != "crdt" {
			return cmd
		}
	}
}

// command makes arguments that fit a command's arity and perhaps nothing else.
func (o *oracle) command() []string {
	for {
		cmd := o.row()
		if o.random.IntN(6) == 0 {
			cmd = translate.Lookup([]byte(o.pick([]string{"PUBLISH", "SPUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "SUNSUBSCRIBE"})))
		}
		if cmd.Name == "MIGRATE" {
			continue // always refused, and the server's way to its keys is one of a kind
		}
		if cmd.Name == "PFMERGE" {
			return []string{"PFMERGE", o.name(), o.name()} // alone, the server does not see that the first is a key
		}
		if subs := cmd.Subcommands(); len(subs) > 0 {
			cmd = subs[o.random.IntN(len(subs))]
		}
		args := strings.Fields(cmd.Name)
		count := cmd.Arity
		if count < 0 {
			count = -count + o.random.IntN(6)
		}
		words := func() string { return o.pick(words) }
		if o.random.IntN(2) == 0 {
			words = o.name
		}
		for len(args) < count {
			args = append(args, words())
		}
		if strings.HasPrefix(cmd.Name, "GEORADIUS") {
			// The server takes any word STORE for the option, also where another option's value stands.
			args = append(append([]string{cmd.Name}, o.pick(names), "1", "1", "1", "m")[:-cmd.Arity], "STORE", o.pick(names))
		}
		if strings.HasPrefix(cmd.Name, "XREAD") {
			// With fewer than a key and an id, the server looks for the option in other ways.
			args = append(append([]string{cmd.Name}, "GROUP", "g", "c")[:max(1, -cmd.Arity-3)], "STREAMS", o.name(), o.name(), "0", "0")
		}
		return args
	}
}

// verdict is ours, in the words of ACL DRYRUN.
func verdict(user *User, args []string) string {
	raw := make([][]byte, len(args))
	for i, arg := range args {
		raw[i] = []byte(arg)
	}
	cmd := translate.Classify(translate.Lookup(raw[0]), raw).Command
	switch got := user.Check(cmd, raw); got.Reason {
	case DeniedCommand:
		return "This user has no permissions to run the '" + cmd.FullName() + "' command"
	case DeniedKey:
		return "This user has no permissions to access the '" + args[got.Position] + "' key"
	case DeniedChannel:
		return "This user has no permissions to access the '" + args[got.Position] + "' channel"
	}
	return "OK"
}

// Random users and random commands: our verdict is the server's, both for the user that With makes of the rules and for the one
// that ACL LIST shows.
func TestVerdictsAreTheServers(t *testing.T) {
	o := newOracle(t)
	users, commands := 60, 150
	if os.Getenv("ANABRANCH_ENGINE_CHECKS") != "" {
		users = 2000
	}
	outcomes := map[string]int{}
	for range users {
		if _, err := o.do("ACL", "DELUSER", "u"); err != nil {
			t.Fatal(err)
		}
		made := &User{name: "u", selectors: []*selector{{}}, vocabulary: o.vocabulary}
		for range 1 + o.random.IntN(4) {
			made = o.change(made, o.rules(), outcomes)
		}
		read := o.read("u")
		if read == nil {
			continue // no change was accepted
		}
		if read.Unlimited() != made.Unlimited() {
			t.Errorf("made unlimited: %v, read: %v", made.Unlimited(), read.Unlimited())
		}
		for range commands {
			o.compare(made, read, o.command(), outcomes)
		}
		if t.Failed() {
			line, _ := o.do("ACL", "LIST")
			t.Fatalf("user: %v", line)
		}
	}
	for _, outcome := range []string{"OK", "changed", "refused", "This user has no permissions to run", "' key", "' channel"} {
		if outcomes[outcome] == 0 {
			t.Errorf("never came to %q", outcome)
		}
	}
	t.Log(outcomes)
}

// change applies rules on both sides, which must agree whether they are rules.
func (o *oracle) change(user *User, rules []string, outcomes map[string]int) *User {
	call := []any{"ACL", "SETUSER", "u"}
	for _, rule := range rules {
		call = append(call, rule)
	}
	_, want := o.do(call...)
	changed, got := user.With(rules)
	if (want == nil) != (got == nil) || got != nil && "ERR "+got.Error() != want.Error() {
		o.t.Errorf("%q\n got %v\nwant %v", rules, got, want)
	}
	if got != nil {
		outcomes["refused"]++
		return user
	}
	outcomes["changed"]++
	return changed
}

func (o *oracle) compare(made, read *User, args []string, outcomes map[string]int) {
	call := []any{"ACL", "DRYRUN", "u"}
	for _, arg := range args {
		call = append(call, arg)
	}
	reply, err := o.do(call...)
	if err != nil {
		var known redis.Error
		if !errors.As(err, &known) {
			o.t.Fatal(err)
		}
		o.t.Errorf("%q: %v", args, err)
		return
	}
	want := fmt.Sprint(reply)
	for _, part := range []string{"OK", "This user has no permissions to run", "' key", "' channel"} {
		if strings.Contains(want, part) {
			outcomes[part]++
		}
	}
	if got := verdict(made, args); got != want {
		o.t.Errorf("%q, made:\n got %q\nwant %q", args, got, want)
	}
	if got := verdict(read, args); got != want {
		o.t.Errorf("%q, read:\n got %q\nwant %q", args, got, want)
	}
}
