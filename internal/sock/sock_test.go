//go:build linux

package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
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
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestSendAndReceive(t *testing.T) {
	ours, theirs := pair(t)
	a, b := New(ours), New(theirs)
	buf := make([]byte, 100)
	if n, err := b.Recv(buf); n != 0 || err != nil {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	if n, err := a.Send([]byte("one ")); n != 4 || err != nil {
		t.Errorf("Send: %d, %v", n, err)
	}
	if n, err := a.SendAll([][]byte{[]byte("two "), []byte("three")}); n != 9 || err != nil {
		t.Errorf("SendAll: %d, %v", n, err)
	}
	if n, err := b.Read(buf); string(buf[:n]) != "one two three" || err != nil {
		t.Errorf("Read: %q, %v", buf[:n], err)
	}
	if b.HungUp() {
		t.Error("gone too early")
	}
	ours.Close()
	if n, err := b.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if !b.HungUp() {
		t.Error("not gone")
	}
	if _, err := a.Send([]byte("x")); err == nil {
		t.Error("sent on a closed connection")
	}
	if _, err := a.Recv(buf); err == nil {
		t.Error("received on a closed connection")
	}
}

func TestSendTakesWhatFits(t *testing.T) {
	ours, theirs := pair(t)
	a := New(ours)
	block := bytes.Repeat([]byte("x"), 1<<20)
	total := 0
	for {
		n, err := a.Send(block)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			break
		}
	}
	got := 0
	for buf := make([]byte, 1<<20); got < total; {
		n, err := theirs.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

func TestShutdownIsSeenByReaders(t *testing.T) {
	ours, _ := pair(t)
	a := New(ours)
	read := make(chan error)
	go func() { _, err := ours.Read(make([]byte, 1)); read <- err }()
	a.Shutdown()
	if err := <-read; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestOnlySocketsHaveOne(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if New(a) != nil {
		t.Error("a pipe has none")
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	ours, theirs := pair(t)
	a, b := New(ours), New(theirs)
	buf, piece := make([]byte, 100), []byte("hello")
	pieces := [][]byte{piece, piece}
	allocs := testing.AllocsPerRun(1000, func() {
		a.Send(piece)
		a.SendAll(pieces)
		b.Read(buf)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

type member struct {
	sock *Sock
	name string
}

func TestPoller(t *testing.T) {
	p, err := NewPoller[member]()
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 100)
	rounds := 0
	var running sync.WaitGroup
	running.Go(func() {
		err := p.Run(func(m *member) {
			buf := make([]byte, 100)
			n, err := m.sock.Recv(buf)
			if err != nil {
				p.Remove(m.sock)
				heard <- m.name + " ended"
				return
			}
			heard <- m.name + " " + string(buf[:n])
		}, func() { rounds++ })
		if err != nil {
			t.Error(err)
		}
	})
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("never heard %q", want)
		}
	}
	ours, theirs := pair(t)
	m := &member{New(theirs), "a"}
	ours.Write([]byte("before"))
	if err := p.Add(m.sock, m); err != nil {
		t.Fatal(err)
	}
	hear("a before")
	ours.Write([]byte("after"))
	hear("a after")

	posted := make(chan int)
	p.Post(func() { posted <- len(p.Members()); p.Remove(m.sock) })
	if n := <-posted; n != 1 {
		t.Errorf("%d members", n)
	}
	p.Post(func() { posted <- len(p.Members()) })
	if n := <-posted; n != 0 {
		t.Errorf("%d members", n)
	}
	ours.Write([]byte("unheard"))
	if err := p.Add(m.sock, m); err != nil {
		t.Fatal(err)
	}
	hear("a unheard")
	ours.Close()
	hear("a ended")
	if err := p.Add(New(ours), m); err == nil {
		t.Error("added a closed connection")
	}
	p.Close()
	running.Wait()
	p.Post(func() { t.Error("ran after Close") })
	if rounds == 0 {
		t.Error("no rounds")
	}
}

// A hang-up is noticed at once, whatever is unread before it, and a read deadline ends the wait.
func TestAwaitHangup(t *testing.T) {
	ours, theirs := pair(t)
	s := New(theirs)
	ended := make(chan error, 1)
	go func() { ended <- s.AwaitHangup() }() // ends with the deadline
	if _, err := ours.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("bytes ended the wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if s.HungUp() {
		t.Error("hung up too early")
	}
	theirs.SetReadDeadline(time.Now())
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the deadline: %v", err)
	}
	theirs.SetReadDeadline(time.Time{})
	go func() { ended <- s.AwaitHangup() }() // ends with the hang-up
	ours.(*net.TCPConn).CloseWrite()
	if err := <-ended; err != nil {
		t.Errorf("the hang-up: %v", err)
	}
	if !s.HungUp() {
		t.Error("not hung up")
	}
	buf := make([]byte, 10)
	if n, err := s.Recv(buf); string(buf[:n]) != "unread" || err != nil {
		t.Errorf("Recv: %q, %v", buf[:n], err)
	}
}
