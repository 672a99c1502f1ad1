package proxy

import (
	"time"

	"anabranch/internal/acl"
	"anabranch/translate"
)

// access is who a session is, and what that allows it.
type access struct {
	directory     *acl.Directory // as of which user is; nil until the server's users are known
	user          *acl.User      // the default user until another one logs in
	authenticated bool
}

// adopt takes over the rules of the moment. A session whose user is no more ends.
func (s *session) adopt() {
	for now := s.server.users.now(); now != s.directory && !s.ending; now = s.server.users.now() {
		known := s.directory != nil
		s.directory = now
		if !known {
			s.logOut()
		} else if user := now.User(s.user.Name()); user != nil {
			s.user = user
		} else {
			s.ending = true
		}
	}
	s.watchOut()
}

// isGuest reports that the client has to say who it is before it may do anything. If the default user needs no password, nobody has to.
func (s *session) isGuest() bool {
	if s.directory == nil {
		return s.server.cfg.Password != ""
	}
	return !s.authenticated && !s.directory.Default().OpenToAll()
}

// logOut makes the client what it is when it connects.
func (s *session) logOut() {
	if s.directory != nil {
		s.user = s.directory.Default()
		s.authenticated = s.user.OpenToAll()
	}
	s.publish()
}

// logIn makes the client another user, if the password is right.
func (s *session) logIn(name, password []byte) bool {
	user := s.directory.User(string(name))
	if user == nil || !user.Accepts(password) {
		s.note(acl.DeniedAuth, inToplevel, noted(s.scan.Args[0]), noted(name))
		return false
	}
	s.user, s.authenticated = user, true
	s.publish()
	s.adopt() // the user may have gone while nobody saw that it was ours
	return true
}

func (s *session) userName() string {
	if s.user == nil {
		return acl.DefaultUser
	}
	return s.user.Name()
}

// denial is the error of a command that the user may not run, or "".
func (s *session) denial(cmd *translate.Command) string {
	if s.directory == nil || s.user.Unlimited() {
		return ""
	}
	args := s.scan.Args
	refusal := s.user.SortRefusal(cmd, args)
	context := inToplevel
	if s.tx != nil && !runsInMulti(cmd) {
		context, refusal = inMulti, "" // that one comes with EXEC
	}
	if verdict := s.check(cmd, args, context); verdict.Reason != acl.Allowed {
		refusal = verdict.Error(cmd)
	}
	return refusal
}

// The context of a command in the log of denials.
const (
	inToplevel = "toplevel"
	inMulti    = "multi"
)

// stillPermitted checks a queued command when EXEC carries it out, and answers it when the rules forbid it now.
func (s *session) stillPermitted(cmd *translate.Command) bool {
	if s.directory == nil || s.user.Unlimited() {
		return true
	}
	args := s.scan.Args
	if refusal := s.user.SortRefusal(cmd, args); refusal != "" {
		s.replyError(refusal)
		return false
	}
	verdict := s.check(cmd, args, inMulti)
	if verdict.Reason == acl.Allowed {
		return true
	}
	s.replyError(errRulesChanged + map[acl.Reason]string{
		acl.DeniedCommand: "no permission to execute the command or subcommand",
		acl.DeniedKey:     "no permission to touch the specified keys",
		acl.DeniedChannel: "no permission to access one of the channels used as arguments",
	}[verdict.Reason])
	return false
}

// check asks whether the user may run a command, and notes when not.
func (s *session) check(cmd *translate.Command, args [][]byte, context string) acl.Verdict {
	verdict := s.user.Check(cmd, args)
	switch verdict.Reason {
	case acl.Allowed:
	case acl.DeniedCommand:
		s.note(verdict.Reason, context, cmd.FullName(), s.userName())
	default:
		s.note(verdict.Reason, context, noted(args[verdict.Position]), s.userName())
	}
	return verdict
}

// noted is what the log keeps of a client's words.
func noted(word []byte) string { return string(word[:min(len(word), maxNotedBytes)]) }

const maxNotedBytes = 1 << 10

// note writes a denial to the log.
func (s *session) note(reason acl.Reason, context, object, user string) {
	s.lastCmd.Store(s.current)
	s.server.users.note(acl.Denial{
		Reason: reason, Context: context, Object: object, Username: user, Client: s.describe(s.have - s.next), At: time.Now(),
	})
}
