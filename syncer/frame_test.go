package syncer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/resp"
)

// reading gives a frameConn over bytes that a peer sent.
func reading(data []byte, limit int) *frameConn {
	guard := &guard{src: bufio.NewReader(bytes.NewReader(data)), limit: limit}
	return &frameConn{conn: &timedConn{}, guard: guard, reader: resp.NewReader(guard)}
}

func TestFramesThatAreRefused(t *testing.T) {
	for name, data := range map[string]string{
		"inline command":      "PING now\r\n",
		"simple string":       "+OK\r\n",
		"nested array":        "*1\r\n*1\r\n$1\r\na\r\n",
		"empty array":         "*0\r\n",
		"null array":          "*-1\r\n",
		"negative bulk":       "*1\r\n$-7\r\n",
		"null bulk":           "*1\r\n$-1\r\n",
		"too many values":     "*1000000\r\n",
		"two million values":  "*2000000\r\n$1\r\na\r\n",
		"huge bulk":           "*1\r\n$500000000\r\n",
		"together too large":  "*2\r\n$60\r\n" + strings.Repeat("a", 60) + "\r\n$60\r\n" + strings.Repeat("a", 60) + "\r\n",
		"number overflows":    "*1\r\n$99999999999999999999\r\n",
		"no carriage return":  "*1\n$1\r\na\r\n",
		"integer value":       "*1\r\n:1\r\n",
		"endless line":        "*" + strings.Repeat("1", 100_000),
		"wrong end of bulk":   "*1\r\n$1\r\nabc",
		"end in the middle":   "*2\r\n$1\r\na\r\n",
		"end in a bulk":       "*1\r\n$5\r\nab",
		"end in a head":       "*1",
		"plus before length":  "*+1\r\n$1\r\na\r\n",
		"length with a space": "* 1\r\n$1\r\na\r\n",
	} {
		if f, err := reading([]byte(data), 100).read(); err == nil {
			t.Errorf("%s: taken as %v", name, f)
		}
	}
}

func TestFrameRoundTrip(t *testing.T) {
	left, right := net.Pipe()
	defer left.Close()
	defer right.Close()
	a, b := newFrameConn(left, time.Time{}), newFrameConn(right, time.Time{})
	big := bytes.Repeat([]byte("x\x00\r\n"), 900)
	go func() {
		_ = a.write("ONE", "", 7, int64(1)<<60, []byte{}, big)
		_ = a.write("TWO")
	}()
	f, err := b.read()
	if err != nil || f.verb() != "ONE" || f.text(1) != "" || f.text(2) != "7" || f.text(3) != "1152921504606846976" || !bytes.Equal(f.bytes(5), big) {
		t.Fatal(f, err)
	}
	if f, err = b.read(); err != nil || f.verb() != "TWO" {
		t.Fatal(f, err)
	}
	left.Close()
	if _, err = b.read(); !errors.Is(err, io.EOF) {
		t.Errorf("end of the stream: %v", err)
	}
}

func TestStrangerMayNotSendLargeFrames(t *testing.T) {
	left, right := net.Pipe()
	defer left.Close()
	defer right.Close()
	b := newFrameConn(right, time.Now().Add(time.Second))
	go func() { _, _ = left.Write([]byte("*1\r\n$5000\r\n")) }()
	if _, err := b.read(); !errors.Is(err, errFrame) {
		t.Errorf("before the handshake: %v", err)
	}
}

func TestSilentPeerEndsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, right := net.Pipe()
		defer left.Close()
		defer right.Close()
		b := newFrameConn(right, time.Now().Add(time.Second))
		b.open(1<<20, 5*time.Second)
		go func() {
			for _, c := range "*1\r\n$5\r\nabcde\r\n" { // slow, but not silent
				time.Sleep(4 * time.Second)
				_, _ = left.Write([]byte{byte(c)})
			}
		}()
		if f, err := b.read(); err != nil || f.verb() != "abcde" {
			t.Fatal(f, err)
		}
		began := time.Now()
		var timeout net.Error
		if _, err := b.read(); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("silence: %v", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("silence was noticed after %v", took)
		}
	})
}

func TestPeerThatDoesNotReadEndsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, right := net.Pipe()
		defer left.Close()
		defer right.Close()
		b := newFrameConn(right, time.Now().Add(time.Second))
		b.open(1<<20, 5*time.Second)
		if err := b.write("LOG", make([]byte, 1000)); err == nil {
			t.Error("a write that nobody read succeeded")
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{"*1\r\n$4\r\nBEAT\r\n", "*2\r\n$3\r\nACK\r\n$1\r\n\x80\r\n", "*1\r\n$-7\r\n", "*3\r\n$3\r\nLOG\r\n$4\r\nnone\r\n$0\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 12
		c := reading(data, limit)
		for {
			frame, err := c.read()
			if err != nil {
				return
			}
			total := 0
			for i := range frame {
				total += len(frame.bytes(i))
			}
			if total > limit || len(frame) > maxParts {
				t.Fatalf("%d bytes in %d values", total, len(frame))
			}
			_, _ = frame.asBeat()
			_ = frame.asError()
			_, _ = decodeJSON[hello](frame, 2)
			_, _ = frame.number(1)
		}
	})
}
