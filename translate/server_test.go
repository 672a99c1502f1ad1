package translate

import (
	"slices"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// notOnServer lists rows that a standalone server does not have.
var notOnServer = map[string]bool{"CRDT": true}

// computed lists the commands whose keys Redis finds by code, so that their specifications cannot be compared word by
// word. TestKeysAreTheServers compares the positions instead.
var computed = map[string]bool{"SORT": true, "SORT_RO": true, "GEORADIUS": true, "GEORADIUSBYMEMBER": true}

func TestTableIsTheServers(t *testing.T) {
	server := redistest.Start(t).Client()
	onServer := map[string]bool{}
	for _, want := range serverRows(t, server) {
		onServer[want.name] = true
		got := find(want.name)
		if got == nil {
			t.Errorf("%s has no row", want.name)
			continue
		}
		if got.Class == Unclassified {
			t.Errorf("%s has no class", want.name)
		}
		if (got.Class == Refused) != (got.Reason != "") {
			t.Errorf("%s: class %v with reason %q", want.name, got.Class, got.Reason)
		}
		if got.Arity != want.arity {
			t.Errorf("%s: arity %d, server has %d", want.name, got.Arity, want.arity)
		}
		if flags := sorted(got.Flags.Names()); !slices.Equal(flags, want.flags) {
			t.Errorf("%s: flags %v, server has %v", want.name, flags, want.flags)
		}
		if specs := specTexts(got); !computed[want.name] && !slices.Equal(specs, want.specs) {
			t.Errorf("%s: keys %v, server has %v", want.name, specs, want.specs)
		}
	}
	for _, cmd := range Commands() {
		for _, row := range append(cmd.Subcommands(), cmd) {
			if !onServer[row.Name] && !notOnServer[cmd.Name] {
				t.Errorf("%s is not a command of the server", row.Name)
			}
		}
	}
}

// TestErrorsAreTheServers sends every command with a wrong number of arguments, and every line of testdata/plans that is
// refused in Redis's words, to a real server.
func TestErrorsAreTheServers(t *testing.T) {
	server := redistest.Start(t).Client()
	var calls [][][]byte
	for _, cmd := range Commands() {
		if notOnServer[cmd.Name] {
			continue
		}
		for _, row := range append(cmd.Subcommands(), cmd) {
			if args := wrongNumber(row); args != nil {
				calls = append(calls, args)
			}
		}
	}
	for _, path := range planFiles(t) {
		for _, c := range readPlans(t, path) {
			if !notOnServer[strings.ToUpper(string(c.args[0]))] {
				calls = append(calls, c.args)
			}
		}
	}
	compared := 0
	for _, args := range calls {
		err := Classify(Lookup(args[0]), args).Err
		if !inRedisWords(err) {
			continue
		}
		compared++
		if want := serverError(server, args); err != want {
			t.Errorf("%q\n got %q\nwant %q", args, err, want)
		}
	}
	if compared < 300 {
		t.Errorf("only %d errors compared", compared)
	}
}

// TestKeysAreTheServers compares the keys of every line of testdata/plans with COMMAND GETKEYSANDFLAGS.
func TestKeysAreTheServers(t *testing.T) {
	server := redistest.Start(t).Client()
	for _, path := range planFiles(t) {
		for _, c := range readPlans(t, path) {
			cmd := Classify(Lookup(c.args[0]), c.args).Command
			// What a command with wrong arguments names is anybody's guess; the server refuses it either way.
			if cmd == nil || !cmd.HasKeys() || !cmd.fits(len(c.args)) || cmd.Group == "crdt" {
				continue
			}
			want, err := serverKeys(server, c.args)
			if err != nil {
				if !strings.Contains(err.Error(), "Invalid arguments") && !strings.Contains(err.Error(), "no key arguments") {
					t.Errorf("%s: %v", c.line, err)
				}
				continue
			}
			if got := ourKeys(cmd, c.args); !slices.Equal(got, want) && cmd.Name != "MIGRATE" {
				t.Errorf("%s: keys %v, server has %v", c.line, got, want)
			}
		}
	}
}
