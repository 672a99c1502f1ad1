// Package proxy is the client side of Anabranch: it accepts connections, speaks Redis's protocol, keeps the order of
// every client's commands and replies, and sends each command the way that its class in the command table says.
//
//	client ──► session ──scan──► dispatch ──reads: raw bytes─────────► lane (db, protocol) ──► Redis
//	              ▲                 │  └────writes: ops of a batch───►        │
//	              │                 └─local answers: literal bytes───►        │
//	              └──────────── replies in order, raw bytes ◄─────────────────┘
//
// It does not know the merge rules (crdtmeta/lua does), the meaning of commands (translate does), what users may do (acl does)
// or the peers (the syncer does, behind the Control interface).
//
// The invariant: a client gets exactly one reply for each command, in the order of its commands, and what it wrote is
// visible to what it reads afterwards on the same connection.
package proxy
