package proxy

import (
	"anabranch/internal/backend"
	"anabranch/translate"
)

// tally counts the commands that the proxy answers itself. Those that are handed on count when Redis answers them. Neighbours
// that end alike are added up first.
type tally struct {
	class  translate.Class
	result backend.Result
	n      int
}

// count notes how the command at hand has ended. One that waits in MULTI ends when it is queued.
func (s *session) count(plan *translate.Plan) {
	class, result := plan.Class, backend.Done
	switch {
	case plan.Command == nil:
		class, result = translate.Unclassified, backend.Failed
	case plan.Class == translate.Refused:
		class, result = plan.Command.Class, backend.Refused
		if plan.Malformed {
			result = backend.Failed
		}
	case s.failed:
		result = backend.Failed
	}
	t := &s.tally
	if t.n > 0 && (class != t.class || result != t.result) {
		s.reportTally()
	}
	t.class, t.result = class, result
	t.n++
}

// reportTally adds it to what the whole proxy has done.
func (s *session) reportTally() {
	if t := &s.tally; t.n > 0 {
		s.server.cfg.Backend.Traffic().Count(t.class, t.result, t.n)
		t.n = 0
	}
}
