package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// DefaultUser is the name of the user that every connection begins as.
const DefaultUser = "default"

// User is one user with its rules. It never changes.
type User struct {
	name       string
	enabled    bool
	noPass     bool
	passwords  []string // SHA-256 in lower-case hexadecimal digits
	selectors  []*selector
	unlimited  bool
	rules      func() string
	vocabulary *Vocabulary
}

// Why a rule is no rule, in Redis's words.
var (
	errNoSuchCommand    = errors.New("Unknown command or category name in ACL")
	errRuleSyntax       = errors.New("Syntax error")
	errAfterAllKeys     = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	errAfterAllChannels = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	errNoSuchPassword   = errors.New("The password you are trying to remove from the user does not exist")
	errNoHash           = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	errFirstArgOfSub    = errors.New("Allowing first-arg of a subcommand is not supported")
)

// Name is what AUTH calls the user.
func (u *User) Name() string { return u.name }

// OpenToAll reports whether a connection is this user without a password. It matters for the default user.
func (u *User) OpenToAll() bool { return u.enabled && u.noPass }

// NoPassword reports whether any password will do.
func (u *User) NoPassword() bool { return u.noPass }

// Accepts reports whether AUTH with this password succeeds. Its time tells nothing about the right password.
func (u *User) Accepts(password []byte) bool {
	if !u.enabled {
		return false
	}
	if u.noPass {
		return true
	}
	given, found := hashPassword(password), 0
	for _, known := range u.passwords {
		found |= subtle.ConstantTimeCompare([]byte(known), []byte(given))
	}
	return found == 1
}

func hashPassword(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// Covers reports whether u may log in and may do all that other may, rule by rule.
func (u *User) Covers(other *User) bool {
	if !u.enabled {
		return false
	}
	for _, s := range other.selectors {
		if !slices.ContainsFunc(u.selectors, func(own *selector) bool { return own.covers(s) }) {
			return false
		}
	}
	return true
}

// With returns what ACL SETUSER with these rules would make of the user. It fails in Redis's words.
func (u *User) With(rules []string) (*User, error) { return u.with(rules, (*selector).set) }

// ruleSetter applies a rule about commands, keys or channels.
type ruleSetter func(*selector, *Vocabulary, string) error

func (u *User) with(rules []string, set ruleSetter) (*User, error) {
	merged, err := mergeSelectors(rules)
	if err != nil {
		return nil, err
	}
	changed := *u
	changed.passwords = slices.Clone(u.passwords)
	changed.selectors = slices.Clone(u.selectors)
	changed.selectors[0] = u.selectors[0].copy()
	for _, rule := range merged {
		if err := changed.set(rule, set); err != nil {
			return nil, fmt.Errorf("Error in ACL SETUSER modifier '%s': %w", rule, err)
		}
	}
	changed.rules = sync.OnceValue(changed.writeRules)
	changed.unlimited = slices.ContainsFunc(changed.selectors, (*selector).unlimited)
	return &changed, nil
}

// set applies one rule to a user that nobody else knows yet.
func (u *User) set(rule string, set ruleSetter) error {
	if rule == "" {
		return nil
	}
	switch word := strings.ToLower(rule); {
	case word == "on", word == "off":
		u.enabled = word == "on"
	case word == "sanitize-payload", word == "skip-sanitize-payload":
	case word == "nopass", word == "resetpass":
		u.noPass, u.passwords = word == "nopass", nil
	case rule[0] == '>', rule[0] == '#':
		hash, err := hashIn(rule)
		if err != nil {
			return err
		}
		if !slices.Contains(u.passwords, hash) {
			u.passwords = append(u.passwords, hash)
		}
		u.noPass = false
	case rule[0] == '<', rule[0] == '!':
		hash, err := hashIn(rule)
		if err != nil {
			return err
		}
		at := slices.Index(u.passwords, hash)
		if at < 0 {
			return errNoSuchPassword
		}
		u.passwords = slices.Delete(u.passwords, at, at+1)
	case rule[0] == '(' && strings.HasSuffix(rule, ")"):
		added := &selector{}
		for _, inner := range strings.Fields(rule[1 : len(rule)-1]) {
			if err := set(added, u.vocabulary, inner); err != nil {
				return err
			}
		}
		u.selectors = append(u.selectors, added)
	case word == "clearselectors":
		u.selectors = u.selectors[:1:1]
	case word == "reset":
		u.enabled, u.noPass, u.passwords, u.selectors = false, false, nil, []*selector{{}}
	default:
		return set(u.selectors[0], u.vocabulary, rule)
	}
	return nil
}

// hashIn returns the hash of a rule about a password, which it gives as a hash or in plain text.
func hashIn(rule string) (string, error) {
	if rule[0] == '>' || rule[0] == '<' {
		return hashPassword([]byte(rule[1:])), nil
	}
	hash := rule[1:]
	if len(hash) != 2*sha256.Size || strings.Trim(hash, "0123456789abcdef") != "" {
		return "", errNoHash
	}
	return hash, nil
}

// mergeSelectors joins the words of selectors that are spread over several arguments.
func mergeSelectors(words []string) ([]string, error) {
	var merged []string
	open := -1
	for i, word := range words {
		switch {
		case strings.HasPrefix(word, "(") && !strings.HasSuffix(word, ")"):
			open = i
		case open < 0:
			merged = append(merged, word)
		case strings.HasSuffix(word, ")"):
			merged = append(merged, strings.Join(words[open:i+1], " "))
			open = -1
		}
	}
	if open >= 0 {
		return nil, fmt.Errorf("Unmatched parenthesis in acl selector starting at '%s'.", words[open])
	}
	return merged, nil
}
