package listen

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/rs/zerolog"
)

// flaky fails now and then, as accept does when there are too many open files.
type flaky struct {
	net.Listener
	fails int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.fails > 0 {
		f.fails--
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

func TestConnectionsAreTakenAfterErrorsAndUntilTheEnd(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	taken, ended := make(chan net.Conn, 2), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, &flaky{inner, 2}, zerolog.Nop(), func(conn net.Conn) { taken <- conn })
	}()
	for range 2 {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		defer (<-taken).Close()
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("at the end: %v", err)
	}
	if _, err := net.Dial("tcp", inner.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

// Whoever served a port can serve it again at once.
func TestThePortIsFreeAtTheEnd(t *testing.T) {
	addr := "127.0.0.1:0"
	for range 2000 {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		addr = listener.Addr().String()
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, listener, zerolog.Nop(), func(net.Conn) {}) }()
		end()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

func TestAListenerThatOthersCloseIsAnError(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inner.Close()
	if err := Serve(t.Context(), inner, zerolog.Nop(), func(net.Conn) {}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
