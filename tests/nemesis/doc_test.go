// Package nemesis puts three regions under random load and random faults at once, heals everything, and then asks for all
// that is promised.
//
//	clients ──► proxies ──► redis-server (append-only file) ──► replica
//	readers        ▲  ▲           ▲ clock, memory, kill -9, freeze
//	   │      kill,│  └── relays ─┴──► other regions
//	   ▼     freeze│      cut, silent, slow
//	ledger  ◄──────┴── plan: which fault when, where and for how long
//
// The plan is made from the seed alone, before anything starts, and is printed; so are the choices of each client. What the
// scheduler adds is not in it. NEMESIS_SEED=n plays a run again, NEMESIS_MINUTES=n makes it longer, NEMESIS_FAULTS=a,b
// chooses faults by name.
//
// The ledger leaves room for a write whose outcome a client was not told, for as much as it may have done once, and for
// nothing else. A write that was refused did nothing. Where a server loses what it has acknowledged, all that a peer had must
// survive; the rest counts as unknown. What was written together need not be seen together while a region merges.
package nemesis
