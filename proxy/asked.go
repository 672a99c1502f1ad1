package proxy

import "context"

// replicaWait is Redis's own WAIT, about replicas in this region. The session's writes travelled on a shared connection, which
// must not wait; on a connection of its own the command is about all that this region wrote until now, so no less than that.
func (s *session) replicaWait(args [][]byte) {
	if s.replay != nil {
		s.pass(0, false, 1, s.scan.Raw) // there it waits for nobody
		return
	}
	s.replyAsked(args, func(reply []byte) []byte { return reply })
}

// replyAsked answers with what the server says on a connection of its own, after all that was asked before.
func (s *session) replyAsked(args [][]byte, change func(reply []byte) []byte) {
	s.barrier()
	var reply []byte
	err := s.wait(func(ctx context.Context) (err error) {
		reply, err = s.server.cfg.Backend.Ask(ctx, args...)
		return err
	})
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.reply(change(reply))
}
