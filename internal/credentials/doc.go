// Package credentials keeps what this process proves who it is with, and whom it believes: certificates with their keys,
// authorities, and shared secrets. They lie in files, which are read again when they change.
//
//	files ──► Identity, Secrets ◄── asked at each new connection
//	  ▲           ▲
//	  └── Watch ──┘ each few seconds, and at SIGHUP
//
// What it is not: it decides nothing about connections. Who must show what, and whose name must be in a certificate, is
// decided where the connections are.
//
// The invariant: what is in use was read whole and fits together. A file that is missing, broken, half written or does not
// belong to the others changes nothing, and is logged.
package credentials
