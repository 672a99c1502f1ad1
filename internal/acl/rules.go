package acl

import (
	"maps"
	"slices"
	"strings"

	"anabranch/translate"
)

// Rules is what the user may do, in the form in which the engine takes it for the user's scripts (docs/engine.md, XCRDT.AS): a
// line for each selector. It is made when it is first asked for. An unlimited user has none.
func (u *User) Rules() string { return u.rules() }

func (u *User) writeRules() string {
	var lines []string
	for _, s := range u.selectors {
		lines = append(lines, strings.Join(s.words(u.vocabulary), " "))
	}
	return strings.Join(lines, "\n")
}

// words lists the rights of a selector: what holds for all commands, then the exceptions, the keys and the channels.
func (s *selector) words(v *Vocabulary) []string {
	words := []string{"-@all"}
	if s.others {
		words[0] = "+@all"
	}
	for _, name := range slices.Sorted(maps.Keys(v.byName)) {
		id := v.byName[name]
		switch allowed := s.allCommands || s.commands.has(id); {
		case allowed && !s.others:
			words = append(words, "+"+name)
		case !allowed && s.others:
			words = append(words, "-"+name)
		}
		for _, arg := range s.firstArgs[id] {
			words = append(words, "+"+name+"|"+arg)
		}
	}
	if s.allKeys {
		words = append(words, "~*")
	}
	for _, k := range s.keys {
		rights := ""
		if k.access&translate.AccessRead != 0 {
			rights += "R"
		}
		if k.access&translate.AccessWrite != 0 {
			rights += "W"
		}
		words = append(words, "%"+rights+"~"+k.pattern)
	}
	if s.allChannels {
		words = append(words, "&*")
	}
	for _, pattern := range s.channels {
		words = append(words, "&"+pattern)
	}
	return words
}
