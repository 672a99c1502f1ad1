package passive

import (
	"bytes"
	"strconv"
)

// What is kept of one command: enough to know it.
const (
	maxArgs     = 64
	maxArgBytes = 512
	maxLine     = 64 << 10
)

// Stream finds commands in the bytes of one client. It keeps little of each, however long it is; what it cannot read it ignores from
// then on.
type Stream struct {
	line  []byte // unfinished length line or inline command
	args  [][]byte
	left  int // arguments that are still to come
	body  int // bytes of the argument at hand that are still to come, with its end; 0: its length comes next
	total int // bytes of it
	lost  bool
}

// Take reads the next bytes, and tells of each command that they complete.
func (s *Stream) Take(data []byte, passed func(args [][]byte)) {
	for len(data) > 0 && !s.lost {
		if s.body > 0 {
			data = s.takeBody(data, passed)
			continue
		}
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			s.line = append(s.line, data...)
			s.lost = len(s.line) > maxLine
			return
		}
		line := append(s.line, data[:end]...)
		data = data[end+1:]
		s.takeLine(bytes.TrimSuffix(line, []byte("\r")), passed)
		s.line = s.line[:0]
	}
}

func (s *Stream) takeBody(data []byte, passed func([][]byte)) (rest []byte) {
	n := min(s.body, len(data))
	at := s.total + 2 - s.body // how much of it has come
	if value := min(n, s.total-at); value > 0 && len(s.args) > 0 {
		last := &s.args[len(s.args)-1]
		*last = append(*last, data[:min(value, max(0, maxArgBytes-len(*last)))]...)
	}
	if s.body -= n; s.body == 0 {
		s.left--
		s.finish(passed)
	}
	return data[n:]
}

func (s *Stream) takeLine(line []byte, passed func([][]byte)) {
	switch {
	case s.left > 0: // "$5"
		n := lengthOf(line, '$')
		if s.lost = n < 0; s.lost {
			return
		}
		if len(s.args) < maxArgs {
			s.args = append(s.args, make([]byte, 0, min(n, maxArgBytes)))
		} else {
			s.args[maxArgs-1] = s.args[maxArgs-1][:0] // nobody asks for it
		}
		s.total, s.body = n, n+2
	case len(line) > 0 && line[0] == '*':
		n := lengthOf(line, '*')
		s.args, s.left = s.args[:0], max(n, 0)
	default: // an inline command
		for _, word := range bytes.Fields(line) {
			if len(s.args) < maxArgs {
				s.args = append(s.args, append([]byte(nil), word[:min(len(word), maxArgBytes)]...))
			}
		}
		s.finish(passed)
	}
}

func (s *Stream) finish(passed func([][]byte)) {
	if s.left > 0 {
		return
	}
	if len(s.args) > 0 {
		passed(s.args)
	}
	s.args = s.args[:0]
}

// lengthOf reads a length line, -1 for what is none.
func lengthOf(line []byte, mark byte) int {
	if len(line) < 2 || line[0] != mark {
		return -1
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n > 512<<20 {
		return -1
	}
	return n
}
