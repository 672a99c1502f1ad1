package crdtmeta

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strings"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// DefaultPrefix is what companion keys start with unless configured otherwise.
const DefaultPrefix = "crdt:"

// The library's name and its functions. The number is the version of the formats in docs/engine.md: two versions of
// Anabranch with different formats never call each other's functions.
const (
	LibraryName = "anabranch_1"

	FuncWrite  = "anabranch_write_1"  // commands with Redis's denyoom flag
	FuncFree   = "anabranch_free_1"   // the other commands; runs over maxmemory too
	FuncRead   = "anabranch_read_1"   // of these, what needs no write, where the server takes none
	FuncArm    = "anabranch_arm_1"    // takeover
	FuncApply  = "anabranch_apply_1"  // remote log entries
	FuncExpire = "anabranch_expire_1" // due TTLs become DEL effects
	FuncState  = "anabranch_state_1"  // one key's values, for a region whose copy expired too early
	FuncRefill = "anabranch_refill_1" // takes them there
	FuncStates = "anabranch_states_1" // many keys, for a region that the log can no longer serve
	FuncMerge  = "anabranch_merge_1"  // takes them there
	FuncHold   = "anabranch_hold_1"   // clients may not write for now
	FuncRenew  = "anabranch_renew_1"  // a new epoch is needed
	FuncAlive  = "anabranch_alive_1"  // the leader's sign of life
	FuncInfo   = "anabranch_info_1"   // counters

	FuncCollect = "anabranch_collect_1" // metadata that every region has seen
	FuncWeigh   = "anabranch_weigh_1"   // how much of it waits
	FuncEvicted = "anabranch_evicted_1" // keys that Redis has evicted become DEL effects

	FuncFunctions = "anabranch_functions_1" // the libraries of clients
	FuncMonitor   = "anabranch_monitor_1"   // somebody wants to see what scripts call

	FuncPlain = "anabranch_plain_1" // somebody is about to write past the engine
)

// Library returns the source of the engine for FUNCTION LOAD, with companion keys under prefix. The Lua files are
// joined in the order of their names.
func Library(prefix string) (string, error) {
	if prefix == "" || strings.ContainsAny(prefix, "{}\"\\\r\n\x00") {
		return "", fmt.Errorf("prefix %q: must not be empty or contain braces, quotes, backslashes or control characters", prefix)
	}
	names, err := fs.Glob(luaFiles, "lua/*.lua")
	if err != nil {
		return "", err
	}
	sort.Strings(names)
	var b strings.Builder
	fmt.Fprintf(&b, "#!lua name=%s\n", LibraryName)
	for _, name := range names {
		text, err := luaFiles.ReadFile(name)
		if err != nil {
			return "", err
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), "@PREFIX@", prefix), nil
}
