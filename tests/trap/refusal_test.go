package trap

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// refused asserts an error that begins with a word of Redis's.
func refused(t *testing.T, c *redistest.Conn, code, command string) {
	t.Helper()
	if reply := c.Do(strings.Fields(command)...); !reply.IsError() || !strings.HasPrefix(reply.Text, code+" ") {
		t.Errorf("%s answers %s, want an error %s", command, reply, code)
	}
}

// wantRefused waits until a command is refused like that.
func wantRefused(t *testing.T, c *redistest.Conn, code, command string) {
	t.Helper()
	var reply redistest.Reply
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if reply = c.Do(strings.Fields(command)...); reply.IsError() && strings.HasPrefix(reply.Text, code+" ") {
			return
		}
	}
	t.Fatalf("%s still answers %s, want an error %s", command, reply, code)
}

// troubled writes in both regions while B's Redis takes no writes, and asserts that nothing of it is half done. over ends the
// trouble.
func (p *trapped) troubled(code string, over func()) {
	t := p.t
	t.Helper()
	for i := range 100 {
		p.a.Must("MULTI")
		p.a.Must("SET", "left", strconv.Itoa(i))
		p.a.Must("SADD", "right", strconv.Itoa(i))
		p.a.Must("EXEC")
	}
	for _, command := range []string{"SET own w", "INCR n", "DEL own", "MSET own w m w", "EXPIRE own 1"} {
		refused(t, p.b, code, command)
	}
	p.b.Do("MULTI")
	p.b.Do("INCR", "n")
	p.b.Do("GET", "own")
	p.b.Do("EXEC") // whatever it answers, what follows shows that nothing ran
	awaitStatus(t, p.b, code+" ")
	want(t, p.b, "GET own", `"v"`)
	want(t, p.b, "EXISTS left right n m", "(integer) 0")
	over()
	wantSoon(t, p.b, "INCR n", "(integer) 1", 20*time.Second)
	p.Converge()
	p.everywhere("GET left", `"99"`)
	p.everywhere("SCARD right", "(integer) 100")
	p.everywhere("GET own", `"v"`)
	p.RequireEqual(t)
	awaitNoStatus(t, p.b, code+" ")
}

// A server that cannot save its data refuses writes: replication breaks off for good, or goes on in part.
func TestEverythingWaitsForAServerThatCannotSave(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithConfig("save 3600 1", "stop-writes-on-bgsave-error yes")))
	do(p.b, "SET own v")
	p.Converge()
	server := redistest.Dial(t, p.Regions[1].Redis.Addr)
	inTheWay := filepath.Join(p.Regions[1].Redis.Dir, "dump.rdb")
	if err := os.Mkdir(inTheWay, 0o755); err != nil {
		t.Fatal(err)
	}
	server.Must("BGSAVE")
	wantRefused(t, server, "MISCONF", "DEL probe")
	for command, reply := range map[string]string{"GET own": `"v"`, "DBSIZE": "", "KEYS *": "", "EXISTS own": "(integer) 1"} {
		if got := p.b.Do(strings.Fields(command)...); got.IsError() || reply != "" && got.String() != reply {
			t.Errorf("%s answers %s", command, got)
		}
	}
	for _, script := range [][]string{{"EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "own"}, {"EVAL", "return redis.call('GET', KEYS[1])", "1", "own"}} {
		if got := p.b.Do(script...).String(); got != `"v"` {
			t.Errorf("%s of a script that reads answers %s", script[0], got)
		}
	}
	// What it wrote before goes on to others.
	p.troubled("MISCONF", func() {
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		server.Must("BGSAVE")
	})
}

// The disk is full in the midst of an append-only file.
func TestEverythingWaitsForAServerWhoseDiskIsFull(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithAOF(), redistest.WithConfig("appendfsync everysec")))
	p.b.Must("SET", "own", strings.Repeat("x", 1<<20)) // so that the append-only file is the largest of its files
	do(p.b, "SET own v")
	p.Converge()
	p.Regions[1].Redis.FillDisk()
	direct := redistest.Dial(t, p.Regions[1].Redis.Addr)
	for range 3 { // until something does not fit any more
		direct.Do("SETRANGE", "crdt:scratch", "100000", "x")
		direct.Do("DEL", "crdt:scratch")
	}
	wantRefused(t, direct, "MISCONF", "DEL probe")
	do(p.b, "DBSIZE")
	p.troubled("MISCONF", p.Regions[1].Redis.EmptyDisk)
}

// A fail-over behind us: the server becomes a replica and read-only, and a primary again.
func TestEverythingWaitsForAServerThatWasMadeAReplica(t *testing.T) {
	p := start(t, 2)
	do(p.b, "SET own v")
	p.Converge()
	server := redistest.Dial(t, p.Regions[1].Redis.Addr)
	server.Must("REPLICAOF", "127.0.0.1", "1")
	for i := range 100 {
		do(p.a, fmt.Sprintf("SET k %d", i))
	}
	lost := 0
	for range 100 { // at first by Redis itself, later by the proxy, which has noticed
		reply := p.b.Do("SET", "own", "w")
		if strings.Contains(reply.Text, "backend connection lost") && lost == 0 {
			lost++ // the one that was under way when it noticed
			continue
		}
		if !reply.IsError() || !strings.HasPrefix(reply.Text, "READONLY ") {
			t.Fatalf("SET answers %s", reply)
		}
		time.Sleep(20 * time.Millisecond)
	}
	server.Must("REPLICAOF", "NO", "ONE")
	p.Regions[1].Proxy().AwaitReady()
	p.b = p.Regions[1].Dial()
	p.Converge()
	p.everywhere("GET own", `"v"`)
	p.everywhere("GET k", `"99"`)
	do(p.b, "SET own again")
	p.Converge()
	p.everywhere("GET own", `"again"`)
	p.RequireEqual(t)
}

// A server that loads a large file answers nothing but LOADING.
func TestEverythingWaitsForAServerThatIsLoading(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithConfig("save 3600 1000000", "key-load-delay 5000")))
	do(p.b, "SET own v")
	for i := range 300 {
		do(p.b, fmt.Sprintf("SET k%d v", i))
	}
	p.Converge()
	loading := p.Regions[1].Redis
	restarted := make(chan struct{})
	go func() { // ends when the server has loaded everything
		defer close(restarted)
		loading.Restart()
	}()
	wantRefused(t, p.b, "LOADING", "DEL none")
	wantRefused(t, p.b, "LOADING", "GET own")
	do(p.a, "SET meanwhile v")
	<-restarted
	p.Regions[1].Proxy().AwaitReady()
	want(t, p.b, "GET own", `"v"`)
	p.Converge()
	p.everywhere("GET meanwhile", `"v"`)
	do(p.b, "SET own again")
	p.Converge()
	p.everywhere("GET own", `"again"`)
}

// A script that never ends: others are told, nothing of theirs is half done, and killing it is all that is needed.
func TestEverythingWaitsForAScriptThatDoesNotEnd(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithConfig("busy-reply-threshold 100")))
	do(p.b, "SET own v")
	p.Converge()
	long := p.Regions[1].Dial()
	if err := long.Send("EVAL", "while true do end", "0"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, p.b, "BUSY", "DEL none")
	refused(t, p.b, "BUSY", "GET own")
	for i := range 100 {
		p.a.Must("MULTI")
		p.a.Must("SET", "left", strconv.Itoa(i))
		p.a.Must("SET", "right", strconv.Itoa(i))
		p.a.Must("EXEC")
	}
	refused(t, p.b, "BUSY", "INCR n")
	refused(t, p.b, "BUSY", "CRDT STATUS")
	time.Sleep(4 * time.Second) // longer than a lease
	want(t, p.b, "SCRIPT KILL", "OK")
	if reply, err := long.Receive(); err != nil || !reply.IsError() {
		t.Errorf("the script that was killed answers %s, %v", reply, err)
	}
	wantSoon(t, p.b, "INCR n", "(integer) 1", 20*time.Second)
	p.Converge()
	p.everywhere("MGET left right own n", `["99" "99" "v" "1"]`)
	p.RequireEqual(t)
}
