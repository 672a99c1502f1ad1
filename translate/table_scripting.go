package translate

// Scripts run inside the engine, so that what they write is replicated. Libraries of functions belong to one region, as in
// the reference product.
var scriptingCommands = rows{
	{Name: "EVAL", Arity: -3, Class: Script, flags: "noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads|writes)), merges: scripted},
	{Name: "EVALSHA", Arity: -3, Class: Script, flags: "noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads|writes)), merges: scripted},
	{Name: "EVALSHA_RO", Arity: -3, Class: Script, flags: "readonly noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads)), merges: scripted},
	{Name: "EVAL_RO", Arity: -3, Class: Script, flags: "readonly noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads)), merges: scripted},
	{Name: "FCALL", Arity: -3, Class: Script, flags: "noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads|writes)), merges: scripted},
	{Name: "FCALL_RO", Arity: -3, Class: Script, flags: "readonly noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads)), merges: scripted},
	{Name: "FUNCTION", Arity: -2, Class: Script, subcommands: rows{
		{Name: "FUNCTION DELETE", Arity: 3, Class: Script, flags: "write noscript"},
		{Name: "FUNCTION DUMP", Arity: 2, Class: Script, flags: "noscript"},
		{Name: "FUNCTION FLUSH", Arity: -2, Class: Script, flags: "write noscript"},
		{Name: "FUNCTION HELP", Arity: 2, Class: Admin, flags: "loading stale"},
		{Name: "FUNCTION KILL", Arity: 2, Class: Script, flags: "noscript allow_busy"},
		{Name: "FUNCTION LIST", Arity: -2, Class: Script, flags: "noscript"},
		{Name: "FUNCTION LOAD", Arity: -3, Class: Script, flags: "write denyoom noscript"},
		{Name: "FUNCTION RESTORE", Arity: -3, Class: Script, flags: "write denyoom noscript"},
		{Name: "FUNCTION STATS", Arity: 2, Class: Script, flags: "noscript allow_busy"},
	}},
	{Name: "SCRIPT", Arity: -2, Class: Script, subcommands: rows{
		{Name: "SCRIPT DEBUG", Arity: 3, Class: Refused, flags: "noscript", Reason: noDebugger},
		{Name: "SCRIPT EXISTS", Arity: -3, Class: Script, flags: "noscript"},
		{Name: "SCRIPT FLUSH", Arity: -2, Class: Script, flags: "noscript"},
		{Name: "SCRIPT HELP", Arity: 2, Class: Admin, flags: "loading stale"},
		{Name: "SCRIPT KILL", Arity: 2, Class: Script, flags: "noscript allow_busy"},
		{Name: "SCRIPT LOAD", Arity: 3, Class: Script, flags: "noscript stale"},
	}},
}
