package backend

import (
	"bytes"

	"anabranch/internal/resp"
)

// Out-of-band messages: what Redis sends on a private lane without having been asked. They are gathered whole, because
// only a whole one tells whether it speaks of keys that belong to Anabranch; the limit on a client's replies bounds them.

// messageHeads begin the messages of RESP2. There a message is an array like any other, but while a connection is
// subscribed no other reply begins like that.
var messageHeads = []string{"*3\r\n$7\r\nmessage\r\n", "*4\r\n$8\r\npmessage\r\n", "*3\r\n$8\r\nsmessage\r\n"}

// isMessage reports whether an out-of-band message begins here on a private lane. ok is false when more bytes are needed.
func (l *Lane) isMessage(buf []byte) (message, ok bool) {
	if l.proto == resp.RESP3 {
		return buf[0] == '>', true
	}
	if !l.subscribed.Load() {
		return false, true
	}
	for _, head := range messageHeads {
		n := min(len(head), len(buf))
		if string(buf[:n]) == head[:n] {
			return true, n == len(head)
		}
	}
	return false, true
}

// routeMessage passes on the messages that stand at buf[pos] on a private lane.
func (l *Lane) routeMessage(buf []byte, pos int) (next int, stop bool, err error) {
	for pos < len(buf) {
		if !l.pushing {
			message, ok := l.isMessage(buf[pos:])
			if !ok {
				return pos, true, nil
			}
			if !message {
				return pos, false, nil
			}
			l.pushing = true
		}
		end, done, err := l.scan.Scan(buf, pos, 1)
		if err != nil {
			return pos, true, err
		}
		if done == 0 {
			l.partial = append(l.partial, buf[pos:end]...)
			return end, true, nil
		}
		l.message(pos, end)
		pos = end
		l.pushing = false
	}
	return pos, l.pushing, nil
}

// message delivers a message that ends with l.in[pos:end], unless it is about nothing that the client may see.
func (l *Lane) message(pos, end int) {
	whole := l.in[pos:end]
	if len(l.partial) > 0 {
		l.partial = append(l.partial, whole...)
		whole = l.partial
	}
	l.shaped = appendMessage(l.shaped[:0], whole, l.backend.cfg.Prefix, l.redirect.Load())
	again := l.allInvalid
	l.allInvalid = string(l.shaped) == allInvalid
	switch {
	case len(l.shaped) == 0:
	case l.allInvalid && again: // the engine flushes one database after the other
	case len(l.partial) == 0 && bytes.Equal(l.shaped, whole):
		l.deliver(l.owner, pos, end) // unchanged, and needs no copy
	default:
		l.deliverBytes(l.owner, l.shaped)
	}
	l.letGo()
}

// allInvalid is the message after a flush.
const allInvalid = ">2\r\n$10\r\ninvalidate\r\n_\r\n"

// appendMessage appends a message as a client may see it: notifications and invalidations of companion keys are left
// out, and messages on our own channels. redirect is what the client knows the target of its invalidations by.
func appendMessage(dst, message []byte, prefix string, redirect int64) []byte {
	count, pos := resp.Length(message, 1)
	if pos <= 0 || count < 2 {
		return append(dst, message...)
	}
	second := element(message, pos)
	kind, _ := bulk(message[pos:second])
	switch string(kind) {
	case "message", "smessage":
		third := element(message, second)
		if hidesMessage(message[second:third], message[third:], prefix) {
			return dst
		}
	case "pmessage":
		channel := element(message, second)
		payload := element(message, channel)
		if hidesMessage(message[channel:payload], message[payload:], prefix) {
			return dst
		}
	case "invalidate":
		return appendInvalidation(dst, message, second, prefix)
	case "tracking-redir-broken":
		dst = append(dst, message[:second]...)
		return resp.AppendInt(dst, redirect)
	}
	return append(dst, message...)
}

// appendInvalidation leaves out the keys that belong to Anabranch, from message[at:] on, and the whole message when there
// are no others.
func appendInvalidation(dst, message []byte, at int, prefix string) []byte {
	count, _ := header(message[at:])
	if count == 0 {
		return append(dst, message...) // null: everything is invalid
	}
	start := len(dst)
	dst = append(dst, message[:at]...)
	head := len(dst)
	dst = appendVisible(dst, message[at:], prefix)
	if string(dst[head:]) == "*0\r\n" {
		return dst[:start]
	}
	return dst
}

// Channels of keyspace notifications are "__keyspace@<db>__:<key>", with the event as message, and
// "__keyevent@<db>__:<event>", with the key as message.
var (
	keyspaceChannel = []byte("__keyspace@")
	keyeventChannel = []byte("__keyevent@")
	channelTail     = []byte("__:")
)

// hidesMessage tells messages on our own channels, and notifications about keys of our own.
func hidesMessage(channel, payload []byte, prefix string) bool {
	name, _ := bulk(channel)
	if bytes.HasPrefix(name, []byte(prefix)) {
		return true
	}
	if bytes.HasPrefix(name, keyspaceChannel) {
		_, key, _ := bytes.Cut(name, channelTail)
		return bytes.HasPrefix(key, []byte(prefix))
	}
	return bytes.HasPrefix(name, keyeventChannel) && isHidden(payload, prefix)
}
