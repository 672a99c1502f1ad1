package backend

import (
	"bytes"
	"io"
	"net"
	"strings"

	"anabranch/internal/resp"
)

// readReplies routes replies to their callers until the connection ends.
func (l *Lane) readReplies(conn net.Conn) error {
	var source io.Reader = conn
	if l.sock != nil {
		source = l.sock
	}
	have := 0
	for {
		n, err := source.Read(l.in[have:])
		if n > 0 {
			l.backend.heard()
			l.moment = 0
			used, routeErr := l.route(l.in[:have+n])
			l.report()
			l.Flush() // first, so that Redis works while the replies are written
			l.deliverDirty()
			if routeErr != nil {
				return routeErr
			}
			have = copy(l.in, l.in[used:have+n])
			if have == len(l.in) {
				return errProtocol // a line that fills the buffer
			}
			l.recover()
		}
		if err != nil {
			return err
		}
	}
}

// route hands out what is complete in buf and returns how much of it was used.
func (l *Lane) route(buf []byte) (int, error) {
	pos := 0
	for {
		if l.seg != nil && l.at < len(l.seg.entries) && (l.peeled || !l.seg.isCall()) {
			switch e := &l.seg.entries[l.at]; {
			case e.literal:
				l.answerLiteral(e)
				continue
			case e.goes:
				l.answerRun(e)
				continue
			}
		}
		if l.owner != nil && (l.pushing || !l.scan.Begun()) {
			next, stop, err := l.routeMessage(buf, pos)
			if stop || err != nil {
				return next, err
			}
			pos = next
		}
		if l.seg == nil && !l.nextSegment() {
			if pos < len(buf) {
				return pos, errProtocol
			}
			return pos, nil
		}
		seg := l.seg
		if seg.isCall() && !l.peeled {
			next, err := l.peel(buf, pos)
			if next == 0 || err != nil {
				return pos, err
			}
			pos = next
			continue
		}
		if seg.tx != nil && l.at == 0 {
			if pos == len(buf) {
				return pos, nil
			}
			next, stop, err := l.routeTransaction(buf, pos)
			if stop || err != nil {
				return next, err
			}
			pos = next
			continue
		}
		if l.at == len(seg.entries) {
			l.finish()
			continue
		}
		e := &seg.entries[l.at]
		if e.shape == shapeRun && l.left == 0 {
			l.runReply = l.runReply[:0]
		}
		if pos == len(buf) {
			return pos, nil
		}
		if l.left == 0 {
			l.left = e.count
		}
		want := l.left
		if l.owner != nil || e.shape == shapeRun {
			want = 1 // a message may stand between any two replies
		}
		l.allInvalid = false
		l.scan.Errors = 0
		end, done, err := l.scan.Scan(buf, pos, want)
		if err != nil {
			return pos, err
		}
		if e.shape == shapeRun {
			l.runReply = append(l.runReply, buf[pos:end]...)
			pos = end
			if done == 0 {
				return pos, nil
			}
			l.left = 0
			l.answerRun(e)
			continue
		}
		l.count(e, done, l.scan.Errors)
		if !e.discard && len(l.held) == 0 {
			if isShaped(e.shape) {
				l.deliverShaped(e, buf[pos:end], done > 0)
			} else if end > pos {
				l.deliver(e.caller, pos, end)
			}
		}
		pos = end
		l.left -= done
		if done < want {
			return pos, nil
		}
		if l.left > 0 {
			continue
		}
		l.answered(e, e.count)
		if e.proto != 0 {
			l.proto = e.proto // what follows comes in the other version
		}
		l.at++
	}
}

// nextSegment turns to the oldest segment in flight.
func (l *Lane) nextSegment() bool {
	l.mu.Lock()
	l.seg = l.inflight.pop()
	l.mu.Unlock()
	l.at, l.left, l.peeled = 0, 0, false
	return l.seg != nil
}

// finish lets go of an answered segment, or keeps it with the refused call before it.
func (l *Lane) finish() {
	if len(l.held) > 0 {
		l.hold()
		return
	}
	l.timeTrip(l.seg)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.landed(l.seg)
	l.recycle(l.seg)
	l.seg = nil
}

// landed makes room for another flush when seg was the last of one. The lock must be held.
func (l *Lane) landed(seg *segment) {
	if seg.alone {
		l.backend.scripts.Add(-1)
	}
	if !seg.flushed {
		return
	}
	seg.flushed = false
	l.flights--
}

// peel reads the beginning of a call's reply: the header of the array, or the error of a call that did not happen.
// next is 0 when it has not arrived completely.
func (l *Lane) peel(buf []byte, pos int) (next int, err error) {
	at := bytes.IndexByte(buf[pos:], '\n')
	if at < 0 {
		return 0, nil
	}
	next = pos + at + 1
	line := buf[pos:next]
	switch line[0] {
	case '-':
		l.refused(strings.TrimRight(string(line[1:]), "\r\n"))
		return next, nil
	case '*':
		if count, end := resp.Length(line, 1); end <= 0 || count != l.seg.replies {
			return 0, errProtocol
		}
		// It was executed, so what the engine refused before it must not come after it.
		l.failHeld(errNotArmed)
		l.peeled = true
		return next, nil
	}
	return 0, errProtocol
}

// answered counts replies of an entry, unless they will be asked for again.
func (l *Lane) answered(e *entry, n int) {
	if len(l.held) == 0 {
		l.touch(e.caller)
		e.caller.answered += int64(n)
	}
}

// answerRun gives each SET of an entry the reply of its run.
func (l *Lane) answerRun(e *entry) {
	if !e.discard && len(l.held) == 0 {
		for range e.count {
			l.deliverBytes(e.caller, l.runReply)
		}
	}
	l.count(e, e.count, failures(l.runReply, e.count))
	l.answered(e, e.count)
	l.at++
}

func (l *Lane) answerLiteral(e *entry) {
	if len(l.held) == 0 {
		l.deliverBytes(e.caller, l.seg.literalOf(e))
	}
	l.answered(e, 1)
	l.at++
}
