package translate

// channelArgs says which arguments of a command are channels that the user needs a right to. Leaving a channel needs none.
type channelArgs uint8

const (
	noChannels  channelArgs = iota
	oneChannel              // the first argument
	allChannels             // all arguments
	allPatterns             // all arguments, and they are patterns
)

// Channels returns the channels that a command publishes or subscribes to, as a part of args, and whether they are
// patterns. They begin at args[1].
func (c *Command) Channels(args [][]byte) (channels [][]byte, patterns bool) {
	if len(args) < 2 {
		return nil, false
	}
	switch c.channels {
	case oneChannel:
		return args[1:2], false
	case allChannels, allPatterns:
		return args[1:], c.channels == allPatterns
	}
	return nil, false
}
