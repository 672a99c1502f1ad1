package proxy

// handlers answer the commands that the proxy deals with itself, by their names in the command table. What the table
// calls Admin, Local or PubSub and is not here passes to the server as it is.
var handlers map[string]func(s *session, args [][]byte)

func init() {
	handlers = map[string]func(s *session, args [][]byte){
		"PING":   (*session).ping,
		"ECHO":   (*session).echo,
		"AUTH":   (*session).auth,
		"HELLO":  (*session).hello,
		"SELECT": (*session).selectDatabase,
		"QUIT":   (*session).quit,
		"RESET":  (*session).reset,

		"CLIENT ID":           (*session).clientID,
		"CLIENT GETNAME":      (*session).clientGetName,
		"CLIENT SETNAME":      (*session).clientSetName,
		"CLIENT INFO":         (*session).clientInfo,
		"CLIENT LIST":         (*session).clientList,
		"CLIENT KILL":         (*session).clientKill,
		"CLIENT REPLY":        (*session).clientReply,
		"CLIENT NO-EVICT":     (*session).clientNoEvict,
		"CLIENT GETREDIR":     (*session).clientGetRedir,
		"CLIENT TRACKINGINFO": (*session).clientTrackingInfo,
		"CLIENT UNBLOCK":      (*session).clientUnblock,
		"CLIENT UNPAUSE":      (*session).clientUnpause,
		"CLIENT HELP":         (*session).clientHelp,

		"SUBSCRIBE":    (*session).subscribe,
		"PSUBSCRIBE":   (*session).subscribe,
		"SSUBSCRIBE":   (*session).subscribe,
		"UNSUBSCRIBE":  (*session).unsubscribe,
		"PUNSUBSCRIBE": (*session).unsubscribe,
		"SUNSUBSCRIBE": (*session).unsubscribe,

		"INFO":       (*session).info,
		"CONFIG SET": (*session).configSet,
		"ACL WHOAMI": (*session).whoAmI,

		"CRDT PAUSE":     (*session).crdtPause,
		"CRDT RESUME":    (*session).crdtResume,
		"CRDT WAIT":      (*session).crdtWait,
		"CRDT PEERS":     (*session).crdtPeers,
		"CRDT INFO":      (*session).crdtInfo,
		"CRDT STATUS":    (*session).crdtStatus,
		"CRDT EXPLAIN":   (*session).crdtExplain,
		"CRDT CONFLICTS": (*session).crdtConflicts,
		"CRDT HELP":      (*session).crdtHelp,
	}
}
