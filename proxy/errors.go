package proxy

// What clients are told, without the leading "-" and the final CRLF. Where Redis has an error of the same meaning, these
// are its words.
const (
	errMaxClients     = "ERR max number of clients reached"
	errStarting       = "LOADING Anabranch is starting"
	errNoBackend      = "LOADING Anabranch has no connection to its Redis; the command was not executed"
	errNoAuth         = "NOAUTH Authentication required."
	errNoPassword     = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errWrongPass      = "WRONGPASS invalid username-password pair or user is disabled."
	errHelloNoAuth    = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errHelloVersion   = "ERR Protocol version is not an integer or out of range"
	errNoProto        = "NOPROTO unsupported protocol version"
	errSyntax         = "ERR syntax error"
	errNotInteger     = "ERR value is not an integer or out of range"
	errInt32Range     = "ERR value is out of range, value must between -2147483648 and 2147483647"
	errTimeoutInteger = "ERR timeout is not an integer or out of range"
	errTimeoutSign    = "ERR timeout is negative"
	errDatabase       = "ERR DB index is out of range"
	errClientName     = "ERR Client names cannot contain spaces, newlines or special characters."
	errUnblockReason  = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
	errUnblocked      = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
	errNoSuchClient   = "ERR No such client"
	errClientID       = "ERR client-id should be greater than 0"
	errInvalidID      = "ERR Invalid client ID"
	errWhileSubbed    = "ERR the database and the protocol cannot be changed through Anabranch while subscribed"
	errScriptFlush    = "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
	errFunctionFlush  = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
	errNoControl      = "ERR replication to other regions is not configured"
	errEvictionPolicy = "ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - allkeys policies would evict the metadata that merging needs"

	errReservedChannel = "ERR channel '%s' is reserved"
	errNotAvailable    = "ERR '%s' is not available through Anabranch yet"

	errPingArity   = "ERR wrong number of arguments for 'ping' command"
	errHelloOption = "ERR Syntax error in HELLO option '%s'"
	errNoSuchUser  = "ERR No such user '%s'"
	errClientType  = "ERR Unknown client type '%s'"
	errSubscribed  = "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)
