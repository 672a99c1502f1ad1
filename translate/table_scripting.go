package translate

// A script that reached Redis as it is would write past the engine, so none does.
var scriptingCommands = rows{
	{Name: "EVAL", Arity: -3, Class: Refused, flags: "noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads|writes)), Later: true, Reason: noScripts},
	{Name: "EVALSHA", Arity: -3, Class: Refused, flags: "noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads|writes)), Later: true, Reason: noScripts},
	{Name: "EVALSHA_RO", Arity: -3, Class: Refused, flags: "readonly noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads)), Later: true, Reason: noScripts},
	{Name: "EVAL_RO", Arity: -3, Class: Refused, flags: "readonly noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads)), Later: true, Reason: noScripts},
	{Name: "FCALL", Arity: -3, Class: Refused, flags: "noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads|writes)), Later: true, Reason: noFunctions},
	{Name: "FCALL_RO", Arity: -3, Class: Refused, flags: "readonly noscript stale no_mandatory_keys movablekeys skip_monitor", keys: keys(counted(2, reads)), Later: true, Reason: noFunctions},
	{Name: "FUNCTION", Arity: -2, Class: Refused, Later: true, Reason: noFunctions, subcommands: rows{
		{Name: "FUNCTION DELETE", Arity: 3, Class: Refused, flags: "write noscript", Later: true, Reason: noFunctions},
		{Name: "FUNCTION DUMP", Arity: 2, Class: Refused, flags: "noscript", Later: true, Reason: noFunctions},
		{Name: "FUNCTION FLUSH", Arity: -2, Class: Script, flags: "write noscript"},
		{Name: "FUNCTION HELP", Arity: 2, Class: Admin, flags: "loading stale"},
		{Name: "FUNCTION KILL", Arity: 2, Class: Refused, flags: "noscript allow_busy", Later: true, Reason: noFunctions},
		{Name: "FUNCTION LIST", Arity: -2, Class: Refused, flags: "noscript", Later: true, Reason: noFunctions},
		{Name: "FUNCTION LOAD", Arity: -3, Class: Refused, flags: "write denyoom noscript", Later: true, Reason: noFunctions},
		{Name: "FUNCTION RESTORE", Arity: -3, Class: Refused, flags: "write denyoom noscript", Later: true, Reason: noFunctions},
		{Name: "FUNCTION STATS", Arity: 2, Class: Refused, flags: "noscript allow_busy", Later: true, Reason: noFunctions},
	}},
	{Name: "SCRIPT", Arity: -2, Class: Refused, Later: true, Reason: noScripts, subcommands: rows{
		{Name: "SCRIPT DEBUG", Arity: 3, Class: Refused, flags: "noscript", Later: true, Reason: noScripts},
		{Name: "SCRIPT EXISTS", Arity: -3, Class: Refused, flags: "noscript", Later: true, Reason: noScripts},
		{Name: "SCRIPT FLUSH", Arity: -2, Class: Script, flags: "noscript"},
		{Name: "SCRIPT HELP", Arity: 2, Class: Admin, flags: "loading stale"},
		{Name: "SCRIPT KILL", Arity: 2, Class: Refused, flags: "noscript allow_busy", Later: true, Reason: noScripts},
		{Name: "SCRIPT LOAD", Arity: 3, Class: Refused, flags: "noscript stale", Later: true, Reason: noScripts},
	}},
}
