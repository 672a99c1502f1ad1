// Package backend is the way to the region's own Redis: a few shared connections that carry everybody's commands, and a
// control plane that prepares the server for them.
//
//	Submit (one per client read)            Lane, keyed by (database, protocol)
//	  caller A: GET GET  ──────────┐   pending segments          in flight
//	  caller B: SET      ────────┐ └─► [reads A B] [FCALL B C] ──flush──► [reads] [FCALL] ─► Redis
//	  caller C: SET GET  ──────┐ └───────────┘        ▲  ▲                    │
//	                           └──────────────────────┘  │ joins              ▼ replies, routed to their callers
//
// A segment is a run of raw reads, or one call of the engine with the writes of everybody who is waiting: that is the
// group commit. A caller's command joins the first waiting segment of its kind that does not lie before the caller's
// previous command, so each caller's order holds while callers share calls.
//
// A caller that leaves state on its connection, by subscribing or by tracking keys, gets a private lane. What Redis says there
// unasked stands between replies, and is passed on without the keys and channels that belong to Anabranch (message.go).
//
// It decides nothing about commands (translate does) and does not know clients (proxy does).
//
// The invariants: every submitted command gets exactly one answer, in its caller's order, whatever happens to the
// connection; a command that may have been executed is never sent again, except that a read is repeated together with the
// refused engine call before it; nobody waits for a slow caller.
package backend
