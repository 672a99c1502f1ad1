package proxy

import (
	"fmt"
	"strings"
)

// configSet is CONFIG SET name value…. It refuses what would lose the metadata that merging needs or lock the proxy out. What is
// about users is in force here when it is answered.
func (s *session) configSet(args [][]byte) {
	aboutUsers := false
	for i := 2; i+1 < len(args); i += 2 {
		switch value := string(args[i+1]); {
		case is(args[i], "MAXMEMORY-POLICY") && strings.HasPrefix(strings.ToLower(value), "allkeys-"):
			s.replyError(errEvictionPolicy)
			return
		case is(args[i], "REQUIREPASS"):
			if refusal := s.server.users.refusePassword(value); refusal != "" {
				s.replyError(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument 'requirepass') - %s", strings.TrimPrefix(refusal, "ERR ")))
				return
			}
			aboutUsers = true
		case is(args[i], "ACLLOG-MAX-LEN"):
			aboutUsers = true
		}
	}
	if aboutUsers {
		s.changeUsers(args)
		return
	}
	s.pass(0, s.silent(), 1, s.scan.Raw)
}
