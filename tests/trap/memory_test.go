package trap

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

const outOfMemory = "OOM command not allowed when used memory > 'maxmemory'."

// maxmemory is ignored, or a full server stops answering what needs no memory.
func TestAFullServerRefusesWhatNeedsMemoryAndServesTheRest(t *testing.T) {
	p := start(t, 2)
	for _, command := range []string{"SET k v", "SADD s a b c", "RPUSH l 1 2 3", "HSET h f v g w", "ZADD z 1 m", "SET ttl v"} {
		do(p.b, command)
	}
	p.Converge()
	full := redistest.Dial(t, p.Regions[1].Redis.Addr)
	full.Must("CONFIG", "SET", "maxmemory", "1mb")
	awaitStatus(t, p.b, "refused by Redis: "+outOfMemory)

	for _, command := range []string{"SET k w", "APPEND k w", "SADD s d", "INCR n", "RPUSH l 4", "MSET k w m w", "XADD x * f v", "RENAME k m", "PFADD p x"} {
		if reply := p.b.Do(strings.Fields(command)...); command != "RENAME k m" && (!reply.IsError() || reply.Text != outOfMemory) {
			t.Errorf("%s answers %s", command, reply)
		}
	}
	do(p.b, "RENAME m k") // Redis renames without memory, and so do we
	for command, reply := range map[string]string{
		"GET k": `"v"`, "SCARD s": "(integer) 3", "LRANGE l 0 -1": `["1" "2" "3"]`, "HGETALL h": `["f" "v" "g" "w"]`, "EXISTS x n p m": "(integer) 0",
		"DBSIZE": "(integer) 6", "OBJECT ENCODING l": `"listpack"`,
	} {
		if command == "OBJECT ENCODING l" {
			do(p.b, command)
			continue
		}
		want(t, p.b, command, reply)
	}
	// Scripts that only read, or only remove.
	if got := p.b.Must("EVAL", "return redis.call('GET', KEYS[1])", "1", "k").String(); got != `"v"` {
		t.Errorf("a script that reads answers %s", got)
	}
	if got := p.b.Must("EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "k").String(); got != `"v"` {
		t.Errorf("EVAL_RO answers %s", got)
	}
	if got := p.b.Must("EVAL", "return redis.call('SREM', KEYS[1], 'a')", "1", "s").Int(); got != 1 {
		t.Errorf("a script that removes answers %d", got)
	}
	if reply := p.b.Do("EVAL", "redis.call('SREM', KEYS[1], 'b') return redis.call('SADD', KEYS[1], 'new')", "1", "s"); !reply.IsError() || !strings.HasPrefix(reply.Text, "OOM ") {
		t.Errorf("a script that adds answers %s", reply)
	}
	// A transaction is refused as a whole, when it is queued, as by Redis.
	for _, step := range [][2]string{{"MULTI", `"OK"`}, {"SET k w", ""}, {"DEL h", ""}, {"EXEC", ""}} {
		reply := p.b.Do(strings.Fields(step[0])...)
		if step[1] == "" && !reply.IsError() {
			t.Errorf("%s in a transaction answers %s", step[0], reply)
		}
	}
	want(t, p.b, "HLEN h", "(integer) 2")
	for _, step := range [][2]string{
		{"DEL h", "(integer) 1"}, {"LPOP l", `"1"`}, {"SPOP s 1", ""}, {"EXPIRE ttl 1000", "(integer) 1"}, {"PERSIST ttl", "(integer) 1"}, {"ZREM z m", "(integer) 1"},
	} {
		if got := do(p.b, step[0]).String(); step[1] != "" && got != step[1] {
			t.Errorf("%s answers %s", step[0], got)
		}
	}

	// What others write waits, and nothing of it shows before it can be applied whole.
	for i := range 200 {
		p.a.Must("MULTI")
		p.a.Must("SET", "left", strconv.Itoa(i))
		p.a.Must("SET", "right", strconv.Itoa(i))
		p.a.Must("EXEC")
	}
	awaitStatus(t, p.b, "stalled")
	want(t, p.b, "EXISTS left right", "(integer) 0")
	full.Must("CONFIG", "SET", "maxmemory", "0")
	p.Converge()
	p.everywhere("MGET left right", `["199" "199"]`)
	p.everywhere("LRANGE l 0 -1", `["2" "3"]`)
	p.RequireEqual(t)
	awaitNoStatus(t, p.b, "refused by Redis")
}

// A full server cannot even collect its garbage, so it stays full.
func TestCollectionGoesOnWhileMemoryIsShort(t *testing.T) {
	p := start(t, 2, redistest.WithFlags("--gc-grace", "6s"))
	for i := range 300 {
		do(p.a, fmt.Sprintf("SADD s%d a b c", i))
	}
	p.Converge()
	var servers []*redistest.Conn
	for _, region := range p.Regions {
		servers = append(servers, redistest.Dial(t, region.Redis.Addr))
	}
	for i := range 300 {
		do(p.a, fmt.Sprintf("DEL s%d", i))
	}
	p.Converge()
	for _, server := range servers {
		want(t, server, "HGET crdt:count 0", `"300"`) // the tombstones
		server.Must("CONFIG", "SET", "maxmemory", "1mb")
	}
	for _, server := range servers {
		wantSoon(t, server, "HGET crdt:count 0", `"0"`, 40*time.Second)
		server.Must("CONFIG", "SET", "maxmemory", "0")
	}
}

// Eviction takes data in one region only, and the regions differ until somebody touches the key.
func TestEvictedKeysEndInAllRegionsWithoutATouch(t *testing.T) {
	p := start(t, 2)
	server := redistest.Dial(t, p.Regions[0].Redis.Addr)
	do(p.a, "SET stays v")
	p.Converge()
	used := serverInfo(t, server, "memory", "used_memory")
	server.Must("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	server.Must("CONFIG", "SET", "maxmemory", strconv.FormatInt(used+6<<20, 10))
	value := strings.Repeat("x", 2000)
	for i := range 3000 {
		switch i % 3 {
		case 0:
			p.a.Must("SET", fmt.Sprintf("k%d", i), value, "EX", "10000")
		case 1:
			key := fmt.Sprintf("h%d", i)
			p.a.Must("HSET", key, "f", value)
			p.a.Must("EXPIRE", key, "10000")
		case 2:
			key := fmt.Sprintf("l%d", i)
			p.a.Must("RPUSH", key, value)
			p.a.Must("EXPIRE", key, "10000")
		}
		if i%50 == 49 && serverInfo(t, server, "stats", "evicted_keys") > 100 {
			break
		}
	}
	server.Must("CONFIG", "SET", "maxmemory", "0")
	evicted := serverInfo(t, server, "stats", "evicted_keys")
	if evicted < 100 {
		t.Fatalf("only %d keys were evicted", evicted)
	}
	p.Converge()
	left := do(p.a, "DBSIZE").String()
	wantSoon(t, p.b, "DBSIZE", left, 30*time.Second)
	p.Converge()
	p.RequireEqual(t)
	want(t, p.b, "GET stays", `"v"`)
	for deadline := time.Now().Add(10 * time.Second); infoNumber(t, p.a, "crdt_keys_evicted") != evicted; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d keys were evicted, INFO tells of %d", evicted, infoNumber(t, p.a, "crdt_keys_evicted"))
		}
	}
	// Names that were evicted can be used again, with what they are then.
	for i := 0; ; i += 3 {
		if key := fmt.Sprintf("k%d", i); do(p.b, "EXISTS "+key).Int() == 0 {
			do(p.b, "SADD "+key+" m")
			p.Converge()
			p.everywhere("SMEMBERS "+key, `["m"]`)
			break
		}
	}
}

// serverInfo is a number in a section of INFO.
func serverInfo(t *testing.T, c *redistest.Conn, section, name string) int64 {
	t.Helper()
	for line := range strings.Lines(c.Must("INFO", section).Text) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	t.Fatalf("INFO %s has no number %s", section, name)
	return 0
}

// Eviction takes metadata: a volatile policy takes only keys with a TTL, so none of ours may have one.
func TestNoMetadataCanBeEvictedUnderAVolatilePolicy(t *testing.T) {
	p := start(t, 2)
	p.PauseAll() // no group of one region is there yet when the other one creates its own
	for _, command := range []string{"SET k v EX 1000", "SADD s a", "EXPIRE s 1000", "RPUSH l a b", "EXPIRE l 1000", "LSET l 0 c", "INCR n", "EXPIRE n 1000",
		"XADD x * f v", "XGROUP CREATE x g 0", "EXPIRE x 1000", "PFADD p a", "EXPIRE p 1000", "SET t1 v", "DEL t1"} {
		do(p.a, command)
		do(p.b, command)
	}
	p.ResumeAll()
	p.Converge()
	for _, region := range p.Regions {
		server := redistest.Dial(t, region.Redis.Addr)
		ours := 0
		for _, name := range server.Must("KEYS", "crdt:*").Items {
			ours++
			if ttl := server.Must("PTTL", name.Text).Int(); ttl >= 0 {
				t.Errorf("%s: %s has a TTL of %d ms", region.Name, name.Text, ttl)
			}
		}
		if ours < 10 {
			t.Errorf("%s: only %d keys of our own were looked at", region.Name, ours)
		}
	}
}

// A policy that would evict metadata is set while everything runs.
func TestAnUnsafePolicyIsRefusedAndBehindOurBackAlarms(t *testing.T) {
	p := start(t, 2)
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "ALLKEYS-LRU"} {
		if reply := p.a.Do("CONFIG", "SET", "maxmemory-policy", policy); !reply.IsError() || !strings.Contains(reply.Text, "evict") {
			t.Errorf("CONFIG SET maxmemory-policy %s answers %s", policy, reply)
		}
	}
	for _, policy := range []string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "noeviction"} {
		p.a.Must("CONFIG", "SET", "maxmemory-policy", policy)
	}
	server := redistest.Dial(t, p.Regions[0].Redis.Addr)
	server.Must("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	awaitStatus(t, p.a, "maxmemory-policy is allkeys-random: Redis may evict the metadata")
	if n := infoNumber(t, p.a, "crdt_alarms"); n != 1 {
		t.Errorf("%d alarms in INFO", n)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.Regions[0].Proxy().Log(), `"maxmemory_policy":"allkeys-random"`); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the log does not tell of the policy")
		}
	}
	do(p.a, "SET k v") // nothing is lost yet, so it goes on
	p.Converge()
	server.Must("CONFIG", "SET", "maxmemory-policy", "noeviction")
	awaitNoStatus(t, p.a, "maxmemory-policy")
	p.everywhere("GET k", `"v"`)
}
