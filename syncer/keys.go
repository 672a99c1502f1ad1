package syncer

// The fixed keys of docs/engine.md, section 2. They lie in database 0.
type keys struct {
	log, self, epochs, frontier, acks, members, paused, conflicts, lease, status, messages, context, newest, gc, collected, count, merges, flushed, held, quarantined, reentry, roster, found, sweep, ahead, cut, shipped, heard, ttl, scratch, plain string
}

func newKeys(prefix string) keys {
	return keys{
		log:       prefix + "log",
		self:      prefix + "self",
		epochs:    prefix + "epochs",
		frontier:  prefix + "frontier",
		acks:      prefix + "acks",
		members:   prefix + "members",
		paused:    prefix + "paused",
		conflicts: prefix + "conflicts",
		lease:     prefix + "lease",
		status:    prefix + "status",
		messages:  MessageChannel(prefix),
		context:   prefix + "context",
		newest:    prefix + "newest",
		gc:        prefix + "gc",
		collected: prefix + "collected",
		count:     prefix + "count",
		merges:    prefix + "merges",
		flushed:   prefix + "flushed",
		held:      prefix + "held",

		quarantined: prefix + "quarantined",
		reentry:     prefix + "reentry",
		roster:      prefix + "roster",
		found:       prefix + "found",
		sweep:       prefix + "sweep",
		ahead:       prefix + "ahead",
		cut:         prefix + "cut",
		shipped:     prefix + "shipped",
		heard:       prefix + "heard",
		ttl:         prefix + "ttl",
		scratch:     prefix + "scratch",
		plain:       prefix + "plain",
	}
}
