// Package translate knows every Redis command and says what Anabranch does with it.
//
// It is pure: a client command goes in, a plan comes out. It reads no clock, no socket and no environment, and it
// never looks at data. Its heart is one table (table.go) that gives every command of Redis exactly one class.
//
// The invariant: a command without a class does not exist. It is refused before it reaches Redis.
package translate
