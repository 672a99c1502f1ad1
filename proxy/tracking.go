package proxy

import (
	"fmt"
	"slices"
	"strings"

	"anabranch/internal/resp"
)

// tracking is a session's CLIENT TRACKING. Redis itself does the tracking, on the session's private lane, where both its
// reads and its writes go: what a connection has read and what it has written must be one connection's business.
type tracking struct {
	on       bool
	bcast    bool
	optIn    bool
	optOut   bool
	noLoop   bool
	redirect int64 // the client that takes the invalidations; 0: this one
	prefixes []string
	caching  bool // CLIENT CACHING was given for the next command
}

// clientTracking is CLIENT TRACKING ON|OFF [option…].
func (s *session) clientTracking(args [][]byte) {
	wish, refusal := s.parseTracking(args[3:])
	switch {
	case refusal != "":
	case is(args[2], "OFF"):
		s.stopTracking()
		s.publish()
		s.replyOK()
		return
	case !is(args[2], "ON"):
		refusal = errSyntax
	default:
		refusal = s.tracking.refuses(&wish)
	}
	if refusal != "" {
		s.replyError(refusal)
		return
	}
	s.track(wish)
}

// parseTracking reads the options of CLIENT TRACKING.
func (s *session) parseTracking(args [][]byte) (wish tracking, refusal string) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case is(args[i], "REDIRECT") && more:
			i++
			if wish.redirect != 0 {
				return wish, errRedirectTwice
			}
			id, ok := integer(args[i])
			if !ok {
				return wish, errNotInteger
			}
			if s.server.client(id) == nil {
				return wish, errRedirectNobody
			}
			wish.redirect = id
		case is(args[i], "BCAST"):
			wish.bcast = true
		case is(args[i], "OPTIN"):
			wish.optIn = true
		case is(args[i], "OPTOUT"):
			wish.optOut = true
		case is(args[i], "NOLOOP"):
			wish.noLoop = true
		case is(args[i], "PREFIX") && more:
			i++
			wish.prefixes = append(wish.prefixes, string(args[i]))
		default:
			return wish, errSyntax
		}
	}
	return wish, ""
}

// refuses says why options do not go together, or not with what is on already.
func (t *tracking) refuses(wish *tracking) string {
	switch {
	case !wish.bcast && len(wish.prefixes) > 0:
		return errPrefixNoBcast
	case t.on && t.bcast != wish.bcast:
		return errSwitchBcast
	case wish.bcast && (wish.optIn || wish.optOut):
		return errBcastOpt
	case wish.optIn && wish.optOut:
		return errOptBoth
	case wish.optIn && t.optOut, wish.optOut && t.optIn:
		return errSwitchOpt
	}
	for i, prefix := range wish.prefixes {
		for _, old := range t.prefixes {
			if overlap(prefix, old) {
				return fmt.Sprintf(errPrefixExists, prefix, old)
			}
		}
		for _, other := range wish.prefixes[i+1:] {
			if overlap(prefix, other) {
				return fmt.Sprintf(errPrefixTwice, prefix, other)
			}
		}
	}
	return ""
}

func overlap(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// track turns tracking on, or changes its options.
func (s *session) track(wish tracking) {
	native := []string{"CLIENT", "TRACKING", "ON"}
	if wish.redirect != 0 {
		listener, err := s.server.redirects.to(s.server, wish.redirect)
		if err != nil {
			s.replyError(controlError(err))
			return
		}
		native = append(native, "REDIRECT", fmt.Sprint(listener))
	}
	for _, option := range []struct {
		on   bool
		name string
	}{{wish.bcast, "BCAST"}, {wish.optIn, "OPTIN"}, {wish.optOut, "OPTOUT"}, {wish.noLoop, "NOLOOP"}} {
		if option.on {
			native = append(native, option.name)
		}
	}
	for _, prefix := range wish.prefixes {
		native = append(native, "PREFIX", prefix)
	}
	if wish.bcast {
		if len(wish.prefixes) == 0 {
			wish.prefixes = []string{""}
		}
		wish.prefixes = append(wish.prefixes, s.tracking.prefixes...)
		slices.Sort(wish.prefixes)
		wish.prefixes = slices.Compact(wish.prefixes)
	}
	before := s.tracking.redirect
	wish.on = true
	s.goPrivate()
	s.private.Redirected(wish.redirect)
	s.tracking = wish
	s.publish()
	s.server.redirects.leave(before)
	s.pass(0, s.silent(), 1, resp.AppendCommandStrings(nil, native...))
}

// stopTracking ends tracking without an answer.
func (s *session) stopTracking() {
	if !s.tracking.on {
		return
	}
	redirect := s.tracking.redirect
	s.pass(0, true, 1, resp.AppendCommandStrings(nil, "CLIENT", "TRACKING", "OFF"))
	s.tracking = tracking{}
	s.server.redirects.leave(redirect)
}

// clientCaching is CLIENT CACHING YES|NO, about the next command that is no CLIENT.
func (s *session) clientCaching(args [][]byte) {
	t := &s.tracking
	yes, no := is(args[2], "YES"), is(args[2], "NO")
	switch {
	case !t.on:
		s.replyError(errCachingOff)
	case !yes && !no:
		s.replyError(errSyntax)
	case yes && !t.optIn:
		s.replyError(errCachingYes)
	case no && !t.optOut:
		s.replyError(errCachingNo)
	default:
		t.caching = true
		s.pass(0, s.silent(), 1, s.scan.Raw)
	}
}

func (s *session) clientGetRedir([][]byte) { s.replyInt(s.tracking.redirectID()) }

// redirectID is the redirection as Redis shows it: -1 while tracking is off, 0 for none.
func (t *tracking) redirectID() int64 {
	if !t.on {
		return -1
	}
	return t.redirect
}

func (s *session) clientTrackingInfo([][]byte) {
	t := &s.tracking
	flags := []string{"off"}
	if t.on {
		flags[0] = "on"
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{
		{t.bcast, "bcast"}, {t.optIn, "optin"}, {t.optIn && t.caching, "caching-yes"}, {t.optOut, "optout"},
		{t.optOut && t.caching, "caching-no"}, {t.noLoop, "noloop"}, {s.server.isBroken(t.redirect), "broken_redirect"},
	} {
		if flag.on {
			flags = append(flags, flag.name)
		}
	}
	out := resp.AppendMap(s.scratch[:0], 3, s.proto)
	out = resp.AppendBulkString(out, "flags")
	out = resp.AppendSet(out, len(flags), s.proto)
	for _, flag := range flags {
		out = resp.AppendBulkString(out, flag)
	}
	out = resp.AppendBulkString(out, "redirect")
	out = resp.AppendInt(out, t.redirectID())
	out = resp.AppendBulkString(out, "prefixes")
	out = resp.AppendArray(out, len(t.prefixes))
	for _, prefix := range t.prefixes {
		out = resp.AppendBulkString(out, prefix)
	}
	s.scratch = out
	s.reply(out)
}
