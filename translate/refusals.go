package translate

import (
	"bytes"
	"strings"
)

// Why a command is refused, as the table's rows name it.
const (
	noVerify = "a proxy knows its own region; the program compares regions, with 'anabranch verify'"

	noDebugger  = "the debugger runs a script in a copy of the server, past the engine"
	noSwap      = "companion keys do not move between databases with their keys' database"
	rolesBelong = "the server's role is decided by its operator or by Sentinel"
	notAPrimary = "a proxy is no primary to replicate from; connect the replica to the Redis server"
	noShutdown  = "the server is stopped by its operator, not by a client"
	noDebug     = "it changes data and state behind the engine's back"
	noMigrate   = "it moves keys without their companions"
	noModules   = "modules write past the engine"
	clusterOnly = "it belongs to Redis Cluster's own traffic"

	// clusterDisabled is the whole error, because Redis itself says it.
	clusterDisabled = "ERR This instance has cluster support disabled"
)

// maxEchoBytes is how much of a client's own words Redis repeats in an error.
const maxEchoBytes = 128

// refusalText builds the error of a refused row.
func (c *Command) refusalText() string {
	if strings.HasPrefix(c.Reason, "ERR ") {
		return c.Reason
	}
	return "ERR '" + c.FullName() + "' is not available through Anabranch: " + c.Reason
}

func wrongArity(cmd *Command) string {
	text := "wrong number of arguments for '" + cmd.FullName() + "' command"
	if cmd.Name == "EXEC" { // a transaction that cannot run is gone, and Redis says so
		return "EXECABORT Transaction discarded because of: " + text
	}
	return "ERR " + text
}

// unknownCommand repeats the name and the first arguments as Redis does: the name cut at 128 bytes, each argument at what
// is left of 128 in all.
func unknownCommand(args [][]byte) string {
	var text strings.Builder
	text.WriteString("ERR unknown command '")
	if len(args) > 0 {
		text.Write(echo(args[0], maxEchoBytes))
		args = args[1:]
	}
	text.WriteString("', with args beginning with: ")
	start := text.Len()
	for _, arg := range args {
		used := text.Len() - start
		if used >= maxEchoBytes {
			break
		}
		text.WriteByte('\'')
		text.Write(echo(arg, maxEchoBytes-used))
		text.WriteString("' ")
	}
	return oneLine(text.String())
}

func unknownSubcommand(container *Command, name []byte) string {
	text := "ERR unknown subcommand '" + string(echo(name, maxEchoBytes)) + "'. Try " + container.Name + " HELP."
	return oneLine(text)
}

// echo cuts an argument to a number of bytes, and at a zero byte, where Redis's formatting ends.
func echo(arg []byte, limitBytes int) []byte {
	arg = arg[:min(len(arg), limitBytes)]
	if zero := bytes.IndexByte(arg, 0); zero >= 0 {
		arg = arg[:zero]
	}
	return arg
}

// oneLine keeps a client's line ends out of the error, which they would end too early.
func oneLine(text string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
}
