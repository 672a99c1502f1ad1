package backend

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/internal/resp"

	"github.com/vmihailenco/msgpack/v5"
)

// script is a Redis that says what a test wants it to say.
type script struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
	scan resp.Scanner
}

// next returns the next command, calls in short: "write SET k 1|GET k".
func (s *script) next() string {
	s.t.Helper()
	for {
		n, err := s.scan.Scan(s.buf)
		if err != nil {
			s.t.Fatal(err)
		}
		if n > 0 {
			var words []string
			for _, arg := range s.scan.Args {
				words = append(words, string(arg))
			}
			s.buf = append([]byte(nil), s.buf[n:]...)
			return describe(words)
		}
		s.scan.Reset()
		piece := make([]byte, 4096)
		got, err := s.conn.Read(piece)
		if err != nil {
			s.t.Fatal(err)
		}
		s.buf = append(s.buf, piece[:got]...)
	}
}

func describe(words []string) string {
	if words[0] != "FCALL" {
		return strings.Join(words, " ")
	}
	kind := map[string]string{crdtmeta.FuncWrite: "write ", crdtmeta.FuncFree: "free "}[words[1]]
	var ops []string
	for rest := words[4:]; len(rest) > 0; {
		if rest[0] == "M" {
			var run []string
			if err := msgpack.Unmarshal([]byte(rest[1]), &run); err != nil {
				return err.Error()
			}
			for i := 0; i < len(run); i += 4 {
				ops = append(ops, "SET "+run[i]+" "+run[i+1])
			}
			rest = rest[2:]
			continue
		}
		var argc int
		fmt.Sscan(rest[0], &argc)
		ops = append(ops, strings.Join(rest[1:1+argc], " "))
		rest = rest[1+argc:]
	}
	return kind + strings.Join(ops, "|")
}

func (s *script) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if got := s.next(); got != w {
			s.t.Fatalf("the server got %q, want %q", got, w)
		}
	}
}

func (s *script) say(text string) {
	if _, err := s.conn.Write([]byte(text)); err != nil {
		s.t.Error(err)
	}
}

// scripted serves one lane from a script, without a control plane. arm is called when the lane wants the engine armed.
func scripted(t *testing.T, arm func(context.Context) error) (*Lane, *script) {
	t.Helper()
	b, err := New(testConfig("redis://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.client.Close() })
	l := newLane(b, 0, resp.RESP2, nil)
	if arm != nil {
		l.arm = arm
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { l.serve(context.Background(), ours); close(ended) }()
	t.Cleanup(func() { theirs.Close(); <-ended })
	eventually(t, "the lane is connected", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.connected
	})
	return l, &script{t: t, conn: theirs}
}

const takeover = "-CRDTTAKEOVER not armed\r\n"

func TestRefusedCallIsSentAgainWithTheReadsBehindIt(t *testing.T) {
	armed := 0
	l, redis := scripted(t, func(context.Context) error { armed++; return nil })
	a, b := newSink(), newSink()
	l.Submit(a.Caller, commands(t, "SET k 1", "GET k"))
	l.Submit(b.Caller, commands(t, "GET other"))
	l.Flush()
	redis.expect("write SET k 1", "GET k", "GET other")
	redis.say(takeover + "$-1\r\n$5\r\nstale\r\n")
	redis.expect("write SET k 1", "GET k", "GET other")
	redis.say("*1\r\n+OK\r\n$1\r\n1\r\n$5\r\nfresh\r\n")
	if got := a.take(); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("a got %q", got)
	}
	if got := b.take(); got != "$5\r\nfresh\r\n" {
		t.Errorf("b got %q", got)
	}
	if armed != 1 {
		t.Errorf("armed %d times", armed)
	}
}

func TestNothingNewerIsSentWhileACallIsRefused(t *testing.T) {
	arm := make(chan struct{})
	l, redis := scripted(t, func(context.Context) error { <-arm; return nil })
	a := newSink()
	l.Submit(a.Caller, commands(t, "SET k 1"))
	l.Flush()
	redis.expect("write SET k 1")
	redis.say("-ERR Function not found\r\n")
	eventually(t, "the lane pauses", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.paused
	})
	l.Submit(a.Caller, commands(t, "SET k 2", "GET k"))
	l.Flush()
	close(arm)
	redis.expect("write SET k 1", "write SET k 2", "GET k")
	redis.say("*1\r\n+OK\r\n*1\r\n+OK\r\n$1\r\n2\r\n")
	if got := a.take(); got != "+OK\r\n+OK\r\n$1\r\n2\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestRefusedCallsKeepTheirOrder(t *testing.T) {
	l, redis := scripted(t, func(context.Context) error { return nil })
	a := newSink()
	l.Submit(a.Caller, commands(t, "SET k 1", "DEL k", "SET k 2"))
	l.Flush()
	redis.expect("write SET k 1", "free DEL k", "write SET k 2")
	redis.say(takeover + takeover + "-OOM command not allowed when used memory > 'maxmemory'.\r\n")
	redis.expect("write SET k 1", "free DEL k", "write SET k 2")
	redis.say("*1\r\n+OK\r\n*1\r\n:1\r\n*1\r\n+OK\r\n")
	if got := a.take(); got != "+OK\r\n:1\r\n+OK\r\n" {
		t.Errorf("got %q", got)
	}
}

// Somebody else may arm the engine between two calls that are on their way. The first must not be executed after the second.
func TestCallRefusedBeforeOneThatSucceededIsNotSentAgain(t *testing.T) {
	l, redis := scripted(t, func(context.Context) error { t.Error("armed"); return nil })
	a := newSink()
	l.Submit(a.Caller, commands(t, "SET k 1", "GET k", "DEL l"))
	l.Flush()
	redis.expect("write SET k 1", "GET k", "free DEL l")
	redis.say(takeover + "$-1\r\n*1\r\n:0\r\n")
	if got, want := a.take(), strings.Repeat("-"+errNotArmed+"\r\n", 2)+":0\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l.Submit(a.Caller, commands(t, "SET k 2"))
	l.Flush()
	redis.expect("write SET k 2")
	redis.say("*1\r\n+OK\r\n")
	if got := a.take(); got != "+OK\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestRefusedForEverIsAnsweredWithAnError(t *testing.T) {
	l, redis := scripted(t, func(context.Context) error { return nil })
	a := newSink()
	l.Submit(a.Caller, commands(t, "SET k 1"))
	l.Flush()
	for range maxTries + 1 {
		redis.expect("write SET k 1")
		redis.say(takeover)
	}
	if got := a.take(); got != "-"+errNotArmed+"\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestWholeCallErrorIsEverybodysError(t *testing.T) {
	l, redis := scripted(t, nil)
	a, b := newSink(), newSink()
	l.Submit(a.Caller, commands(t, "SET k 1", "SET k 2"))
	l.Submit(b.Caller, commands(t, "SET l 1", "GET l"))
	l.Flush()
	redis.expect("write SET k 1|SET k 2|SET l 1", "GET l")
	redis.say("-OOM allow-oom flag is not set on the function, can not run it when used memory > 'maxmemory'\r\n$-1\r\n")
	if got := a.take(); got != strings.Repeat("-"+errOutOfMemory+"\r\n", 2) {
		t.Errorf("a got %q", got)
	}
	if got := b.take(); got != "-"+errOutOfMemory+"\r\n$-1\r\n" {
		t.Errorf("b got %q", got)
	}
}

func TestLostConnectionAnswersEverythingInOrder(t *testing.T) {
	l, redis := scripted(t, nil)
	a, b := newSink(), newSink()
	l.Submit(a.Caller, []Op{command(t, "SET k 1"), {Kind: OpLiteral, Bytes: []byte("+ready\r\n")}, command(t, "GET k"), command(t, "GET k")})
	l.Submit(b.Caller, commands(t, "GET big"))
	l.Flush()
	redis.expect("write SET k 1", "GET k", "GET k", "GET big")
	redis.say("*1\r\n+OK\r\n$1\r\n1\r\n")
	eventually(t, "the first answers", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.text) > 10
	})
	redis.conn.Close()
	if got := a.take(); got != "+OK\r\n+ready\r\n$1\r\n1\r\n-"+errLostRead+"\r\n" {
		t.Errorf("a got %q", got)
	}
	if got := b.take(); got != "-"+errLostRead+"\r\n" || b.isBroken() {
		t.Errorf("b got %q, broken: %v", got, b.isBroken())
	}
}

func TestLostConnectionInsideAReplyBreaksTheClient(t *testing.T) {
	l, redis := scripted(t, nil)
	a, b := newSink(), newSink()
	l.Submit(a.Caller, commands(t, "GET big"))
	l.Submit(b.Caller, commands(t, "SET k 1"))
	l.Flush()
	redis.expect("GET big", "write SET k 1")
	redis.say("$1000\r\nthe beginning")
	eventually(t, "the first piece", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.text) > 0
	})
	redis.conn.Close()
	a.take()
	if !a.isBroken() {
		t.Error("a client with half a reply goes on")
	}
	if got := b.take(); got != "-"+errLostWrite+"\r\n" || b.isBroken() {
		t.Errorf("b got %q, broken: %v", got, b.isBroken())
	}
}

func TestUnexpectedRepliesEndTheConnection(t *testing.T) {
	for name, reply := range map[string]string{
		"nonsense":       "hello\r\n",
		"wrong count":    "*2\r\n+OK\r\n+OK\r\n",
		"no array":       ":1\r\n",
		"nothing is due": "*1\r\n+OK\r\n+more\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, redis := scripted(t, nil)
			a := newSink()
			l.Submit(a.Caller, commands(t, "SET k 1"))
			l.Flush()
			redis.expect("write SET k 1")
			redis.say(reply)
			a.take()
			if n, err := redis.conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("still connected, %d bytes", n)
			}
		})
	}
}
