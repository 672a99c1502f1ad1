package backend

import (
	"context"
	"strings"
)

// maxTries bounds how often one call is sent again.
const maxTries = 5

// refused deals with a call that the server answered with one error for the whole of it.
//
// When the engine is not armed, or not there, nothing was executed and the same bytes are sent again after arming.
// Until then nothing newer is sent. What was sent behind the call already is kept and sent again too, so that each caller's
// order holds: reads, whose answers may be from before the refused write and are thrown away, and further refused calls.
// If a later call succeeds all the same, because someone else armed the engine in between, everything held back before it is
// answered with an error, for it can no longer be executed in order.
func (l *Lane) refused(text string) {
	if notArmed(text) || len(l.held) > 0 && notExecuted(text) {
		l.hold()
		return
	}
	if l.seg.alone && l.seg.kind == OpWrite && strings.HasPrefix(text, "OOM ") {
		// A script that writes nothing, or only removes, runs although memory is short.
		l.seg.rewrite(l.db)
		l.hold()
		return
	}
	if (l.seg.alone || l.seg.kind == OpFree) && l.seg.isCall() && !l.seg.reads && takesNoWrites(text) {
		// There may be commands in it that only read, and scripts that do.
		l.seg.onlyReads(l.db, text)
		l.hold()
		return
	}
	l.failHeld(errNotArmed)
	if isSuspicious(text) {
		l.backend.Suspect()
	}
	l.answerAll(l.seg, 0, 0, clientText(text))
	l.finish()
}

// isSuspicious knows the errors after which the server should be looked at.
func isSuspicious(text string) bool {
	return strings.HasPrefix(text, "READONLY ") || strings.HasPrefix(text, "LOADING ")
}

// takesNoWrites knows the errors of a server that goes on answering reads.
func takesNoWrites(text string) bool {
	return strings.HasPrefix(text, "MISCONF ") || strings.HasPrefix(text, "NOREPLICAS ")
}

func notArmed(text string) bool {
	return strings.HasPrefix(text, "CRDTTAKEOVER") || strings.HasPrefix(text, "ERR Function not found")
}

// notExecuted knows the errors with which Redis refuses a function before it begins.
func notExecuted(text string) bool {
	for _, code := range []string{"OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ", "LOADING ", "BUSY ", "MASTERDOWN "} {
		if strings.HasPrefix(text, code) {
			return true
		}
	}
	return false
}

// NotExecuted reports whether a whole reply is an error that says that nothing was done, for a reason that may pass.
func NotExecuted(reply []byte) bool {
	return len(reply) > 0 && reply[0] == '-' && notExecuted(string(reply[1:]))
}

// hold keeps the segment at work for later, and sends nothing newer.
func (l *Lane) hold() {
	l.held = append(l.held, l.seg)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	l.landed(l.seg)
	l.seg = nil
}

// failHeld answers what was held back.
func (l *Lane) failHeld(text string) {
	if len(l.held) == 0 {
		return
	}
	held := l.held
	l.held = nil
	for _, seg := range held {
		l.answerAll(seg, 0, 0, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seg := range held {
		l.recycle(seg)
	}
	l.paused = false
	l.kick()
}

// recover arms the engine once everything in flight has been answered, and puts what was held back in front of what is
// pending.
func (l *Lane) recover() {
	if len(l.held) == 0 || l.seg != nil {
		return
	}
	l.mu.Lock()
	busy := l.inflight.count > 0
	l.mu.Unlock()
	if busy {
		return
	}
	ctx, cancel := context.WithTimeout(l.backend.lifetime, l.backend.cfg.Hold)
	defer cancel()
	l.held[0].tries++
	if l.held[0].tries > maxTries || !l.held[0].reads && l.arm(ctx) != nil {
		l.failHeld(errNotArmed)
		l.deliverDirty()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seg := range l.held {
		l.pendingBytes += seg.size()
		l.pendingReplies += seg.counted
	}
	l.pending = append(l.held, l.pending...)
	l.held = nil
	l.paused = false
	l.kick()
}
