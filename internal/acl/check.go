package acl

import (
	"slices"
	"strings"

	"anabranch/translate"
)

// Reason is why a command is denied. A higher one is about a command that got further.
type Reason uint8

// The reasons, in the words of ACL LOG.
const (
	Allowed Reason = iota
	DeniedCommand
	DeniedKey
	DeniedAuth // a login; never the result of Check
	DeniedChannel
)

var reasonNames = [...]string{"", "command", "key", "auth", "channel"}

func (r Reason) String() string { return reasonNames[r] }

// Verdict is the answer to whether a command is allowed.
type Verdict struct {
	Reason   Reason
	Position int // of the key or channel that is denied, among the arguments
}

// Error is what Redis answers to a denied command, without the leading "-".
func (v Verdict) Error(cmd *translate.Command) string {
	switch v.Reason {
	case DeniedKey:
		return "NOPERM this user has no permissions to access one of the keys used as arguments"
	case DeniedChannel:
		return "NOPERM this user has no permissions to access one of the channels used as arguments"
	}
	return "NOPERM this user has no permissions to run the '" + cmd.FullName() + "' command"
}

// Unlimited reports that Check allows everything, and SortRefusal refuses nothing.
func (u *User) Unlimited() bool { return u.unlimited }

// Check tells whether the user may run a command. cmd is its row, of a subcommand its own; args fit its arity and begin with the
// command's name.
func (u *User) Check(cmd *translate.Command, args [][]byte) Verdict {
	if u.unlimited {
		return Verdict{}
	}
	worst := Verdict{Reason: DeniedCommand}
	for _, s := range u.selectors {
		switch got := s.check(u.vocabulary, cmd, args); {
		case got.Reason == Allowed:
			return got
		case got.Reason > worst.Reason, got.Reason == worst.Reason && got.Position > worst.Position:
			worst = got
		}
	}
	return worst
}

func (s *selector) check(v *Vocabulary, cmd *translate.Command, args [][]byte) Verdict {
	if cmd.Flags&translate.FlagNoAuth == 0 && !s.allowsCommand(v, cmd, args) {
		return Verdict{Reason: DeniedCommand}
	}
	if at := s.deniedKey(cmd, args); at > 0 {
		return Verdict{DeniedKey, at}
	}
	if at := s.deniedChannel(cmd, args); at > 0 {
		return Verdict{DeniedChannel, at}
	}
	return Verdict{}
}

func (s *selector) allowsCommand(v *Vocabulary, cmd *translate.Command, args [][]byte) bool {
	if s.allCommands {
		return true
	}
	id, known := v.byRow[cmd]
	if !known {
		return false
	}
	if s.commands.has(id) {
		return true
	}
	return len(args) > 1 && slices.ContainsFunc(s.firstArgs[id], func(arg string) bool { return equalFold(args[1], arg) })
}

// deniedKey returns the position of the first key that no pattern allows, 0 for none.
func (s *selector) deniedKey(cmd *translate.Command, args [][]byte) int {
	if s.allKeys {
		return 0
	}
	denied := 0
	cmd.EachKey(args, func(position int, access translate.Access) bool {
		if access&translate.AccessPattern == 0 && !s.allowsKey(string(args[position]), access) {
			denied = position
		}
		return denied == 0
	})
	return denied
}

func (s *selector) allowsKey(key string, access translate.Access) bool {
	return slices.ContainsFunc(s.keys, func(k keyPattern) bool { return k.access&access == access && match(k.pattern, key) })
}

func (s *selector) deniedChannel(cmd *translate.Command, args [][]byte) int {
	if s.allChannels {
		return 0
	}
	channels, patterns := cmd.Channels(args)
	for i, channel := range channels {
		if !allowsChannel(s.channels, string(channel), patterns) {
			return 1 + i
		}
	}
	return 0
}

// allowsChannel looks for a channel among the allowed patterns. A pattern that is subscribed to must be one of them literally.
func allowsChannel(allowed []string, channel string, isPattern bool) bool {
	if isPattern {
		return slices.Contains(allowed, channel)
	}
	return slices.ContainsFunc(allowed, func(pattern string) bool { return match(pattern, channel) })
}

// SortRefusal returns Redis's error for a SORT or SORT_RO whose BY or GET would read keys that nobody names, empty for any other
// command. Redis says it when the command runs, after Check and after the syntax of the options before.
func (u *User) SortRefusal(cmd *translate.Command, args [][]byte) string {
	if cmd.Name != "SORT" && cmd.Name != "SORT_RO" || u.readsAllKeys(cmd, args) {
		return ""
	}
	for i := 2; i < len(args); i++ {
		left := len(args) - 1 - i
		switch word := strings.ToLower(string(args[i])); {
		case word == "asc", word == "desc", word == "alpha":
		case word == "limit" && left >= 2:
			i += 2
		case word == "store" && left >= 1 && cmd.Name == "SORT":
			i++
		case word == "by" && left >= 1:
			i++
			if slices.Contains(args[i], '*') {
				return "ERR BY option of SORT denied due to insufficient ACL permissions."
			}
		case word == "get" && left >= 1:
			return "ERR GET option of SORT denied due to insufficient ACL permissions."
		default:
			return ""
		}
	}
	return ""
}

// readsAllKeys reports whether one selector allows the command and reading every key besides.
func (u *User) readsAllKeys(cmd *translate.Command, args [][]byte) bool {
	return slices.ContainsFunc(u.selectors, func(s *selector) bool {
		all := s.allKeys || slices.ContainsFunc(s.keys, func(k keyPattern) bool {
			return k.pattern == "*" && k.access&translate.AccessRead != 0
		})
		return all && s.check(u.vocabulary, cmd, args).Reason == Allowed
	})
}

func equalFold(arg []byte, lower string) bool {
	return len(arg) == len(lower) && strings.EqualFold(string(arg), lower)
}
