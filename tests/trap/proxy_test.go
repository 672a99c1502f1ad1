package trap

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
	"anabranch/translate"
)

// sample is one valid call, with real data, of commands that may be refused.
var sample = []string{
	"RPUSH fresh a b", "LPUSH list a b", "RPUSHX list a", "LPUSHX list a", "LPOP list", "RPOP list", "LPOP list 2", "LSET list 0 z",
	"LREM list 0 a", "LTRIM list 1 1", "LINSERT list BEFORE a z", "LMOVE list other LEFT RIGHT", "RPOPLPUSH list other", "LMPOP 1 list LEFT",
	"BLPOP list 1", "BRPOP list 1", "BLMOVE list other LEFT RIGHT 1", "BRPOPLPUSH list other 1", "BLMPOP 1 1 list LEFT",
	"BZPOPMIN z 1", "BZPOPMAX z 1", "BZMPOP 1 1 z MIN",
	"XADD stream * f v", "XADD fresh * f v", "XDEL stream 1-1", "XTRIM stream MAXLEN 0", "XSETID stream 9-9", "XACK stream g 1-1",
	"XGROUP CREATE stream g2 0", "XGROUP DESTROY stream g", "XGROUP CREATECONSUMER stream g c", "XGROUP DELCONSUMER stream g c", "XGROUP SETID stream g 0",
	"XREADGROUP GROUP g c STREAMS stream >", "XCLAIM stream g c 0 1-1", "XAUTOCLAIM stream g c 0 0",
	"EVAL return(redis.call('set','k','w')) 0", "EVALSHA 0000000000000000000000000000000000000000 0", "FCALL f 0",
	"EVAL_RO return(1) 0", "EVALSHA_RO 0000000000000000000000000000000000000000 0", "FCALL_RO f 0",
	"SCRIPT LOAD return(1)", "SCRIPT FLUSH", "SCRIPT EXISTS 0000000000000000000000000000000000000000", "SCRIPT KILL", "SCRIPT DEBUG NO",
	"FUNCTION FLUSH", "FUNCTION DELETE anabranch", "FUNCTION LOAD x", "FUNCTION RESTORE x", "FUNCTION DUMP", "FUNCTION LIST", "FUNCTION STATS", "FUNCTION KILL",
	"MULTI", "EXEC", "DISCARD", "WATCH k", "UNWATCH",
	"RESTORE-ASKING fresh 0 x", "MIGRATE 127.0.0.1 1 k 0 1", "SWAPDB 0 1", "MOVE k 1 extra",
	"DEBUG RELOAD NOSAVE", "DEBUG POPULATE 5", "DEBUG SEGFAULT", "DEBUG JMAP", "DEBUG LOADAOF", "SHUTDOWN NOSAVE", "REPLICAOF 127.0.0.1 1", "SLAVEOF 127.0.0.1 1", "FAILOVER", "REPLCONF ack 1", "SYNC", "PSYNC ? -1",
	"MODULE LOAD x", "MODULE LOADEX x", "MODULE UNLOAD x", "MONITOR", "ACL SETUSER x on", "ACL DELUSER default", "ACL LOAD", "ACL SAVE", "ACL LOG RESET", "ACL DRYRUN default GET k",
	"CLIENT TRACKING ON", "CLIENT CACHING YES", "READONLY", "READWRITE", "ASKING", "CLUSTER ADDSLOTS 1", "XREAD BLOCK 1 STREAMS stream $",
}

// A command is refused after it has changed data, or a write that cannot be replicated is applied in one region only.
func TestARefusedCommandChangesNothing(t *testing.T) {
	p := start(t, 1)
	region := p.Regions[0]
	native := redistest.Dial(t, region.Redis.Addr)
	for _, command := range []string{
		"RPUSH list a b c", "XADD stream 1-1 f v", "XGROUP CREATE stream g 0",
	} {
		do(native, command)
	}
	do(p.a, "ZADD z 1 m 2 n")
	do(p.a, "SET k v")
	logged := logLength(t, region)
	before := redistest.Snapshot(t, native)
	groups := do(native, "XINFO STREAM stream FULL").Raw
	tried := map[string]bool{}
	for _, command := range sample {
		args := strings.Fields(command)
		bytes := make([][]byte, 0, len(args))
		for _, arg := range args {
			bytes = append(bytes, []byte(arg))
		}
		plan := translate.Classify(translate.Lookup(bytes[0]), bytes)
		if plan.Command != nil {
			tried[plan.Command.Name] = true
		}
		if plan.Class != translate.Refused {
			continue // no longer refused: the suites of its type have it now
		}
		c := region.Dial()
		reply, err := c.Try(args...)
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		if !reply.IsError() {
			t.Errorf("%s answers %s", command, reply)
		}
		c.Close()
	}
	if diff := redistest.Diff(before, redistest.Snapshot(t, native), 0, 20); diff != "" {
		t.Errorf("refused commands changed data:\n%s", diff)
	}
	if after := do(native, "XINFO STREAM stream FULL").Raw; after != groups {
		t.Errorf("refused commands changed a group: %q, before %q", after, groups)
	}
	if grown := logLength(t, region) - logged; grown != 0 {
		t.Errorf("refused commands logged %d entries", grown)
	}
	want(t, p.a, "PING", "PONG")
	requireAllTried(t, tried)
}

// requireAllTried fails when the table refuses a command that writes and that the list above does not hold.
func requireAllTried(t *testing.T, tried map[string]bool) {
	t.Helper()
	check := func(cmd *translate.Command) {
		if cmd.Class == translate.Refused && cmd.Flags&translate.FlagWrite != 0 && !tried[cmd.Name] {
			t.Errorf("%s is refused and writes, but is not tried", cmd.Name)
		}
	}
	for _, cmd := range translate.Commands() {
		subs := cmd.Subcommands()
		if len(subs) == 0 {
			check(cmd)
		}
		for _, sub := range subs {
			check(sub)
		}
	}
}

// A client reaches the metadata by naming it.
func TestClientsCannotNameMetadata(t *testing.T) {
	p := start(t, 1)
	do(p.a, "SET k v")
	for _, name := range []string{"crdt:log", "crdt:self", "crdt:0{k}", "crdt:frontier", "crdt:anything"} {
		for _, command := range []string{
			"GET #", "SET # v", "DEL #", "DEL k #", "EXISTS #", "TYPE #", "RENAME k #", "RENAME # k", "COPY # k2", "EXPIRE # 1", "MSET k v # w",
			"SUNIONSTORE # k", "SORT k STORE #", "SORT k BY # GET #", "ZUNIONSTORE k 1 #", "XRANGE # - +", "XREAD STREAMS # 0", "OBJECT ENCODING #",
			"DUMP #", "MEMORY USAGE #", "TOUCH #", "UNLINK #", "HGETALL #", "LCS k #", "BITOP NOT # k", "GEORADIUS k 0 0 1 m STORE #", "PFCOUNT #",
		} {
			line := strings.ReplaceAll(command, "#", name)
			if reply := p.a.Do(strings.Fields(line)...); !reply.IsError() {
				t.Errorf("%s answers %s", line, reply)
			}
		}
	}
	want(t, p.a, "GET k", `"v"`)
	p.Regions[0].RequireNoMetadata(t)
}

// A proxy stays stuck until it is restarted, after its server failed.
func TestAProxyServesAgainByItselfAfterItsServerFailed(t *testing.T) {
	hold := redistest.WithFlags("--backend-hold", "500ms") // how long a write waits for the server before it fails
	p := start(t, 1, redistest.WithRedis(redistest.WithAOF()), hold)
	region := p.Regions[0]
	pid := region.Proxy().PID()
	for round := range 4 {
		do(p.a, fmt.Sprintf("SET k %d", round))
		region.Redis.Kill()
		if reply, err := p.a.Try("SET", "k", "lost"); err == nil && !reply.IsError() {
			t.Fatalf("a write without a server answers %s", reply)
		}
		region.Redis.Restart()
		began := time.Now()
		region.Proxy().AwaitReady()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("round %d: %v until it served again", round, took)
		}
		p.dial()
		want(t, p.a, "GET k", fmt.Sprintf(`"%d"`, round))
	}
	if region.Proxy().PID() != pid {
		t.Error("the proxy was restarted")
	}
}

// All connections to the server are lost at once, again and again while they come back: one of them stays dead, or what waits for it,
// until long after.
func TestReconnectsThatMeetEachOtherBlackOutNobody(t *testing.T) {
	p := start(t, 1, redistest.WithFlags("--backend-hold", "5s"))
	region := p.Regions[0]
	server := redistest.Dial(t, region.Redis.Addr)
	pid := region.Proxy().PID()
	stop := make(chan struct{})
	var all sync.WaitGroup
	clients := make([]*redistest.Conn, 12) // of several databases and both protocols, each with connections of its own behind
	for i := range clients {
		c := region.Dial()
		clients[i] = c
		if i%2 == 1 {
			do(c, "HELLO 3")
		}
		do(c, fmt.Sprintf("SELECT %d", i%3))
		all.Go(func() { // ends when stop is closed
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprintf("client%d-%d", i, n)
				reply, err := c.Try("SET", fmt.Sprint("key", i), text)
				if err == nil && !reply.IsError() { // a write that may have happened is answered with an error, and not tried again
					reply, err = c.Try("GET", fmt.Sprint("key", i))
					if err == nil && !reply.IsError() && reply.Text != text {
						t.Errorf("client %d reads %s after it wrote %s", i, reply, text)
					}
				}
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
		})
	}
	for i := range 60 {
		server.Must("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		time.Sleep(time.Duration(i%7) * 5 * time.Millisecond)
	}
	close(stop)
	all.Wait()
	for i, c := range clients {
		wantSoon(t, c, fmt.Sprintf("SET key%d last", i), "OK", 10*time.Second)
		want(t, c, fmt.Sprintf("GET key%d", i), `"last"`)
	}
	if region.Proxy().PID() != pid {
		t.Error("the proxy was restarted")
	}
}

// A frozen server blocks the proxy for good, or its clients get each other's answers afterwards.
func TestAnswersStayInOrderOverAFrozenServer(t *testing.T) {
	p := start(t, 1)
	region := p.Regions[0]
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		c := region.Dial()
		all.Add(1)
		go func() { // ends when stop is closed
			defer all.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprintf("client%d-%d", i, n)
				reply, err := c.Try("ECHO", text)
				if err == nil && reply.Text == text {
					reply, err = c.Try("GETSET", fmt.Sprintf("key%d", i), text)
				}
				if err != nil || reply.IsError() {
					return // the freeze may cost the connection, but never mix up answers
				}
				if reply.Text != "" && reply.Text != fmt.Sprintf("client%d-%d", i, n-1) {
					t.Errorf("client %d got %s for its write number %d", i, reply, n)
					return
				}
			}
		}()
	}
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		region.Redis.Pause()
		time.Sleep(150 * time.Millisecond)
		region.Redis.Continue()
	}
	close(stop)
	all.Wait()
	want(t, region.Dial(), "PING", "PONG")
}

// Clients that share one upstream connection hear each other's subscriptions, or break each other's protocol.
func TestSubscribersAndProtocolsDoNotDisturbOthers(t *testing.T) {
	p := start(t, 1)
	region := p.Regions[0]
	subscriber, modern, plain, selected := region.Dial(), region.Dial(), region.Dial(), region.Dial()
	do(subscriber, "SUBSCRIBE news")
	do(modern, "HELLO 3")
	do(selected, "SELECT 5")
	do(plain, "HSET h f v")
	do(selected, "SET k five")
	for range 50 {
		want(t, plain, "HGETALL h", `["f" "v"]`)
		if got := do(modern, "HGETALL h").Raw; !strings.HasPrefix(got, "%1\r\n") {
			t.Fatalf("RESP3 answers %q", got)
		}
		want(t, selected, "GET k", `"five"`)
		want(t, plain, "EXISTS k", "(integer) 0")
	}
	want(t, plain, "PUBLISH news hello", "(integer) 1")
	got, err := subscriber.ReceiveWithin(5 * time.Second)
	if err != nil || got.String() != `["message" "news" "hello"]` {
		t.Errorf("the subscriber got %s, %v", got, err)
	}
}
