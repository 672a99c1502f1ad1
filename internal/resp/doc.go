// Package resp is the wire format of the hot path: it finds where a request or a reply ends, and writes small answers.
//
// It scans, it does not decode. A Scanner gives the arguments of a client's command as spans of the read buffer, and a
// ReplyScanner says how many whole replies a piece of a byte stream holds. Neither copies, allocates or recurses,
// and neither trusts a length before the bytes have arrived.
//
// It is not a client library: the control plane uses go-redis, and the peer link tidwall/resp.
//
// The invariant: whatever Scanner accepts, Redis reads as the same command with the same arguments, so raw bytes may
// be passed on beside those of other clients. Where Redis itself is lax (it does not look at the two bytes after a bulk)
// Scanner is strict.
package resp
