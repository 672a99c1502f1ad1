package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Reply is one answer of a server. The tests read replies with this code of their own, not with the product's scanner
// and not with a client library: a fault of either would hide itself.
type Reply struct {
	Kind  byte    // the type byte of RESP2 or RESP3
	Text  string  // content of a string, number, error; "" for a null
	Null  bool    // $-1, *-1 or _
	Items []Reply // elements of an array, set or push; keys and values in turn for a map
	Raw   string  // the exact bytes
}

// maxReplyBytes bounds what a broken length can make the test allocate.
const maxReplyBytes = 512 << 20

var errProtocol = errors.New("protocol error")

// ReadReply reads one whole reply.
func ReadReply(r *bufio.Reader) (Reply, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return Reply{}, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return Reply{}, fmt.Errorf("%w: line %q", errProtocol, line)
	}
	reply := Reply{Kind: line[0], Raw: line}
	body := line[1 : len(line)-2]
	switch reply.Kind {
	case '+', '-', ':', ',', '(', '#':
		reply.Text = body
		return reply, nil
	case '_':
		reply.Null = true
		return reply, nil
	case '$', '!', '=':
		return readBlob(r, reply, body)
	case '*', '~', '>', '%', '|':
		return readItems(r, reply, body)
	}
	return Reply{}, fmt.Errorf("%w: type byte of %q", errProtocol, line)
}

func readBlob(r *bufio.Reader, reply Reply, body string) (Reply, error) {
	n, err := strconv.Atoi(body)
	if err != nil || n < -1 || n > maxReplyBytes {
		return Reply{}, fmt.Errorf("%w: length %q", errProtocol, body)
	}
	if n == -1 {
		reply.Null = true
		return reply, nil
	}
	blob := make([]byte, n+2)
	if _, err := io.ReadFull(r, blob); err != nil {
		return Reply{}, err
	}
	if string(blob[n:]) != "\r\n" {
		return Reply{}, fmt.Errorf("%w: a string of %d bytes ends in %q", errProtocol, n, blob[n:])
	}
	reply.Text = string(blob[:n])
	reply.Raw += string(blob)
	return reply, nil
}

func readItems(r *bufio.Reader, reply Reply, body string) (Reply, error) {
	n, err := strconv.Atoi(body)
	if err != nil || n < -1 || n > maxReplyBytes/4 {
		return Reply{}, fmt.Errorf("%w: length %q", errProtocol, body)
	}
	if n == -1 {
		reply.Null = true
		return reply, nil
	}
	if reply.Kind == '%' || reply.Kind == '|' {
		n *= 2
	}
	var raw strings.Builder
	raw.WriteString(reply.Raw)
	for range n {
		item, err := ReadReply(r)
		if err != nil {
			return Reply{}, err
		}
		reply.Items = append(reply.Items, item)
		raw.WriteString(item.Raw)
	}
	reply.Raw = raw.String()
	return reply, nil
}

// IsError says whether the server answered with an error.
func (r Reply) IsError() bool { return r.Kind == '-' || r.Kind == '!' }

// Int is the number in the reply, 0 when there is none.
func (r Reply) Int() int64 {
	n, _ := strconv.ParseInt(r.Text, 10, 64)
	return n
}

// Strings is the texts of the elements.
func (r Reply) Strings() []string {
	out := make([]string, 0, len(r.Items))
	for _, item := range r.Items {
		out = append(out, item.Text)
	}
	return out
}

// String prints the reply in the manner of redis-cli, on one line.
func (r Reply) String() string {
	switch {
	case r.Null:
		return "(nil)"
	case r.Kind == ':':
		return "(integer) " + r.Text
	case r.IsError():
		return "(error) " + r.Text
	case r.Kind == '+':
		return r.Text
	case r.Items != nil || strings.IndexByte("*~>%|", r.Kind) >= 0 && r.Kind != 0:
		parts := make([]string, 0, len(r.Items))
		for _, item := range r.Items {
			parts = append(parts, item.String())
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	if len(r.Text) > 300 {
		return fmt.Sprintf("%.300q… (%d bytes)", r.Text, len(r.Text))
	}
	return strconv.Quote(r.Text)
}

// AppendCommand appends a command in the form in which clients send it.
func AppendCommand(buf []byte, args ...string) []byte {
	buf = fmt.Appendf(buf, "*%d\r\n", len(args))
	for _, arg := range args {
		buf = fmt.Appendf(buf, "$%d\r\n", len(arg))
		buf = append(buf, arg...)
		buf = append(buf, '\r', '\n')
	}
	return buf
}
