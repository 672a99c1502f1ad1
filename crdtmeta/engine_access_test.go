package crdtmeta_test

import (
	"strings"
	"testing"
)

// The rules hold for the op that carries them and for no other.
func TestRulesHoldForOneOp(t *testing.T) {
	n := regions(t, 1)[0]
	set := func(key string) []string { return []string{"EVAL", "return redis.call('set', KEYS[1], 1)", "1", key} }
	as := func(rules string, op ...string) []string { return append([]string{"XCRDT.AS", rules}, op...) }
	replies, _ := n.call(t, 0,
		as("-@all +set %RW~a &*", set("a")...),
		as("-@all +set %RW~a &*", set("b")...),
		set("b"),
		as("-@all +set %R~a\n-@all +get ~*\n+@all -get %RW~b*", set("bb")...),
		as("-@all +set %R~a\n-@all +get ~*\n+@all -set %RW~b*", set("bb")...),
		as("+@all -set -set|", set("a")...),
		as("", set("a")...),
		as("-@all", "EVALSHA", strings.Repeat("0", 40), "0"),
		set("c"),
		as("-@all", "SET", "a", "1"),
		as("-@all"),
		as("-@all", "XCRDT.AS", "+@all", "EVAL", "return 1", "0"),
		as("+@all ~*", "eval", "return redis.call('xcrdt.as', '+@all ~*', 'eval', 'return 1', 0)", "0"),
	)
	for i, want := range []string{
		"OK", "can't access at least one of the keys", "OK", "OK", "can't access at least one of the keys", "can't run this command",
		"can't run this command", "NOSCRIPT", "OK", "malformed call", "malformed call", "malformed call", "Unknown Redis command",
	} {
		if got := replies[i].String(); !strings.Contains(got, want) {
			t.Errorf("reply %d: got %s, want %s", i, got, want)
		}
	}
}
