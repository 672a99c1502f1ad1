package proxy

// handler answers a command that the proxy deals with itself. One that blocks waits for the session's earlier replies or
// for the control plane, so it never runs inline.
type handler struct {
	blocks bool
	run    func(s *session, args [][]byte)
}

// handlers has them by their names in the command table. What the table calls Admin, Local or PubSub and is not here passes
// to the server as it is.
var handlers map[string]handler

func init() {
	handlers = map[string]handler{
		"PING":   {run: (*session).ping},
		"ECHO":   {run: (*session).echo},
		"AUTH":   {run: (*session).auth},
		"HELLO":  {blocks: true, run: (*session).hello},
		"SELECT": {blocks: true, run: (*session).selectDatabase},
		"QUIT":   {run: (*session).quit},
		"RESET":  {blocks: true, run: (*session).reset},

		"CLIENT ID":           {run: (*session).clientID},
		"CLIENT GETNAME":      {run: (*session).clientGetName},
		"CLIENT SETNAME":      {run: (*session).clientSetName},
		"CLIENT INFO":         {run: (*session).clientInfo},
		"CLIENT LIST":         {run: (*session).clientList},
		"CLIENT KILL":         {run: (*session).clientKill},
		"CLIENT REPLY":        {run: (*session).clientReply},
		"CLIENT NO-EVICT":     {run: (*session).clientNoEvict},
		"CLIENT GETREDIR":     {run: (*session).clientGetRedir},
		"CLIENT TRACKINGINFO": {run: (*session).clientTrackingInfo},
		"CLIENT TRACKING":     {blocks: true, run: (*session).clientTracking},
		"CLIENT CACHING":      {run: (*session).clientCaching},
		"CLIENT UNBLOCK":      {blocks: true, run: (*session).clientUnblock},
		"CLIENT PAUSE":        {run: (*session).clientPause},
		"CLIENT UNPAUSE":      {run: (*session).clientUnpause},
		"CLIENT HELP":         {run: (*session).clientHelp},

		"SUBSCRIBE":    {blocks: true, run: (*session).subscribe},
		"PSUBSCRIBE":   {blocks: true, run: (*session).subscribe},
		"SSUBSCRIBE":   {blocks: true, run: (*session).subscribe},
		"UNSUBSCRIBE":  {run: (*session).unsubscribe},
		"PUNSUBSCRIBE": {run: (*session).unsubscribe},
		"SUNSUBSCRIBE": {run: (*session).unsubscribe},

		"PUBLISH":  {run: (*session).announce},
		"SPUBLISH": {run: (*session).announce},

		"MULTI":   {run: (*session).multi},
		"EXEC":    {run: (*session).exec},
		"DISCARD": {run: (*session).discard},
		"WATCH":   {blocks: true, run: (*session).watch},
		"UNWATCH": {run: (*session).unwatch},

		"FUNCTION DELETE":  {blocks: true, run: (*session).functionDelete},
		"FUNCTION DUMP":    {blocks: true, run: (*session).functionDump},
		"FUNCTION FLUSH":   {blocks: true, run: (*session).functionFlush},
		"FUNCTION KILL":    {blocks: true, run: (*session).kill},
		"FUNCTION LIST":    {run: (*session).functionList},
		"FUNCTION LOAD":    {blocks: true, run: (*session).functionLoad},
		"FUNCTION RESTORE": {blocks: true, run: (*session).functionRestore},
		"FUNCTION STATS":   {blocks: true, run: (*session).functionStats},
		"SCRIPT KILL":      {blocks: true, run: (*session).kill},

		"PUBSUB NUMSUB":      {run: (*session).countSubscribers},
		"PUBSUB SHARDNUMSUB": {run: (*session).countSubscribers},

		"MONITOR":     {blocks: true, run: (*session).monitor},
		"SLOWLOG GET": {blocks: true, run: (*session).slowlogGet},
		"SLOWLOG LEN": {blocks: true, run: (*session).slowlogLen},
		"DEBUG":       {blocks: true, run: (*session).debug},
		"WAIT":        {blocks: true, run: (*session).replicaWait},
		"INFO":        {blocks: true, run: (*session).info},
		"CONFIG SET":  {blocks: true, run: (*session).configSet},

		"ACL SETUSER": {blocks: true, run: (*session).aclSetUser},
		"ACL DELUSER": {blocks: true, run: (*session).aclDelUser},
		"ACL LOAD":    {blocks: true, run: (*session).aclLoad},
		"ACL LOG":     {run: (*session).aclLog},
		"ACL WHOAMI":  {run: (*session).aclWhoAmI},

		"CRDT PAUSE":     {blocks: true, run: (*session).crdtPause},
		"CRDT RESUME":    {blocks: true, run: (*session).crdtResume},
		"CRDT WAIT":      {blocks: true, run: (*session).crdtWait},
		"CRDT MEMBERS":   {blocks: true, run: (*session).crdtMembers},
		"CRDT PEERS":     {blocks: true, run: (*session).crdtPeers},
		"CRDT INFO":      {blocks: true, run: (*session).crdtInfo},
		"CRDT STATUS":    {blocks: true, run: (*session).crdtStatus},
		"CRDT DIGEST":    {run: (*session).crdtDigest},
		"CRDT EXPLAIN":   {run: (*session).crdtExplain},
		"CRDT REPAIR":    {run: (*session).crdtRepair},
		"CRDT CONFLICTS": {blocks: true, run: (*session).crdtConflicts},
		"CRDT HELP":      {run: (*session).crdtHelp},
	}
}
