package proxy

import (
	"sync"

	"anabranch/internal/acl"
	"anabranch/translate"
)

// subscriptions are what a session has subscribed to. The proxy keeps count by itself, so it always knows how many answers
// a command will have, and when the last subscription has gone. Only the session changes them; the lock lets others look.
type subscriptions struct {
	mu                         sync.Mutex
	channels, patterns, shards map[string]struct{}
}

// count may be called by the session alone.
func (u *subscriptions) count() int { return len(u.channels) + len(u.patterns) + len(u.shards) }

// kind returns the set that a command is about. The lock must be held.
func (u *subscriptions) kind(cmd *translate.Command) *map[string]struct{} {
	switch cmd.Name {
	case "PSUBSCRIBE", "PUNSUBSCRIBE":
		return &u.patterns
	case "SSUBSCRIBE", "SUNSUBSCRIBE":
		return &u.shards
	}
	return &u.channels
}

func (u *subscriptions) add(cmd *translate.Command, names [][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	set := u.kind(cmd)
	if *set == nil {
		*set = make(map[string]struct{})
	}
	for _, name := range names {
		(*set)[string(name)] = struct{}{}
	}
}

// remove ends some subscriptions, or all of their kind when none is named, and returns how many of these there were.
func (u *subscriptions) remove(cmd *translate.Command, names [][]byte) (all int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	set := u.kind(cmd)
	if len(names) == 0 {
		all = len(*set)
		clear(*set)
	}
	for _, name := range names {
		delete(*set, string(name))
	}
	return all
}

func (u *subscriptions) clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.channels, u.patterns, u.shards = nil, nil, nil
}

// allowedTo reports whether a user may have subscribed to all of them.
func (u *subscriptions) allowedTo(user *acl.User) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, kind := range []struct {
		names     map[string]struct{}
		isPattern bool
	}{{u.channels, false}, {u.patterns, true}, {u.shards, false}} {
		for name := range kind.names {
			if !user.MaySubscribe(name, kind.isPattern) {
				return false
			}
		}
	}
	return true
}
