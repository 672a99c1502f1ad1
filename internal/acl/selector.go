package acl

import (
	"slices"
	"strings"

	"anabranch/translate"
)

// selector is one set of permissions. A command must be wholly allowed by one of its user's selectors.
type selector struct {
	allCommands, allKeys, allChannels bool

	commands  bitset
	others    bool             // whether commands are allowed that the server does not have yet
	firstArgs map[int][]string // of a command that is not allowed as such: first arguments with which it is
	keys      []keyPattern
	channels  []string // patterns
}

type keyPattern struct {
	pattern string
	access  translate.Access // what the pattern gives
}

const everyAccess = translate.AccessRead | translate.AccessWrite

func (s *selector) copy() *selector {
	c := *s
	c.commands, c.keys, c.channels = slices.Clone(s.commands), slices.Clone(s.keys), slices.Clone(s.channels)
	c.firstArgs = make(map[int][]string, len(s.firstArgs))
	for id, args := range s.firstArgs {
		c.firstArgs[id] = slices.Clone(args)
	}
	return &c
}

// set applies one rule, in any case of letters.
func (s *selector) set(v *Vocabulary, rule string) error {
	switch word := strings.ToLower(rule); {
	case word == "allkeys", word == "~*":
		s.allKeys, s.keys = true, nil
	case word == "resetkeys":
		s.allKeys, s.keys = false, nil
	case word == "allchannels", word == "&*":
		s.allChannels, s.channels = true, nil
	case word == "resetchannels":
		s.allChannels, s.channels = false, nil
	case word == "allcommands", word == "+@all":
		s.allCommands, s.others, s.firstArgs = true, true, nil
		for _, id := range v.byName {
			s.commands.put(id, true)
		}
	case word == "nocommands", word == "-@all":
		s.allCommands, s.others, s.commands, s.firstArgs = false, false, nil, nil
	case rule[0] == '~', rule[0] == '%':
		return s.addKeys(rule)
	case rule[0] == '&':
		return s.addChannels(rule[1:])
	case strings.HasPrefix(word, "+@"), strings.HasPrefix(word, "-@"):
		commands, known := v.categories[word[2:]]
		if !known {
			return errNoSuchCommand
		}
		commands.each(func(id int) { s.allow(v, id, word[0] == '+') })
	case word[0] == '+':
		return s.addCommand(v, word[1:])
	case word[0] == '-':
		id, known := v.byName[word[1:]]
		if !known {
			return errNoSuchCommand
		}
		s.allow(v, id, false)
	default:
		return errRuleSyntax
	}
	return nil
}

// read applies one rule that a server printed. It prints a pattern given as %RW~* like the flag ~*, and others behind it, which
// add nothing then.
func (s *selector) read(v *Vocabulary, rule string) error {
	err := s.set(v, rule)
	if err == errAfterAllKeys {
		return nil
	}
	return err
}

// allow gives or takes a command, and the subcommands of a container with it.
func (s *selector) allow(v *Vocabulary, id int, allowed bool) {
	s.commands.put(id, allowed)
	delete(s.firstArgs, id)
	for _, sub := range v.inside[id] {
		s.commands.put(sub, allowed)
	}
	if !allowed {
		s.allCommands = false
	}
}

// addCommand gives a command, a subcommand, or a command with a first argument.
func (s *selector) addCommand(v *Vocabulary, name string) error {
	if id, known := v.byName[name]; known {
		s.allow(v, id, true)
		return nil
	}
	at := strings.LastIndexByte(name, '|')
	if at < 0 {
		return errNoSuchCommand
	}
	name, arg := name[:at], name[at+1:]
	id, known := v.byName[name]
	switch {
	case !known:
		return errNoSuchCommand
	case strings.Contains(name, "|"):
		return errFirstArgOfSub
	case arg == "":
		return errRuleSyntax
	case len(v.inside[id]) > 0:
		return errNoSuchCommand
	}
	if s.firstArgs == nil {
		s.firstArgs = make(map[int][]string)
	}
	if !slices.Contains(s.firstArgs[id], arg) {
		s.firstArgs[id] = append(s.firstArgs[id], arg)
	}
	return nil
}

// addKeys is ~pattern, %R~pattern, %W~pattern or %RW~pattern.
func (s *selector) addKeys(rule string) error {
	if s.allKeys {
		return errAfterAllKeys
	}
	access, pattern := everyAccess, rule[1:]
	if rule[0] == '%' {
		access, pattern = 0, ""
		letters := rule[1:]
		for i := 0; i < len(letters) && letters[i] != '~'; i++ {
			var right translate.Access
			switch letters[i] | 0x20 {
			case 'r':
				right = translate.AccessRead
			case 'w':
				right = translate.AccessWrite
			}
			if right == 0 || access&right != 0 {
				return errRuleSyntax
			}
			access |= right
		}
		if access == 0 {
			return errRuleSyntax
		}
		if _, after, found := strings.Cut(letters, "~"); found {
			pattern = after
		}
	}
	if hasSpace(pattern) {
		return errRuleSyntax
	}
	at := slices.IndexFunc(s.keys, func(k keyPattern) bool { return k.pattern == pattern })
	if at < 0 {
		s.keys = append(s.keys, keyPattern{pattern, access})
	} else {
		s.keys[at].access |= access
	}
	return nil
}

func (s *selector) addChannels(pattern string) error {
	switch {
	case s.allChannels:
		return errAfterAllChannels
	case hasSpace(pattern):
		return errRuleSyntax
	case !slices.Contains(s.channels, pattern):
		s.channels = append(s.channels, pattern)
	}
	return nil
}

// hasSpace reports what may not stand in a pattern or a user's name.
func hasSpace(text string) bool { return strings.ContainsAny(text, " \t\n\v\f\r\x00") }

func (s *selector) unlimited() bool { return s.allCommands && s.allKeys && s.allChannels }

// covers reports whether s allows at least what other allows, pattern by pattern.
func (s *selector) covers(other *selector) bool {
	if other.allCommands && !s.allCommands || other.allKeys && !s.allKeys || other.allChannels && !s.allChannels {
		return false
	}
	for i, word := range other.commands {
		if i >= len(s.commands) && word != 0 || i < len(s.commands) && word&^s.commands[i] != 0 {
			return false
		}
	}
	for id, args := range other.firstArgs {
		for _, arg := range args {
			if !s.commands.has(id) && !slices.Contains(s.firstArgs[id], arg) {
				return false
			}
		}
	}
	for _, k := range other.keys {
		if !s.allKeys && !slices.ContainsFunc(s.keys, func(own keyPattern) bool {
			return own.pattern == k.pattern && own.access&k.access == k.access
		}) {
			return false
		}
	}
	for _, channel := range other.channels {
		if !s.allChannels && !slices.Contains(s.channels, channel) {
			return false
		}
	}
	return true
}
