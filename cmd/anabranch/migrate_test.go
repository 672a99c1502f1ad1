package main

import (
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// What must be put right before a Redis can become a region is found, and named.
func TestMigrateCheckFindsWhatIsInTheWay(t *testing.T) {
	good := redistest.Start(t, redistest.WithConfig("maxmemory 1gb", "user proxy on >secret ~* &* +@all", "user weak on >secret ~* &* +@all -function"))
	replica := redistest.StartReplica(t, good)
	evicting := redistest.Start(t, redistest.WithConfig("maxmemory-policy allkeys-lru"))
	taken := redistest.Start(t)
	taken.Client().Set(t.Context(), "crdt:mine", "1", 0)
	as := func(user string, s *redistest.Server) string { return "redis://" + user + ":secret@" + s.Addr }
	for _, test := range []struct {
		url   string
		code  int
		words []string
	}{
		{as("proxy", good), exitOK, []string{"the next step is --mode passive", "✓ user           proxy", "✓ role", "✓ memory"}},
		{as("weak", good), exitFailure, []string{"✗ version", "✗ user", "NO GO"}},
		{replica.URL(), exitFailure, []string{"✗ role           slave"}},
		{evicting.URL(), exitFailure, []string{"✗ eviction       maxmemory-policy allkeys-lru"}},
		{taken.URL(), exitFailure, []string{"✗ prefix", "--prefix"}},
	} {
		var keys []string
		code, out, _ := call(t, "migrate", "check", "--redis", test.url)
		for _, word := range test.words {
			if !strings.Contains(out, word) {
				keys = append(keys, word)
			}
		}
		if code != test.code || len(keys) > 0 {
			t.Errorf("%s: status %d, want %d; it does not say %q:\n%s", test.url, code, test.code, keys, out)
		}
	}
}

// Options that do not go with a mode are named before anything starts, and so are wrong steps.
func TestModesAndStepsThatCannotBe(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--region", "A", "--region-id", "1", "--mode", "sleepy"}, "--mode"},
		{[]string{"serve", "--region", "A", "--region-id", "1", "--shadow-of", "B=2"}, "--shadow-of"},
		{[]string{"serve", "--region", "A", "--region-id", "1", "--mode", "shadow", "--shadow-of", "B"}, "--shadow-of"},
		{[]string{"serve", "--region", "A", "--region-id", "1", "--mode", "shadow", "--copy-of", "B"}, "--copy-of"},
		{[]string{"serve", "--region", "A", "--region-id", "1", "--mode", "passive", "--password", "x"}, "--password"},
		{[]string{"migrate"}, "check, report or promote"}, {[]string{"migrate", "jump"}, "jump"},
		{[]string{"migrate", "report"}, "--admin"}, {[]string{"migrate", "promote"}, "--region"},
		{[]string{"migrate", "report", "--admin", "127.0.0.1:1"}, "127.0.0.1:1"},
	} {
		if code, _, stderr := call(t, test.args...); code != exitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: status %d: %s", test.args, code, stderr)
		}
	}
}
