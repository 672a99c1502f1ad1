package resp

import (
	"errors"
	"fmt"
)

// Errors of a request, in the words of Redis: "-ERR " and the text go to the client, and then the connection is closed,
// since nobody knows where its next command begins.
var (
	ErrMultibulkLength      = errors.New("Protocol error: invalid multibulk length")
	ErrBulkLength           = errors.New("Protocol error: invalid bulk length")
	ErrMultibulkString      = errors.New("Protocol error: too big mbulk count string")
	ErrBulkString           = errors.New("Protocol error: too big bulk count string")
	ErrInlineTooBig         = errors.New("Protocol error: too big inline request")
	ErrQuotes               = errors.New("Protocol error: unbalanced quotes in request")
	ErrGuestMultibulkLength = errors.New("Protocol error: unauthenticated multibulk length")
	ErrGuestBulkLength      = errors.New("Protocol error: unauthenticated bulk length")
	ErrBulkEnd              = errors.New("Protocol error: expected CRLF after bulk")
)

// ErrReply means that the bytes of a server are no reply. The connection cannot be used any further.
var ErrReply = errors.New("resp: malformed reply")

func errExpectedBulk(got byte) error {
	return fmt.Errorf("Protocol error: expected '$', got '%c'", got)
}
