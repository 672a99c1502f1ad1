// Package translate knows every Redis command and says what Anabranch does with it.
//
// It is pure: a client command goes in, a plan comes out. It reads no clock, no socket and no environment, and it
// never looks at data. Its heart is one table (table_*.go, one file per group) that gives every command of Redis exactly
// one class; tests compare the table with a real server, and docs/commands.md is written from it.
//
//	name ──Lookup──► *Command ──┐
//	                            ├─Classify──► Plan: class, reply shape, entry point, or the error
//	arguments ──────────────────┘
//
// It does not parse RESP, does not know who the client is, and does not check a command's options beyond what decides its
// class, its keys and its reply: a command with wrong options goes on, and Redis itself says what is wrong.
//
// The invariant: a command without a class does not exist. It is refused before it reaches Redis. And what is not certainly
// a read is a write.
package translate
