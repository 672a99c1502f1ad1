package acl

import "slices"

// LosesChannels reports whether a rule about channels that before had is missing in u, so that some subscription of the user may
// not be allowed any more.
func (u *User) LosesChannels(before *User) bool {
	all, now := u.channelRules()
	if all {
		return false
	}
	hadAll, had := before.channelRules()
	return hadAll || slices.ContainsFunc(had, func(pattern string) bool { return !slices.Contains(now, pattern) })
}

// MaySubscribe reports whether some selector allows subscribing to a channel or pattern.
func (u *User) MaySubscribe(channel string, isPattern bool) bool {
	all, patterns := u.channelRules()
	return all || allowsChannel(patterns, channel, isPattern)
}

// channelRules gathers those of all selectors.
func (u *User) channelRules() (all bool, patterns []string) {
	for _, s := range u.selectors {
		all = all || s.allChannels
		patterns = append(patterns, s.channels...)
	}
	return all, patterns
}
