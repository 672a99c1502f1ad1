package resp

import "bytes"

// ReplyScanner counts whole replies in the byte stream of a server, in RESP2 and RESP3. It keeps a count of elements
// still to come and never recurses, so the nesting of a reply cannot overflow a stack. The zero value is ready.
type ReplyScanner struct {
	pending int // elements still missing in the reply that was begun; 0 between replies
	skip    int // bytes of a bulk (and its CRLF) that are still to come

	Errors int // replies that were errors, not those inside of others, since the owner last set it to 0
}

// maxReplyElements bounds the announced elements of one reply, so that no sum of announcements overflows.
const maxReplyElements = 1 << 40

// Begun reports whether the scanner stands inside a reply.
func (s *ReplyScanner) Begun() bool { return s.pending > 0 || s.skip > 0 }

// Scan goes on at buf[pos] until want replies are complete or the bytes are used up. It returns where it stopped and how
// many replies were completed. Everything before end belongs to those replies and to the one that is begun, and need
// not be kept; bytes from end on (a header that has not arrived completely) must be there again at the next call.
func (s *ReplyScanner) Scan(buf []byte, pos, want int) (end, done int, err error) {
	if s.skip > 0 {
		if have := len(buf) - pos; have < s.skip {
			s.skip -= have
			return len(buf), 0, nil
		}
		pos += s.skip
		s.skip = 0
		if s.pending == 0 {
			done++
		}
	}
	for done < want {
		if pos >= len(buf) {
			return pos, done, nil
		}
		pending := s.pending
		if pending == 0 {
			pending = 1
		}
		switch buf[pos] {
		case '$', '=', '!':
			size, next := length(buf, pos+1)
			if next <= 0 {
				return stop(next, pos, done, buf)
			}
			pending--
			pos = next
			if size >= 0 {
				pos += size + 2
				if size > maxReplyElements {
					return pos, done, ErrReply
				}
				if pos > len(buf) {
					s.pending, s.skip = pending, pos-len(buf)
					return len(buf), done, nil
				}
			}
		case '+', '-', ':', '_', '#', ',', '(':
			at := bytes.IndexByte(buf[pos:], '\n')
			if at < 0 {
				return pos, done, nil
			}
			if buf[pos] == '-' && s.pending == 0 {
				s.Errors++
			}
			pending--
			pos += at + 1
		case '*', '~', '>', '%', '|':
			kind := buf[pos]
			count, next := length(buf, pos+1)
			if next <= 0 {
				return stop(next, pos, done, buf)
			}
			pos = next
			if count < 0 {
				count = 0
			}
			if count > maxReplyElements {
				return pos, done, ErrReply
			}
			switch kind {
			case '%':
				pending += 2*count - 1
			case '|': // attributes stand before the reply that they describe, and are no element of their own
				pending += 2 * count
			default:
				pending += count - 1
			}
			if pending > maxReplyElements {
				return pos, done, ErrReply
			}
		default:
			return pos, done, ErrReply
		}
		s.pending = pending
		if pending == 0 {
			done++
		}
	}
	return pos, done, nil
}

// stop says why a length was not read: it is no number, or it has not arrived completely.
func stop(next, pos, done int, buf []byte) (int, int, error) {
	if next < 0 || len(buf)-pos > 32 {
		return pos, done, ErrReply
	}
	return pos, done, nil
}
