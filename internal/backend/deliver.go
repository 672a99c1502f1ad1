package backend

import (
	"anabranch/internal/resp"
)

// keptGathered bounds what a caller keeps for replies that had to be copied together.
const keptGathered = 16 << 10

// deliver passes l.in[from:to] to a caller when the bytes at hand are routed: one call for each caller, so one system call
// for each client, and no copy when the caller's replies lie beside each other.
func (l *Lane) deliver(c *Caller, from, to int) {
	l.touch(c)
	switch {
	case len(c.gathered) > 0:
		c.gathered = append(c.gathered, l.in[from:to]...)
	case c.from == c.to:
		c.from, c.to = from, to
	case c.to == from:
		c.to = to
	default:
		c.gathered = append(c.gathered, l.in[c.from:c.to]...)
		c.gathered = append(c.gathered, l.in[from:to]...)
	}
}

// deliverBytes is deliver for bytes that are not in the reader's buffer. It copies them.
func (l *Lane) deliverBytes(c *Caller, p []byte) {
	l.touch(c)
	if len(c.gathered) == 0 && c.from < c.to {
		c.gathered = append(c.gathered, l.in[c.from:c.to]...)
	}
	c.gathered = append(c.gathered, p...)
}

// touch notes that deliverDirty has something to do for a caller.
func (l *Lane) touch(c *Caller) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// deliverDirty hands everything out. Once settle has run, the caller may be busy on another lane, so nothing of it may
// be touched afterwards.
func (l *Lane) deliverDirty() {
	cut := l.cutCaller()
	for i, c := range l.dirty {
		l.dirty[i] = nil
		piece := l.in[c.from:c.to]
		if len(c.gathered) > 0 {
			piece = c.gathered
		}
		switch {
		case len(piece) == 0:
		case c == cut:
			c.Out.DeliverPart(piece)
		default:
			c.Out.Deliver(piece)
		}
		if cap(c.gathered) > keptGathered {
			c.gathered = nil
		}
		c.gathered = c.gathered[:0]
		answered := c.answered
		c.from, c.to, c.answered, c.dirty = 0, 0, 0, false
		if answered > 0 {
			c.settle(answered)
		}
	}
	l.dirty = l.dirty[:0]
}

// cutCaller is who has been given a reply up to somewhere in its middle, if anybody.
func (l *Lane) cutCaller() *Caller {
	if l.seg == nil || l.at >= len(l.seg.entries) || !l.scan.Begun() || l.pushing || len(l.held) > 0 {
		return nil
	}
	if e := &l.seg.entries[l.at]; !e.discard && !isShaped(e.shape) {
		return e.caller
	}
	return nil
}

// deliverShaped gathers a reply that must be complete, and passes it on as Redis would have sent it.
func (l *Lane) deliverShaped(e *entry, piece []byte, complete bool) {
	if !complete {
		l.partial = append(l.partial, piece...)
		return
	}
	if len(l.partial) > 0 {
		l.partial = append(l.partial, piece...)
		piece = l.partial
	}
	l.shaped = appendShaped(l.shaped[:0], piece, e.shape, l.proto, l.backend.cfg.Prefix)
	l.deliverBytes(e.caller, l.shaped)
	l.letGo()
}

// letGo empties the buffers for what had to be complete.
func (l *Lane) letGo() {
	l.partial = l.partial[:0]
	if cap(l.partial) > keptBytes {
		l.partial = nil
	}
	if cap(l.shaped) > keptBytes {
		l.shaped = nil
	}
}

// answerAll answers the rest of a segment, from an entry on of which left replies are missing, with one error.
func (l *Lane) answerAll(seg *segment, from, left int, text string) {
	for i := from; i < len(seg.entries); i++ {
		e := &seg.entries[i]
		if e.literal {
			l.deliverBytes(e.caller, seg.literalOf(e))
			e.caller.answered++
			continue
		}
		n := e.count
		if i == from && left > 0 {
			n = left
		}
		l.touch(e.caller)
		l.countFailed(e.class, n)
		if !e.discard {
			var line [128]byte
			reply := resp.AppendError(line[:0], text)
			for range n {
				l.deliverBytes(e.caller, reply)
			}
		}
		e.caller.answered += int64(e.count)
	}
}
