package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
	"anabranch/internal/resp"
)

func TestRepliesInOrder(t *testing.T) {
	r := start(t, nil)
	got := r.dial().do("SET k 1", "PING", "GET k", "NOSUCH a b", "ECHO hi", "GET k", "INCR k", "SWAPDB 0 1", "GET crdt:log", "DEL k", "PING x", "GET k")
	want := "+OK\r\n+PONG\r\n$1\r\n1\r\n-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n$2\r\nhi\r\n$1\r\n1\r\n:2\r\n" +
		"-ERR 'swapdb' is not available through Anabranch: companion keys do not move between databases with their keys' database\r\n" +
		"-ERR key names starting with 'crdt:' are reserved\r\n:1\r\n$1\r\nx\r\n$-1\r\n"
	if got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestLocalAnswersWaitForEarlierReads(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET k 1")
	r.redis.Pause()
	w.send("GET k\r\n")
	time.Sleep(20 * time.Millisecond)
	w.send("PING\r\n")
	time.Sleep(20 * time.Millisecond)
	w.send("GET k\r\nPING 2\r\n")
	r.redis.Continue()
	if got := w.reply() + w.reply() + w.reply() + w.reply(); got != "$1\r\n1\r\n+PONG\r\n$1\r\n1\r\n$1\r\n2\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestCommandsInSmallPieces(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	stream := resp.AppendCommandStrings(nil, "SET", "key", strings.Repeat("v", 300))
	stream = resp.AppendCommandStrings(stream, "GET", "key")
	stream = append(stream, "PING\r\n"...)
	for _, b := range stream {
		w.conn.Write([]byte{b})
	}
	if got := w.reply() + w.reply() + w.reply(); got != "+OK\r\n$300\r\n"+strings.Repeat("v", 300)+"\r\n+PONG\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestBigValues(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	value := strings.Repeat("0123456789abcdef", 1<<20)
	w.send(string(resp.AppendCommandStrings(nil, "SET", "big", value)) + "GET big\r\nSTRLEN big\r\n")
	if got := w.reply(); got != "+OK\r\n" {
		t.Fatalf("got %.100q", got)
	}
	if got := w.reply(); got != fmt.Sprintf("$%d\r\n%s\r\n", len(value), value) {
		t.Errorf("got %d bytes", len(got))
	}
	if got := w.reply(); got != fmt.Sprintf(":%d\r\n", len(value)) {
		t.Errorf("got %q", got)
	}
}

func TestManyArguments(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	args := []string{"DEL"}
	for i := range 100_000 {
		args = append(args, fmt.Sprintf("key:%d", i))
	}
	w.send(string(resp.AppendCommandStrings(nil, args...)))
	if got := w.reply(); got != ":0\r\n" {
		t.Errorf("got %q", got)
	}
}

// A client may send everything before it reads anything.
func TestHugePipeline(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	const count = 50_000
	w.do("SET k " + strings.Repeat("v", 1000))
	var stream []byte
	for range count {
		stream = resp.AppendCommandStrings(stream, "GET", "k")
	}
	w.send(string(stream))
	one := len(w.reply())
	got := len(w.buf)
	piece := make([]byte, 1<<20)
	for got < one*(count-1) {
		w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := w.conn.Read(piece)
		if err != nil {
			t.Fatal(err, got)
		}
		got += n
	}
	if got != one*(count-1) {
		t.Errorf("got %d bytes, want %d", got, one*(count-1))
	}
}

func TestManyClients(t *testing.T) {
	r := start(t, nil)
	var clients sync.WaitGroup
	for id := range 50 {
		clients.Go(func() {
			w := r.dial()
			for round := range 30 {
				value := fmt.Sprintf("%d.%d", id, round)
				want := fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n+PONG\r\n:%d\r\n", len(value), value, round+1)
				key := fmt.Sprintf("k%d", id)
				if got := w.do("SET "+key+" "+value, "GET "+key, "PING", "INCR n"+key); got != want {
					t.Errorf("client %d: got %q, want %q", id, got, want)
					return
				}
			}
		})
	}
	clients.Wait()
}

// The same malformed bytes to Redis and to the proxy end in the same words.
func TestProtocolErrorsAreRedissOwn(t *testing.T) {
	r := start(t, nil)
	for _, stream := range []string{
		"*1\r\n$-7\r\n", "*1\r\n$x\r\n", "*x\r\n", "*99999999999\r\n", "*1\r\n:1\r\n", "PING \"a\r\n", "*1\r\n$536870913\r\n",
		"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n+x\r\n", strings.Repeat("x", 70_000), "*1\r\n$" + strings.Repeat("1", 70_000),
		"*" + strings.Repeat("1", 70_000),
		"GET / HTTP/1.1\r\nHost: x\r\nSET k 1\r\n", "post /x HTTP/1.1\r\nSET k 1\r\n", "*1\r\n$5\r\nHOST:\r\n*1\r\n$4\r\nPING\r\n",
	} {
		want := dial(t, r.redis.Addr)
		want.send(stream)
		got := r.dial()
		got.send(stream)
		if g, w := got.rest(), want.rest(); g != w {
			t.Errorf("%.40q: got %q, redis %q", stream, g, w)
		}
	}
}

func TestSlowClientStallsNobody(t *testing.T) {
	r := start(t, func(c *Config) { c.OutputBytes = 8 << 20 })
	w := r.dial()
	w.do("SET k " + strings.Repeat("v", 50_000))
	slow := r.dial()
	var stream []byte
	for range 400 {
		stream = resp.AppendCommandStrings(stream, "GET", "k")
	}
	slow.send(string(stream)) // 20 MB of replies that it does not read
	for range 20 {
		if got := w.do("GET k"); len(got) != 50_010 {
			t.Fatalf("got %d bytes", len(got))
		}
	}
	eventually(t, "the slow client is closed", func() bool { return r.server.Clients() == 1 })
}

func TestMaxClients(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxClients = 2 })
	a := r.dial()
	a.want("PING", "+PONG\r\n")
	r.dial().want("PING", "+PONG\r\n")
	if got := r.dial().rest(); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("got %q", got)
	}
	a.conn.Close()
	eventually(t, "there is room again", func() bool { return r.server.Clients() == 1 })
	r.dial().want("PING", "+PONG\r\n")
}

func TestQueryBufferLimit(t *testing.T) {
	r := start(t, func(c *Config) { c.QueryBytes = 1 << 20 })
	w := r.dial()
	go func() { // the connection is closed in the middle
		w.conn.Write([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n" + strings.Repeat("v", 3_000_000) + "\r\n"))
	}()
	w.rest()
	r.dial().want("GET k", "$-1\r\n")
}

func TestQuitAnswersFirst(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.send("SET k 1\r\nGET k\r\nQUIT\r\nGET k\r\n")
	if got := w.rest(); got != "+OK\r\n$1\r\n1\r\n+OK\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestHalfClosedClientGetsItsReplies(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.send("SET k 1\r\nGET k\r\n")
	w.conn.(*net.TCPConn).CloseWrite()
	if got := w.rest(); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestShutdownLetsRepliesFinish(t *testing.T) {
	r := start(t, nil)
	w, idle := r.dial(), r.dial()
	idle.do("PING")
	w.do("SET k 1")
	r.redis.Pause()
	w.send("GET k\r\n")
	time.Sleep(50 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	time.Sleep(50 * time.Millisecond)
	r.redis.Continue()
	if got := w.rest(); got != "$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
	<-stopped
	idle.rest()
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		conn.Close()
		t.Error("still listening")
	}
}

func TestUntilTheBackendIsReady(t *testing.T) {
	redis := redistest.Start(t)
	redis.Stop()
	r := startOn(t, redis, nil)
	w := r.dial()
	w.want("PING", "-LOADING Anabranch is starting\r\n")
	w.want("GET k", "-LOADING Anabranch is starting\r\n")
	w.want("CLIENT GETNAME", "$-1\r\n")
	for _, line := range []string{"AUTH x", "HELLO 3", "CLIENT KILL TYPE normal", "ACL LOG"} {
		w.want(line, "-LOADING Anabranch is starting\r\n")
	}
	redis.Restart()
	eventually(t, "it serves", func() bool { return w.do("PING") == "+PONG\r\n" })
	redis.Kill()
	eventually(t, "the loss is told", func() bool {
		return w.do("PING") == "-LOADING Anabranch has no connection to its Redis; the command was not executed\r\n"
	})
	redis.Restart()
	eventually(t, "it serves again", func() bool { return w.do("SET k 1") == "+OK\r\n" })
}

func TestTLS(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := start(t, func(c *Config) { c.TLS, c.Loops = selfSigned(t), loops })
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		w := &wire{t: t, conn: conn}
		value := strings.Repeat("v", 200_000)
		w.send(string(resp.AppendCommandStrings(nil, "SET", "k", value)) + "PING\r\nGET k\r\nQUIT\r\n")
		if got := w.rest(); got != fmt.Sprintf("+OK\r\n+PONG\r\n$%d\r\n%s\r\n+OK\r\n", len(value), value) {
			t.Errorf("got %d bytes", len(got))
		}
	}
}

// Who begins no TLS where there is to be TLS has no place for long.
func TestClientsThatBeginNoTLSAreSentAway(t *testing.T) {
	r := start(t, func(c *Config) { c.TLS, c.ControlTimeout = selfSigned(t), 50*time.Millisecond })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x16\x03")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
	eventually(t, "its place is free", func() bool { return r.server.Clients() == 0 })
}

func TestWithoutLoops(t *testing.T) {
	r := start(t, func(c *Config) { c.Loops = 0 })
	w := r.dial()
	if got := w.do("SET k 1", "PING", "GET k", "SELECT 1", "GET k"); got != "+OK\r\n+PONG\r\n$1\r\n1\r\n+OK\r\n$-1\r\n" {
		t.Errorf("got %q", got)
	}
}

func selfSigned(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestPassThroughAllocatesNothing(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET k value")
	var stream []byte
	for range 16 {
		stream = resp.AppendCommandStrings(stream, "GET", "k")
	}
	want := 16 * len("$5\r\nvalue\r\n")
	reply := make([]byte, 4096)
	round := func() {
		w.conn.Write(stream)
		for got := 0; got < want; {
			n, err := w.conn.Read(reply)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	w.conn.SetReadDeadline(time.Time{})
	for range 200 {
		round()
	}
	// The health check of the control plane runs beside it, so a few allocations of its own are in the count.
	if allocs := testing.AllocsPerRun(3000, round); allocs > 0.5 {
		t.Errorf("%v allocations for 16 commands", allocs)
	}
}
