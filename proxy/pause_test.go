package proxy

import (
	"strings"
	"testing"
	"time"
)

// silent fails the test when something arrives within a moment.
func (w *wire) silent(what string) {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var piece [64]byte
	if n, err := w.conn.Read(piece[:]); err == nil {
		w.t.Errorf("%s: got %q", what, piece[:n])
	}
}

func TestPauseHoldsBackWrites(t *testing.T) {
	r := start(t, nil)
	w, other := r.dial(), r.dial()
	w.want("CLIENT PAUSE 100000 WRITE", "+OK\r\n")
	other.want("GET a", "$-1\r\n")
	other.want("SET a", "-ERR wrong number of arguments for 'set' command\r\n")
	other.send("PING\r\nSET a 1\r\nGET a\r\n")
	if got := other.reply(); got != "+PONG\r\n" {
		t.Errorf("got %q", got)
	}
	publisher := r.dial()
	publisher.send("PUBLISH c m\r\n")
	other.silent("a write")
	eventually(t, "both wait", func() bool { return strings.Contains(w.do("INFO clients"), "blocked_clients:2\r\n") })
	if got := w.do("CLIENT LIST"); strings.Count(got, " flags=b ") != 2 {
		t.Errorf("got %q", got)
	}
	w.want("GET a", "$-1\r\n")
	w.want("CLIENT UNPAUSE", "+OK\r\n")
	for _, want := range []string{"+OK\r\n", "$1\r\n1\r\n"} {
		if got := other.reply(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := publisher.reply(); got != ":0\r\n" {
		t.Errorf("got %q", got)
	}
	if got := w.do("INFO clients"); !strings.Contains(got, "blocked_clients:0\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestPauseOfAllEndsByItself(t *testing.T) {
	r := start(t, nil)
	w, other := r.dial(), r.dial()
	begin := time.Now()
	w.want("CLIENT PAUSE 300", "+OK\r\n")
	w.want("CLIENT PAUSE 1 WRITE", "+OK\r\n")
	if time.Since(begin) < 300*time.Millisecond {
		t.Error("the second pause was not held back by the first")
	}
	other.want("PING", "+PONG\r\n")
	if kind, _, _ := r.server.pause.now(); kind == pauseAll {
		t.Error("an old pause made a new one stricter")
	}
	eventually(t, "writes go on", func() bool { return other.do("SET a 1") == "+OK\r\n" })
	eventually(t, "sessions do not look closely any more", func() bool {
		w.do("CLIENT UNPAUSE")
		return !r.server.alert.Load()
	})
}

func TestPausedClientMayLeave(t *testing.T) {
	r := start(t, nil)
	w, other := r.dial(), r.dial()
	w.want("CLIENT PAUSE 100000 WRITE", "+OK\r\n")
	other.send("SET a 1\r\n")
	eventually(t, "it waits", func() bool { return r.server.blocked.Load() == 1 })
	other.conn.Close()
	eventually(t, "it is gone", func() bool { return r.server.Clients() == 1 && r.server.blocked.Load() == 0 })
	w.want("GET a", "$-1\r\n")
}
