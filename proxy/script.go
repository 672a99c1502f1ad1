package proxy

// Clients have no scripts and no functions yet, so there is nothing to remove.

func (s *session) scriptFlush(args [][]byte) { s.flushNothing(args, errScriptFlush) }

func (s *session) functionFlush(args [][]byte) { s.flushNothing(args, errFunctionFlush) }

func (s *session) flushNothing(args [][]byte, refusal string) {
	if len(args) > 3 || len(args) == 3 && !is(args[2], "SYNC") && !is(args[2], "ASYNC") {
		s.replyError(refusal)
		return
	}
	s.replyOK()
}
