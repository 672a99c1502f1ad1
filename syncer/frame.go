package syncer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/tidwall/resp"
)

const (
	maxParts      = 12      // values of one frame
	maxHeadBytes  = 16      // of the line that opens an array or a bulk string
	helloBytes    = 4 << 10 // limit of a frame before the peer has said who it is
	frameOverhead = maxHeadBytes * (maxParts + 1)
	writeChunk    = 64 << 10
)

var errFrame = errors.New("malformed frame")

// frame is one message of the peer link: a RESP array of bulk strings, the first of which is the verb. The strings
// belong to whoever received the frame.
type frame []resp.Value

func (f frame) verb() string { return f[0].String() }

// bytes gives value i, or nil when the frame is shorter.
func (f frame) bytes(i int) []byte {
	if i >= len(f) {
		return nil
	}
	return f[i].Bytes()
}

func (f frame) text(i int) string { return string(f.bytes(i)) }

// number gives value i as a non-negative integer.
func (f frame) number(i int) (int64, error) {
	n, err := strconv.ParseInt(f.text(i), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s value %d is no number", errFrame, f.verb(), i)
	}
	return n, nil
}

// guard stands before the RESP reader, which believes every length that it is told. It lets through flat arrays of bulk
// strings below the limits, and nothing else; a length reaches the reader only after it was found good.
type guard struct {
	src   *bufio.Reader
	limit int // bytes of the bulk strings of one frame; may change between frames

	line  []byte // of a head, not handed out yet
	parts int    // bulk strings of this frame that have not begun
	body  int    // bytes left of the bulk string that has begun, with its line end
	left  int    // bytes that this frame may still have
}

func (g *guard) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(g.line) == 0 && g.body == 0 {
		if err := g.head(); err != nil {
			return 0, err
		}
	}
	if len(g.line) > 0 {
		n := copy(p, g.line)
		g.line = g.line[n:]
		return n, nil
	}
	n, err := g.src.Read(p[:min(len(p), g.body)])
	g.body -= n
	return n, err
}

// head reads the next line, which opens a frame or a bulk string, and checks it.
func (g *guard) head() error {
	line, err := g.src.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%w: line too long", errFrame)
		}
		if len(line) > 0 && errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if len(line) < 4 || len(line) > maxHeadBytes || line[len(line)-2] != '\r' {
		return fmt.Errorf("%w: line of %d bytes", errFrame, len(line))
	}
	n, err := strconv.ParseUint(string(line[1:len(line)-2]), 10, 31)
	if err != nil {
		return fmt.Errorf("%w: bad length", errFrame)
	}
	switch {
	case g.parts == 0 && line[0] == '*':
		if n == 0 || n > maxParts {
			return fmt.Errorf("%w: %d values", errFrame, n)
		}
		g.parts, g.left = int(n), g.limit
	case g.parts > 0 && line[0] == '$':
		if int(n) > g.left {
			return fmt.Errorf("%w: larger than %d bytes", errFrame, g.limit)
		}
		g.parts--
		g.left -= int(n)
		g.body = int(n) + 2
	default:
		return fmt.Errorf("%w: unexpected %q", errFrame, line[0])
	}
	g.line = append([]byte(nil), line...)
	return nil
}

// frameConn reads and writes frames. One goroutine may read; any number may write.
type frameConn struct {
	conn   *timedConn
	guard  *guard
	reader *resp.Reader

	mu     sync.Mutex // guards writer
	writer *bufio.Writer
}

// newFrameConn takes a new connection. Until open is called, all of it must happen before the deadline, in small frames.
func newFrameConn(conn net.Conn, deadline time.Time) *frameConn {
	timed := &timedConn{Conn: conn}
	_ = conn.SetDeadline(deadline)
	guard := &guard{src: bufio.NewReaderSize(timed, 32<<10), limit: helloBytes}
	return &frameConn{
		conn:   timed,
		guard:  guard,
		reader: resp.NewReader(guard),
		writer: bufio.NewWriterSize(timed, writeChunk),
	}
}

// open ends the handshake: from now on the limits are those of a known peer. It is called by the goroutine that reads.
func (c *frameConn) open(frameBytes int, silence time.Duration) {
	c.guard.limit = frameBytes
	_ = c.conn.SetDeadline(time.Time{})
	c.conn.silence.Store(int64(silence))
}

// startsWith looks at the first byte that comes.
func (c *frameConn) startsWith(b byte) bool {
	first, err := c.guard.src.Peek(1)
	return err == nil && first[0] == b
}

// allow changes the size limit alone.
func (c *frameConn) allow(frameBytes int) { c.guard.limit = frameBytes }

// read returns the next frame. The frame is the caller's.
func (c *frameConn) read() (frame, error) {
	value, _, err := c.readValue()
	if err != nil {
		return nil, err
	}
	parts := frame(value.Array())
	if len(parts) == 0 {
		return nil, errFrame
	}
	return parts, nil
}

func (c *frameConn) readValue() (resp.Value, int, error) {
	value, n, err := c.reader.ReadValue()
	// The reader turns the end of the stream between two frames into an unexpected one.
	if errors.Is(err, io.ErrUnexpectedEOF) && n == 0 {
		err = io.EOF
	}
	return value, n, err
}

// write sends one frame at once. Values may be string, []byte or integers.
func (c *frameConn) write(verb string, values ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := make([]resp.Value, 0, len(values)+1)
	parts = append(parts, resp.StringValue(verb))
	for _, value := range values {
		switch value := value.(type) {
		case []byte:
			parts = append(parts, resp.BytesValue(value))
		default:
			parts = append(parts, resp.AnyValue(value))
			if last := len(parts) - 1; parts[last].Type() != resp.BulkString {
				parts[last] = resp.StringValue(parts[last].String())
			}
		}
	}
	// The writer's own errors are lost in resp.Writer; bufio keeps the first one until Flush.
	if err := resp.NewWriter(c.writer).WriteArray(parts); err != nil {
		return err
	}
	return c.writer.Flush()
}

// closeSoon ends reading at once; the last frames may still be written.
func (c *frameConn) closeSoon() { c.conn.end() }

func (c *frameConn) close() { _ = c.conn.Close() }
