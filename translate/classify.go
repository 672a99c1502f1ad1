package translate

import "slices"

// DefaultPrefix starts the names of companion keys and of the other keys that belong to Anabranch.
const DefaultPrefix = "crdt:"

// Classifier says what to do with a command. It never changes after New and serves any number of goroutines.
type Classifier struct {
	prefix          string
	reserved        string // the refusal of a command that names a reserved key
	reservedChannel string // the refusal of a command that names a reserved shard channel
}

// New makes a Classifier that reserves the names of keys and shard channels with the given prefix, or with DefaultPrefix
// when it is empty.
func New(prefix string) *Classifier {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return &Classifier{
		prefix:          prefix,
		reserved:        "ERR key names starting with '" + prefix + "' are reserved",
		reservedChannel: "ERR shard channel names starting with '" + prefix + "' are reserved",
	}
}

var defaultClassifier = New(DefaultPrefix)

// Classify is Classifier.Classify with the default prefix.
func Classify(cmd *Command, args [][]byte) Plan { return defaultClassifier.Classify(cmd, args) }

// Reserves reports whether a name, of a key or a channel, belongs to Anabranch.
func (t *Classifier) Reserves(name []byte) bool {
	return len(name) >= len(t.prefix) && string(name[:len(t.prefix)]) == t.prefix
}

// Classify makes the plan for one command. cmd is what Lookup found for args[0], nil for nothing; args holds the name too.
// It does not allocate unless the plan is an error, and keeps nothing of args.
//
// The checks come in Redis's order: existence, arity, and only then what Anabranch has to say, so that a client sees
// Redis's own error wherever Redis has one.
func (t *Classifier) Classify(cmd *Command, args [][]byte) Plan {
	if cmd == nil {
		return malformed(nil, unknownCommand(args))
	}
	if cmd.bySuffix != nil && len(args) > 1 {
		sub := cmd.Sub(args[1])
		if sub == nil {
			return malformed(cmd, unknownSubcommand(cmd, args[1]))
		}
		cmd = sub
	}
	if !cmd.fits(len(args)) {
		return malformed(cmd, wrongArity(cmd))
	}
	if cmd.Class == Refused {
		return refuse(cmd, cmd.refusal)
	}
	if len(cmd.keys) > 0 {
		if t.namesReserved(cmd, args) {
			return refuse(cmd, t.reserved)
		}
		if cmd.channels != noChannels && t.namesReservedChannel(cmd, args) {
			return refuse(cmd, t.reservedChannel)
		}
	}
	plan := Plan{Command: cmd, Class: cmd.Class, Shape: cmd.Shape, DenyOOM: cmd.DenyOOM}
	if cmd.decide != nil {
		return cmd.decide(plan, args)
	}
	return plan
}

func (c *Command) fits(count int) bool {
	if c.Arity < 0 {
		return count >= -c.Arity
	}
	return count == c.Arity
}

// Reserved reports whether one of the keys is reserved.
func (t *Classifier) Reserved(keys [][]byte) bool { return slices.ContainsFunc(keys, t.Reserves) }

// Prefix is what the names of reserved keys begin with.
func (t *Classifier) Prefix() string { return t.prefix }

// ReservedText is the error for a command that names a reserved key.
func (t *Classifier) ReservedText() string { return t.reserved }

// namesReserved also looks at the patterns of SORT, through which keys can be read.
func (t *Classifier) namesReserved(cmd *Command, args [][]byte) bool {
	found := false
	cmd.EachKey(args, func(position int, _ Access) bool {
		found = t.Reserves(args[position])
		return !found
	})
	return found
}

// namesReservedChannel is about shard channels: they share the slots of keys, and Anabranch's own traffic is among them.
func (t *Classifier) namesReservedChannel(cmd *Command, args [][]byte) bool {
	channels, _ := cmd.Channels(args)
	return slices.ContainsFunc(channels, t.Reserves)
}

func malformed(cmd *Command, err string) Plan {
	return Plan{Command: cmd, Class: Refused, Err: err, Malformed: true}
}

func refuse(cmd *Command, err string) Plan {
	return Plan{Command: cmd, Class: Refused, Err: err}
}
