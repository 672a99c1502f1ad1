package resp

import "bytes"

// Limits of one request. They are Redis's own.
const (
	MaxBulkBytes = 512 << 20 // proto-max-bulk-len
	MaxArgs      = 1 << 20   // arguments of one command
	maxLineBytes = 64 << 10  // a length line or an inline command

	maxGuestBulkBytes = 16 << 10
	maxGuestArgs      = 10
)

// maxKeptArgs bounds what an idle Scanner holds on to after a command with many arguments.
const maxKeptArgs = 1 << 10

// Scanner finds the commands in a client's byte stream. The zero value is ready. It remembers how far it came in a
// command that has not arrived completely, so that a command that comes in many pieces costs no more than another.
type Scanner struct {
	// Args are the arguments of the command that Scan found, the name first. They are spans of the buffer given to
	// Scan (of Raw for an inline command) and are valid until the buffer changes or Scan is called again.
	Args [][]byte

	// Raw is the command as a RESP array, Head the length of its "*N\r\n" line: Raw[Head:] are its arguments alone.
	Raw  []byte
	Head int

	// Guest bounds commands to what a login needs: it is set while the client has not said who it is.
	Guest bool

	// Inline says that the command was typed as a line, so Raw is no span of the buffer.
	Inline bool

	pos  int // how far the unfinished command was read
	left int // arguments of it that are still missing
	bulk int // length of the next argument when its length line was read, else -1
}

// Reset forgets an unfinished command. It must be called when the bytes that were already scanned move inside the
// buffer; a copy of them in a new buffer is fine as long as the old one is left alone.
func (s *Scanner) Reset() {
	s.left, s.pos = 0, 0
	s.Args = s.Args[:0]
}

// Scan looks at one command at the start of buf and returns its length. 0 means that it has not arrived completely:
// call again with the same bytes and more. A command without arguments (an empty line, "*0") has a length and no Args.
func (s *Scanner) Scan(buf []byte) (int, error) {
	if s.left == 0 {
		if len(buf) == 0 {
			return 0, nil
		}
		if cap(s.Args) > maxKeptArgs {
			s.Args = nil
		}
		s.Args = s.Args[:0]
		if buf[0] != '*' {
			return s.scanInline(buf)
		}
		count, next := length(buf, 1)
		switch {
		case next == 0:
			return s.partialLine(buf, ErrMultibulkString)
		case next < 0, count > MaxArgs:
			return 0, ErrMultibulkLength
		case count > maxGuestArgs && s.Guest:
			return 0, ErrGuestMultibulkLength
		case count <= 0:
			return next, nil
		}
		s.Head, s.pos, s.left, s.bulk, s.Inline = next, next, count, -1, false
	}
	pos := s.pos
	for s.left > 0 {
		size := s.bulk
		if size < 0 {
			if pos >= len(buf) {
				s.pos = pos
				return 0, nil
			}
			if buf[pos] != '$' {
				return 0, errExpectedBulk(buf[pos])
			}
			var next int
			size, next = length(buf, pos+1)
			if next == 0 {
				s.pos = pos
				return s.partialLine(buf[pos:], ErrBulkString)
			}
			if next < 0 || size < 0 || size > MaxBulkBytes {
				return 0, ErrBulkLength
			}
			if size > maxGuestBulkBytes && s.Guest {
				return 0, ErrGuestBulkLength
			}
			pos = next
		}
		end := pos + size
		if end+2 > len(buf) {
			s.pos, s.bulk = pos, size
			return 0, nil
		}
		if buf[end] != '\r' || buf[end+1] != '\n' {
			return 0, ErrBulkEnd
		}
		s.Args = append(s.Args, buf[pos:end:end])
		pos = end + 2
		s.bulk = -1
		s.left--
	}
	s.Raw = buf[:pos:pos]
	return pos, nil
}

// Missing says how many bytes the unfinished command needs at least, beyond those that Scan has seen in a buffer of
// this length. It is a hint for the next read; a client may announce what it never sends.
func (s *Scanner) Missing(have int) int {
	if s.left == 0 || s.bulk < 0 {
		return 1
	}
	return max(1, s.pos+s.bulk+2-have)
}

// Length reads a decimal number and CRLF at buf[i]. next is the position behind them, 0 when they have not arrived
// completely, -1 when this is no number as Redis writes it.
func Length(buf []byte, i int) (value, next int) { return length(buf, i) }

func (s *Scanner) partialLine(line []byte, tooLong error) (int, error) {
	if len(line) > maxLineBytes {
		return 0, tooLong
	}
	return 0, nil
}

// length reads a decimal number and CRLF at buf[i]. next is the position behind them, 0 when they have not arrived
// completely, -1 when this is no number as Redis's string2ll reads it (no plus sign, no leading zero, no space).
func length(buf []byte, i int) (value, next int) {
	// One or two digits are nearly every length on a hot path.
	if i+3 < len(buf) {
		if d := buf[i] - '0'; d <= 9 {
			if buf[i+1] == '\r' && buf[i+2] == '\n' {
				return int(d), i + 3
			}
			if e := buf[i+1] - '0'; e <= 9 && d != 0 && buf[i+2] == '\r' && buf[i+3] == '\n' {
				return int(d)*10 + int(e), i + 4
			}
		}
	}
	return lengthSlow(buf, i)
}

func lengthSlow(buf []byte, i int) (value, next int) {
	// As in Redis, the line must have ended before anything is said about it.
	line := buf[min(i, len(buf)):]
	if at := bytes.IndexByte(line, '\r'); at < 0 || at+1 == len(line) {
		return 0, 0
	}
	negative := i < len(buf) && buf[i] == '-'
	if negative {
		i++
	}
	start := i
	for ; i < len(buf); i++ {
		c := buf[i]
		if c == '\r' {
			break
		}
		if c < '0' || c > '9' || i-start >= 18 || (buf[start] == '0' && i > start) {
			return 0, -1
		}
		value = value*10 + int(c-'0')
	}
	switch {
	case i == start, buf[i+1] != '\n', negative && value == 0:
		return 0, -1
	case negative:
		return -value, i + 2
	}
	return value, i + 2
}

// scanInline reads a command typed by a person: words up to the end of the line, with Redis's rules for quotes.
func (s *Scanner) scanInline(buf []byte) (int, error) {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		return s.partialLine(buf, ErrInlineTooBig)
	}
	if end > maxLineBytes {
		return 0, ErrInlineTooBig
	}
	line := bytes.TrimSuffix(buf[:end], []byte{'\r'})
	words, ok := splitWords(line)
	if !ok {
		return 0, ErrQuotes
	}
	if len(words) == 0 {
		return end + 1, nil
	}
	s.Raw = AppendCommand(nil, words...)
	var again Scanner // the arguments must be spans of Raw
	again.Args = s.Args
	if _, err := again.Scan(s.Raw); err != nil {
		return 0, err
	}
	s.Args, s.Head, s.Inline = again.Args, again.Head, true
	return end + 1, nil
}
