package backend

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestMessagesHideWhatBelongsToAnabranch(t *testing.T) {
	bulks := func(head string, words ...string) string {
		out := head
		for _, word := range words {
			out += "$" + itoa(len(word)) + "\r\n" + word + "\r\n"
		}
		return out
	}
	invalid := func(count string, keys ...string) string {
		return bulks(">2\r\n", "invalidate") + bulks(count, keys...)
	}
	for _, test := range []struct{ message, want string }{
		{bulks(">3\r\n", "message", "news", "crdt:x"), "same"},
		{bulks("*3\r\n", "message", "crdt:wake", "x"), ""},
		{bulks("*3\r\n", "smessage", "crdt:messages", "x"), ""},
		{bulks("*4\r\n", "pmessage", "*", "crdt:wake", "x"), ""},
		{bulks("*4\r\n", "pmessage", "crdt:*", "news", "x"), "same"},
		{bulks("*4\r\n", "pmessage", "*", "__keyspace@0__:k", "set"), "same"},
		{bulks("*4\r\n", "pmessage", "*", "__keyspace@15__:crdt:0{k}", "set"), ""},
		{bulks("*4\r\n", "pmessage", "*", "__keyspace@0__:__:crdt:", "set"), "same"},
		{bulks(">3\r\n", "message", "__keyspace@0__:crdt:log", "xadd"), ""},
		{bulks(">3\r\n", "message", "__keyevent@3__:set", "crdt:0{k}"), ""},
		{bulks(">3\r\n", "message", "__keyevent@3__:set", "k"), "same"},
		{bulks(">3\r\n", "subscribe", "crdt:wake") + ":1\r\n", "same"},
		{invalid("*2\r\n", "a", "b"), "same"},
		{invalid("*3\r\n", "crdt:0{a}", "a", "crdt:log"), invalid("*1\r\n", "a")},
		{invalid("*2\r\n", "crdt:0{a}", "crdt:log"), ""},
		{invalid("_\r\n"), "same"},
		{bulks(">2\r\n", "tracking-redir-broken") + ":12\r\n", bulks(">2\r\n", "tracking-redir-broken") + ":7\r\n"},
	} {
		want := test.want
		if want == "same" {
			want = test.message
		}
		if got := string(appendMessage([]byte("x"), []byte(test.message), "crdt:", 7)); got != "x"+want {
			t.Errorf("%q: got %q, want %q", test.message, got[1:], want)
		}
	}
}

func TestListenerHearsInvalidationsOfOthers(t *testing.T) {
	b, server := start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	heard := make(chan string, 10)
	listener, err := b.Listen(ctx, func(keys []byte) { heard <- string(keys) })
	if err != nil {
		t.Fatal(err)
	}
	conn := server.Client().Conn()
	defer conn.Close()
	if err := conn.Do(ctx, "CLIENT", "TRACKING", "ON", "BCAST", "REDIRECT", listener.ID).Err(); err != nil {
		t.Fatal(err)
	}
	// Longer than the listener's buffer, and with keys that nobody may hear of.
	long := strings.Repeat("k", 3*privateInBytes)
	server.Client().MSet(ctx, long, 1, "crdt:0{k}", 1)
	server.Client().Set(ctx, "crdt:log", 1, 0)
	server.Client().FlushAll(ctx)
	for _, want := range []string{"*1\r\n$" + itoa(len(long)) + "\r\n" + long + "\r\n", ""} {
		if got := <-heard; got != want {
			t.Errorf("got %.40q, want %.40q", got, want)
		}
	}
	listener.Close()
	eventually(t, "the connection is closed", func() bool {
		return !strings.Contains(server.Client().ClientList(ctx).Val(), "id="+itoa(int(listener.ID))+" ")
	})
}
