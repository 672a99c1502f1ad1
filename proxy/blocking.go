package proxy

import (
	"math"
	"strconv"
	"time"

	"anabranch/internal/resp"
	"anabranch/translate"
)

// block serves a command that may wait. The session reads nothing meanwhile, so what the client has sent behind it keeps
// its place. It may not be called inline.
func (s *session) block(plan *translate.Plan) {
	s.barrier()
	all := s.server.waiters
	all.listen(s.server.lifetime, s.server.cfg.Backend)
	if s.waiter == nil {
		s.waiter = s.newWaiter(plan)
		all.queue(s.waiter)
	}
	w := s.waiter
	s.waiter = nil
	reply, words := all.enter(w)
	if words != nil {
		s.setBlocked(true)
		reply = s.sleep(w, words[wordTimeout])
		s.setBlocked(false)
	}
	if reply == nil {
		s.ending = true
		return
	}
	s.failed = reply[0] == '-'
	s.reply(reply)
}

// lineUp takes the command's place among those that wait, inline, before another goroutine goes on with it. When nothing of the
// session is under way its first attempt leaves at once too, so that commands of other clients do not overtake it.
func (s *session) lineUp(plan *translate.Plan) {
	s.waiter = s.newWaiter(plan)
	s.server.waiters.queue(s.waiter)
	if len(s.ops) == 0 && s.caller.Idle() {
		s.waiter.submitFirst()
		s.inline.touch(s.waiter.lane)
	}
}

// sleep waits until an attempt got something, or until nothing more can come. It returns nil when there is nobody to answer.
func (s *session) sleep(w *waiter, timeout string) []byte {
	all := s.server.waiters
	var late <-chan time.Time
	if limit := milliseconds(timeout); limit > 0 {
		timer := time.NewTimer(time.Until(w.began.Add(limit)))
		defer timer.Stop()
		late = timer.C
	}
	gone, stop := s.hangup()
	defer stop()
	select {
	case reply := <-w.answer:
		return reply
	case <-late:
		if all.giveUp(w, nil) {
			return resp.AppendNullArray(nil, s.proto)
		}
		return <-w.answer
	case <-gone:
	case <-all.stop:
	}
	if all.giveUp(w, nil) {
		return nil
	}
	return <-w.answer
}

// milliseconds reads a timeout from the engine; 0 is none, as is one that no clock can measure.
func milliseconds(text string) time.Duration {
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil || ms >= float64(math.MaxInt64/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// hangup tells when the client has hung up or was disconnected. stop must be called before anything else reads the connection.
func (s *session) hangup() (gone <-chan struct{}, stop func()) {
	if s.out.bare == nil {
		return s.out.broken, func() {}
	}
	hungUp := make(chan struct{})
	// Ends with the client, or with the read deadline that stop sets.
	go func() {
		s.out.bare.AwaitHangup()
		close(hungUp)
	}()
	return hungUp, func() {
		s.conn.SetReadDeadline(time.Unix(1, 0))
		<-hungUp
		s.conn.SetReadDeadline(time.Time{})
		if s.server.stopping.Load() {
			s.conn.SetReadDeadline(time.Now()) // what drain may have set meanwhile
		}
	}
}

// clientUnblock is CLIENT UNBLOCK id [TIMEOUT|ERROR].
func (s *session) clientUnblock(args [][]byte) {
	failed := len(args) == 4 && is(args[3], "ERROR")
	if len(args) > 4 || len(args) == 4 && !failed && !is(args[3], "TIMEOUT") {
		s.replyError(errUnblockReason)
		return
	}
	id, ok := integer(args[2])
	if !ok {
		s.replyError(errNotInteger)
		return
	}
	unblocked := int64(0)
	if w := s.server.waiters.find(id); w != nil {
		answer := resp.AppendNullArray(nil, w.session.view.Load().proto)
		if failed {
			answer = resp.AppendError(nil, errUnblocked)
		}
		if s.server.waiters.giveUp(w, answer) {
			unblocked = 1
		}
	}
	s.replyInt(unblocked)
}
