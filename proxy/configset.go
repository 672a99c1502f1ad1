package proxy

import (
	"fmt"
	"strings"

	"anabranch/crdtmeta"
	"anabranch/translate"
)

// Why a parameter of the server behind us is not set through a proxy.
const (
	whyEviction  = "allkeys policies would evict the metadata that merging needs"
	whyLimit     = "it would limit the connections that clients share; a proxy's own limit is its flag "
	whyTimeout   = "it would close the connections that clients share"
	whyBulk      = "the proxy takes up to 512 MB, and a lower limit would close the connection that clients share"
	whyListening = "it would take the server away from its proxies"
)

// keptParameters are those that CONFIG SET leaves as they are. Setting one to the value that it has already is allowed.
var keptParameters = map[string]string{
	"maxclients":                 whyLimit + "--maxclients",
	"client-output-buffer-limit": whyLimit + "--output-limit",
	"client-query-buffer-limit":  whyLimit + "--query-limit",
	"maxmemory-clients":          whyTimeout,
	"timeout":                    whyTimeout,
	"proto-max-bulk-len":         whyBulk,
	"port":                       whyListening,
	"bind":                       whyListening,
	"tls-port":                   whyListening,
}

// configSet passes CONFIG SET on unless it would cut the proxy's own connections, lock the proxy out, or lose the metadata that
// merging needs. The rest is the operator's business. What is about users is in force here when it is answered.
func (s *session) configSet(args [][]byte) {
	aboutUsers := false
	for i := 2; i+1 < len(args); i += 2 {
		name, value := strings.ToLower(string(args[i])), string(args[i+1])
		if name == "maxmemory" {
			s.server.cfg.Backend.Strain()
		}
		why, kept := keptParameters[name]
		switch {
		case name == "maxmemory-policy" && isPolicy(value) && !crdtmeta.KeepsMetadata(value):
			why = whyEviction
		case name == "requirepass":
			aboutUsers = true
			if why = strings.TrimPrefix(s.server.users.refusePassword(value), "ERR "); why == "" {
				continue
			}
		case name == "acllog-max-len":
			aboutUsers = true
			continue
		case !kept, s.isSet(name, value):
			continue
		}
		s.replyError(fmt.Sprintf(errConfigSet, name, why))
		return
	}
	if aboutUsers {
		s.changeUsers(args)
		return
	}
	s.pass(0, s.silent(), 1, s.scan.Raw)
}

// KeptParameter is the error by which CONFIG SET would be refused, unless the value is set already; "" for what passes and for other commands.
func KeptParameter(plan *translate.Plan, args [][]byte) string {
	if plan.Command == nil || plan.Command.Name != "CONFIG SET" {
		return ""
	}
	for i := 2; i+1 < len(args); i += 2 {
		name, value := strings.ToLower(string(args[i])), string(args[i+1])
		if why, kept := keptParameters[name]; kept {
			return fmt.Sprintf(errConfigSet, name, why)
		}
		if name == "maxmemory-policy" && isPolicy(value) && !crdtmeta.KeepsMetadata(value) {
			return fmt.Sprintf(errConfigSet, name, whyEviction)
		}
	}
	return ""
}

// isPolicy tells a policy from a word that Redis itself refuses.
func isPolicy(value string) bool { return strings.Contains(value, "-") }

// isSet reports whether a parameter has a value already.
func (s *session) isSet(name, value string) bool {
	ctx, cancel := s.controlContext()
	defer cancel()
	s.barrier() // an earlier command of this client may have set it
	values, err := s.server.cfg.Backend.Client().ConfigGet(ctx, name).Result()
	return err == nil && values[name] == value
}
