package differential

import (
	"testing"

	"anabranch/translate"
)

// arityScript is every command that Anabranch knows, with too few and with too many arguments.
func arityScript(t *testing.T) []line {
	t.Helper()
	var script []line
	add := func(args ...string) { script = append(script, line{number: len(script) + 1, args: args}) }
	counted := func(name []string, arity int) {
		for n := len(name); n < max(arity, -arity); n++ {
			add(padded(name, n)...)
		}
		if arity > 0 {
			add(padded(name, arity+1)...)
			add(padded(name, arity+7)...)
		}
	}
	for _, cmd := range translate.Commands() {
		if cmd.Group == "crdt" {
			continue
		}
		subs := cmd.Subcommands()
		if len(subs) == 0 {
			counted([]string{cmd.Name}, cmd.Arity)
			continue
		}
		if cmd.Arity < -1 {
			add(cmd.Name)
		}
		add(cmd.Name, "nosuch")
		add(cmd.Name, "no\r\nsuch", "x")
		for _, sub := range subs {
			counted([]string{cmd.Name, sub.Name[len(cmd.Name)+1:]}, sub.Arity)
		}
	}
	if len(script) < 400 {
		t.Fatalf("only %d commands: the table is not whole", len(script))
	}
	return script
}

func padded(name []string, length int) []string {
	args := append([]string(nil), name...)
	for len(args) < length {
		args = append(args, "1")
	}
	return args
}

// TestArityErrors: Redis counts arguments before anything else, so even a command that is refused must answer as Redis
// does.
func TestArityErrors(t *testing.T) { playArity(t, newRig(t, 1)) }

func TestArityScriptIsDeterministic(t *testing.T) { playArity(t, newPlainRig(t)) }

func playArity(t *testing.T, r *rig) {
	t.Helper()
	s := r.open(t, "2")
	s.play(arityScript(t), false)
	r.compareData(s)
}
