package backend

import (
	"context"
	"strings"
	"testing"

	"anabranch/internal/resp"
)

// subscribeOp is a SUBSCRIBE as the proxy sends it: one reply for each channel in RESP2, none but a PING's in RESP3.
func subscribeOp(proto int, channels ...string) Op {
	raw := resp.AppendCommandStrings(nil, append([]string{"SUBSCRIBE"}, channels...)...)
	if proto == resp.RESP2 {
		return Op{Count: len(channels), Bytes: raw}
	}
	return Op{Count: 1, Discard: true, Bytes: append(raw, resp.AppendCommandStrings(nil, "PING")...)}
}

func TestMessagesBetweenReplies(t *testing.T) {
	b, server := start(t, nil)
	client := server.Client()
	for proto, mark := range map[int]string{2: "*", 3: ">"} {
		s := newSink()
		l := b.Private(s.Caller, 0, proto)
		l.Subscribed(true)
		l.Submit(s.Caller, []Op{subscribeOp(proto, "a", "b")})
		l.Flush()
		want := mark + "3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" + mark + "3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
		if got := s.take(); got != want {
			t.Errorf("RESP%d: got %q", proto, got)
		}
		big := strings.Repeat("x", 300_000)
		client.Publish(context.Background(), "a", big)
		client.Publish(context.Background(), "b", "2")
		message := func(channel, text string) string {
			return mark + "3\r\n$7\r\nmessage\r\n$1\r\n" + channel + "\r\n" + string(resp.AppendBulkString(nil, text))
		}
		want = message("a", big) + message("b", "2")
		eventually(t, "the messages", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return string(s.text) == want
		})
		s.take()
		if proto == resp.RESP3 {
			if got := s.do(t, l, "SET k 1", "GET k", "GET k"); got != "+OK\r\n$1\r\n1\r\n$1\r\n1\r\n" {
				t.Errorf("RESP3, commands while subscribed: %q", got)
			}
		}
		l.Close()
		if s.isBroken() {
			t.Error("closing broke the client")
		}
	}
}

func TestLostPrivateLaneBreaksItsClient(t *testing.T) {
	b, server := start(t, nil)
	s := newSink()
	l := b.Private(s.Caller, 0, 2)
	l.Subscribed(true)
	l.Submit(s.Caller, []Op{subscribeOp(2, "a")})
	l.Flush()
	s.take()
	server.Client().Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, "the client is broken", s.isBroken)
}
