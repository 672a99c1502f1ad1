// Package sock does the system calls of the hot path: one attempt to send or receive that never blocks, and a poller
// that tells which of many connections have something to read.
//
// With one goroutine for each client, a command costs a goroutine switch, a read that finds nothing, and often the wake-up
// of a thread; together that is more than all the rest of the proxy. The poller serves many clients from one
// goroutine: it asks once which are readable, and reads each of them once.
//
// It is for Linux. Elsewhere New returns nil, and everything works with a goroutine for each connection.
//
// The invariant: connections stay ordinary net.Conns. Their descriptor is only used while the net.Conn holds it open, so
// no call can hit a descriptor that was closed and given to somebody else.
package sock
