package trap

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// effectsNaming counts the entries of a region's log that carry effects and name the key.
func effectsNaming(t *testing.T, region *redistest.Region, key string) int {
	t.Helper()
	count := 0
	for _, entry := range redistest.Dial(t, region.Redis.Addr).Must("XRANGE", "crdt:log", "-", "+").Items {
		for i, field := range entry.Items[1].Items {
			// The body's second byte pair is its kind, "e" for effects; "f" records name nothing.
			if i%2 == 0 && field.Text == "b" {
				body := entry.Items[1].Items[i+1].Text
				if strings.Contains(body[:min(6, len(body))], "\xa1e") && strings.Contains(body, key) {
					count++
				}
			}
		}
	}
	return count
}

// Every region sends its own delete when a key expires.
func TestOneRegionAloneSendsTheDeleteOfAnExpiredKey(t *testing.T) {
	p := start(t, 2)
	p.Converge() // the first links are up
	do(p.a, "SET a-key-of-its-own v PX 3000")
	p.Converge()
	want(t, p.b, "GET a-key-of-its-own", `"v"`)
	time.Sleep(4200 * time.Millisecond)
	p.Converge()
	p.everywhere("EXISTS a-key-of-its-own", "(integer) 0")
	if n := effectsNaming(t, p.Regions[0], "a-key-of-its-own"); n != 2 {
		t.Errorf("the owner logged %d effects, want the write and the delete", n)
	}
	if n := effectsNaming(t, p.Regions[1], "a-key-of-its-own"); n != 0 {
		t.Errorf("the other region logged %d effects for a key that it never touched", n)
	}
}

// The tombstone of an expired key carries the wrong time, and swallows a write that came after the expiry.
func TestAWriteAfterTheExpiryIsNotLost(t *testing.T) {
	p := start(t, 2)
	for i := range 10 {
		do(p.a, fmt.Sprintf("SET k%d old PX 200", i))
		do(p.a, fmt.Sprintf("SADD s%d old", i))
		do(p.a, fmt.Sprintf("PEXPIRE s%d 200", i))
	}
	p.Converge()
	p.PauseAll()
	time.Sleep(260 * time.Millisecond)
	for i := range 10 {
		if i%2 == 0 {
			time.Sleep(30 * time.Millisecond) // before and after the owner has turned the expiry into a delete
		}
		do(p.b, fmt.Sprintf("SET k%d new", i))
		do(p.b, fmt.Sprintf("SADD s%d new", i))
	}
	p.Sync()
	for i := range 10 {
		p.everywhere(fmt.Sprintf("GET k%d", i), `"new"`)
		p.everywhere(fmt.Sprintf("SMEMBERS s%d", i), `["new"]`)
		p.everywhere(fmt.Sprintf("TTL k%d", i), "(integer) -1")
	}
	p.RequireEqual(t)
}

// A key expires natively just before a longer TTL arrives from another region.
func TestALongerTTLThatArrivesLateBringsTheKeyBack(t *testing.T) {
	p := start(t, 2)
	p.Converge()
	do(p.a, "SET s v")
	do(p.a, "HSET h f v g w")
	do(p.a, "SADD set m n")
	do(p.a, "ZADD z 1 m 2 n")
	do(p.a, "INCRBY n 5")
	keys := strings.Fields("s h set z n")
	for _, key := range keys {
		do(p.a, "PEXPIRE "+key+" 3000")
	}
	p.Sync()
	for _, key := range keys {
		do(p.a, "EXPIRE "+key+" 1000") // the owner extends its own TTL, which the other region cannot know yet
	}
	time.Sleep(3300 * time.Millisecond)
	want(t, p.b, "EXISTS s h set z n", "(integer) 0")
	p.Sync()
	p.everywhere("EXISTS s h set z n", "(integer) 5")
	p.RequireEqual(t)
	for _, key := range keys {
		if ttl := do(p.b, "TTL "+key).Int(); ttl < 900 {
			t.Errorf("%s has a TTL of %d in the other region", key, ttl)
		}
	}
	p.everywhere("HMGET h f g", `["v" "w"]`)
	p.everywhere("GET n", `"5"`)
	do(p.b, "INCR n")
	do(p.a, "INCR n")
	p.Sync()
	p.everywhere("GET n", `"7"`)
}

// The same at moments all around the deadline, with PERSIST and rewrites, from either side: whatever the outcome, it
// must be one.
func TestTTLChangesAroundTheDeadlineConverge(t *testing.T) {
	p := start(t, 2)
	const keys = 60
	for i := range keys {
		do(p.a, fmt.Sprintf("SET k%d v PX 400", i))
		do(p.a, fmt.Sprintf("HSET h%d f v", i))
		do(p.a, fmt.Sprintf("PEXPIRE h%d 400", i))
	}
	p.Converge()
	began := time.Now()
	for i := range keys {
		time.Sleep(time.Until(began.Add(time.Duration(i*10) * time.Millisecond)))
		c := []*redistest.Conn{p.a, p.b}[i%2]
		switch i % 3 {
		case 0:
			c.Must("EXPIRE", "k"+strconv.Itoa(i), "1000")
			c.Must("EXPIRE", "h"+strconv.Itoa(i), "1000")
		case 1:
			c.Must("PERSIST", "k"+strconv.Itoa(i))
			c.Must("PERSIST", "h"+strconv.Itoa(i))
		case 2:
			c.Must("APPEND", "k"+strconv.Itoa(i), "w")
			c.Must("HSET", "h"+strconv.Itoa(i), "g", "w")
		}
	}
	time.Sleep(1500 * time.Millisecond) // let every remaining short TTL end and be turned into a delete
	p.Converge()
	p.RequireEqual(t)
}

// A shorter TTL set later loses against a longer one that it had not seen, and must not end the key.
func TestTheLosingTTLDoesNotEndTheKey(t *testing.T) {
	p := start(t, 2)
	do(p.a, "SET k v")
	p.Sync()
	do(p.b, "EXPIRE k 1000")
	time.Sleep(5 * time.Millisecond)
	do(p.a, "PEXPIRE k 2000")
	p.Sync()
	p.ResumeAll()
	time.Sleep(2500 * time.Millisecond)
	p.Converge()
	p.everywhere("GET k", `"v"`)
	p.RequireEqual(t)
}

// DEBUG SET-ACTIVE-EXPIRE 0 keeps keys that are due until somebody asks for them, as on Redis.
func TestKeysStayWhileActiveExpireIsOff(t *testing.T) {
	p := start(t, 1)
	want(t, p.a, "DEBUG SET-ACTIVE-EXPIRE 0", "OK")
	for _, key := range []string{"a", "b", "c"} {
		want(t, p.a, "PSETEX "+key+" 50 v", "OK")
	}
	time.Sleep(600 * time.Millisecond)
	want(t, p.a, "DBSIZE", "(integer) 3")
	want(t, p.a, "MGET a b c", "[(nil) (nil) (nil)]")
	want(t, p.a, "DBSIZE", "(integer) 0")
	want(t, p.a, "PSETEX a 50 v", "OK")
	want(t, p.a, "DEBUG SET-ACTIVE-EXPIRE 1", "OK")
	wantSoon(t, p.a, "DBSIZE", "(integer) 0", 5*time.Second)
}
