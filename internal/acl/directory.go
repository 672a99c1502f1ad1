package acl

import (
	"fmt"
	"strings"
)

// Directory is the users of one server at one moment. It never changes.
type Directory struct {
	users    map[string]entry
	password *User // the default user with a password of the proxy's own, nil for none
}

// entry keeps the line that a user was read from, so that an unchanged line need not be read again.
type entry struct {
	line string
	user *User
}

// ReadDirectory reads the lines of ACL LIST. Users that have not changed since the directory before, which may be nil, are the same
// *User. If nothing has changed, so is the directory. A user with a rule that is not understood has no rights at all;
// confused names such users with the reason.
func ReadDirectory(v *Vocabulary, lines []string, before *Directory) (d *Directory, confused []error) {
	d = &Directory{users: make(map[string]entry, len(lines))}
	changed := before == nil || len(before.users) != len(lines)
	for _, line := range lines {
		name, rules, _ := strings.Cut(strings.TrimPrefix(line, "user "), " ")
		if before != nil {
			if known, ok := before.users[name]; ok && known.line == line && known.user.vocabulary == v {
				d.users[name] = known
				continue
			}
		}
		changed = true
		blank := &User{name: name, selectors: []*selector{{}}, vocabulary: v}
		user, err := blank.with(strings.Split(rules, " "), (*selector).read)
		if err != nil {
			confused = append(confused, fmt.Errorf("user %s: %w", name, err))
			user, _ = blank.with(nil, (*selector).read)
		}
		d.users[name] = entry{line, user}
	}
	if !changed {
		return before, nil
	}
	return d, confused
}

// OpenDirectory has one user, the default one, who may do everything. It stands for a server that does not tell its users.
func OpenDirectory() *Directory {
	all := &selector{allCommands: true, allKeys: true, allChannels: true}
	user := &User{
		name: DefaultUser, enabled: true, noPass: true, unlimited: true, selectors: []*selector{all}, vocabulary: NewVocabulary(nil),
	}
	return &Directory{users: map[string]entry{DefaultUser: {user: user}}}
}

// WithPassword returns a directory in which the default user has this password alone. An empty one changes nothing.
func (d *Directory) WithPassword(password string) *Directory {
	user := d.OnServer(DefaultUser)
	if password == "" || user == nil {
		return d
	}
	own := *user
	own.noPass, own.passwords = false, []string{hashPassword([]byte(password))}
	return &Directory{users: d.users, password: &own}
}

// User returns a user as clients know it, nil if there is none of that name.
func (d *Directory) User(name string) *User {
	if d.password != nil && name == DefaultUser {
		return d.password
	}
	return d.users[name].user
}

// OnServer returns a user as the server knows it, nil if there is none of that name.
func (d *Directory) OnServer(name string) *User { return d.users[name].user }

// Default is the user that every connection begins as. A server has one always.
func (d *Directory) Default() *User { return d.User(DefaultUser) }

// Each calls visit for every user.
func (d *Directory) Each(visit func(*User)) {
	for name := range d.users {
		visit(d.User(name))
	}
}
