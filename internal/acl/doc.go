// Package acl decides what a user may do, by the rules of Redis's access control lists. The users are those of the Redis
// server behind the proxy: it holds them, and this package reads what it prints.
//
//	ACL LIST, COMMAND ──► Directory of Users ──Check(command, arguments)──► Verdict ──► NOPERM …
//	                                      └──Accepts(password)
//
// It has no socket and no clock, and it changes no user: With tells only what a change would lead to.
//
// The invariant: a command is allowed here exactly if the server's own ACL DRYRUN allows it. What a rule says that this package
// does not understand takes all rights from its user.
package acl
