package translate

// Messages travel beside the log, best effort.
var pubsubCommands = rows{
	{Name: "PSUBSCRIBE", Arity: -2, Class: PubSub, flags: "pubsub noscript loading stale", channels: allPatterns},
	{Name: "PUBLISH", Arity: 3, Class: PubSub, flags: "pubsub loading stale fast", channels: oneChannel, merges: published},
	{Name: "PUBSUB", Arity: -2, Class: PubSub, subcommands: rows{
		{Name: "PUBSUB CHANNELS", Arity: -2, Class: PubSub, flags: "pubsub loading stale", Shape: ShapeKeys},
		{Name: "PUBSUB HELP", Arity: 2, Class: PubSub, flags: "loading stale"},
		{Name: "PUBSUB NUMPAT", Arity: 2, Class: PubSub, flags: "pubsub loading stale"},
		{Name: "PUBSUB NUMSUB", Arity: -2, Class: PubSub, flags: "pubsub loading stale"},
		{Name: "PUBSUB SHARDCHANNELS", Arity: -2, Class: PubSub, flags: "pubsub loading stale", Shape: ShapeKeys},
		{Name: "PUBSUB SHARDNUMSUB", Arity: -2, Class: PubSub, flags: "pubsub loading stale"},
	}},
	{Name: "PUNSUBSCRIBE", Arity: -1, Class: PubSub, flags: "pubsub noscript loading stale"},
	{Name: "SPUBLISH", Arity: 3, Class: PubSub, flags: "pubsub loading stale fast", channels: oneChannel, keys: keys(at(1, channel)), merges: published},
	{Name: "SSUBSCRIBE", Arity: -2, Class: PubSub, flags: "pubsub noscript loading stale", channels: allChannels, keys: keys(span(1, -1, channel))},
	{Name: "SUBSCRIBE", Arity: -2, Class: PubSub, flags: "pubsub noscript loading stale", channels: allChannels},
	{Name: "SUNSUBSCRIBE", Arity: -1, Class: PubSub, flags: "pubsub noscript loading stale", keys: keys(span(1, -1, channel))},
	{Name: "UNSUBSCRIBE", Arity: -1, Class: PubSub, flags: "pubsub noscript loading stale"},
}

// The proxy holds a transaction back until EXEC.
var transactionsCommands = rows{
	{Name: "DISCARD", Arity: 1, Class: Transaction, flags: "noscript loading stale fast allow_busy"},
	{Name: "EXEC", Arity: 1, Class: Transaction, flags: "noscript loading stale skip_slowlog"},
	{Name: "MULTI", Arity: 1, Class: Transaction, flags: "noscript loading stale fast allow_busy"},
	{Name: "UNWATCH", Arity: 1, Class: Transaction, flags: "noscript loading stale fast allow_busy"},
	{Name: "WATCH", Arity: -2, Class: Transaction, flags: "noscript loading stale fast allow_busy", keys: keys(span(1, -1, nameOnly))},
}
