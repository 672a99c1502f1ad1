package trap

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// everyType writes one key of each type that has merge rules, and names them.
var everyType = []string{"SET s v", "INCRBY n 5", "HSET h f v", "SADD set m", "ZADD z 1 m", "GEOADD g 1 1 m"}

const everyKey = "s n h set z g"

// Deleted keys come back after a reconnect when no tombstone keeps the deletion.
func TestDeletedKeysStayDeletedAfterAReconnect(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithAOF()))
	for _, command := range everyType {
		do(p.a, command)
	}
	p.Converge()
	away := p.Regions[1]
	away.Proxy().Kill()
	do(p.a, "DEL "+everyKey)
	away.Redis.Kill() // the returning region still holds the keys in its append-only file
	away.Redis.Restart()
	away.Proxy().Launch()
	away.Proxy().AwaitReady()
	p.dial()
	p.Converge()
	p.everywhere("EXISTS "+everyKey, "(integer) 0")
	p.everywhere("DBSIZE", "(integer) 0")
	for _, command := range everyType {
		do(p.b, command)
	}
	p.Converge()
	p.everywhere("EXISTS "+everyKey, "(integer) 6")
	p.RequireEqual(t)
}

// A split brain leaves different values in the two halves for good.
func TestSplitBrainEndsWithTheSameValues(t *testing.T) {
	p := start(t, 2)
	p.PauseAll()
	for i, c := range []*redistest.Conn{p.a, p.b} {
		name := "r" + strconv.Itoa(i)
		for _, command := range []string{
			"SET s " + name, "HSET h f " + name + " only" + name + " 1", "SADD set both " + name, "ZADD z " + strconv.Itoa(i) + " both 7 " + name,
			"INCRBY n 5", "APPEND text " + name, "SETRANGE range 2 " + name, "SETBIT bits " + strconv.Itoa(i+3) + " 1",
			"GEOADD g 1 " + strconv.Itoa(i) + " both", "SET ttl v EX " + strconv.Itoa(100*(i+1)), "HINCRBY h count 3", "ZINCRBY z 2.5 sum",
		} {
			do(c, command)
		}
	}
	p.Sync()
	p.RequireEqual(t)
	p.everywhere("GET n", `"10"`)
	p.everywhere("HGET h count", `"6"`)
	p.everywhere("ZSCORE z sum", `"5"`)
	p.everywhere("SCARD set", "(integer) 3")
	p.everywhere("HLEN h", "(integer) 4")
}

// INCR that travels as SET of the result loses what the other side counted meanwhile.
func TestIncrementsOfBothSidesAreAdded(t *testing.T) {
	p := start(t, 3)
	do(p.a, "SET n 100")
	do(p.a, "HSET h f 100")
	do(p.a, "ZADD z 100 m")
	p.Sync()
	for i := range 50 {
		for k, c := range []*redistest.Conn{p.a, p.b, p.c} {
			by := strconv.Itoa(i*3 + k)
			do(c, "INCRBY n "+by)
			do(c, "HINCRBY h f "+by)
			do(c, "ZINCRBY z "+by+" m")
			do(c, "INCRBYFLOAT f 0.5")
		}
	}
	p.Sync()
	sum := strconv.Itoa(100 + 149*150/2)
	p.everywhere("GET n", strconv.Quote(sum))
	p.everywhere("HGET h f", strconv.Quote(sum))
	p.everywhere("ZSCORE z m", strconv.Quote(sum))
	p.everywhere("GET f", `"75"`)
	p.RequireEqual(t)
}

// Last writer wins over whole keys drops what the other side wrote into the same collection.
func TestPartialWritesOfBothSidesSurviveInOneCollection(t *testing.T) {
	p := start(t, 2)
	do(p.a, "HSET h shared old keep 1 gone 1")
	do(p.a, "SADD set old gone")
	do(p.a, "ZADD z 1 old 2 gone")
	p.Sync()
	do(p.a, "HSET h a 1 shared fromA")
	do(p.a, "SADD set a")
	do(p.a, "ZADD z 1 a")
	do(p.b, "HSET h b 1")
	do(p.b, "HDEL h gone")
	do(p.b, "SADD set b")
	do(p.b, "SREM set gone")
	do(p.b, "ZADD z 1 b")
	do(p.b, "ZREM z gone")
	p.Sync()
	p.everywhere("HMGET h shared keep a b gone", `["fromA" "1" "1" "1" (nil)]`)
	p.everywhere("SMISMEMBER set old a b gone", "[(integer) 1 (integer) 1 (integer) 1 (integer) 0]")
	p.everywhere("ZRANGE z 0 -1", `["a" "b" "old"]`)
	p.RequireEqual(t)
}

// A type clash stays different in both regions and is only logged.
func TestATypeClashEndsTheSameEverywhere(t *testing.T) {
	p := start(t, 2)
	p.PauseAll()
	writes := []string{"SET # v", "INCRBY # 3", "HSET # f v", "SADD # m", "ZADD # 1 m"}
	for i, first := range writes {
		for k, second := range writes {
			key := fmt.Sprintf("k%d%d", i, k)
			do(p.a, strings.ReplaceAll(first, "#", key))
			do(p.b, strings.ReplaceAll(second, "#", key))
		}
	}
	p.Sync()
	shown := p.RequireEqual(t)
	if len(shown) != len(writes)*len(writes) {
		t.Errorf("%d keys after the clash, want %d", len(shown), len(writes)*len(writes))
	}
	// Whoever deletes or overwrites the shown value has not seen nothing of the hidden one.
	for i := range writes {
		for k := range writes {
			key := fmt.Sprintf("k%d%d", i, k)
			if (i+k)%2 == 0 {
				do(p.a, "DEL "+key)
			} else {
				do(p.b, "SET "+key+" w")
			}
		}
	}
	p.Sync()
	p.RequireEqual(t)
	p.everywhere("EXISTS k00 k11 k22 k33 k44 k02", "(integer) 0")
	p.everywhere("MGET k01 k12 k23 k34", `["w" "w" "w" "w"]`)
}

// Two regions break a tie each in its own favour, or the repair path breaks it another way than the live path.
func TestTiesAreBrokenTheSameEverywhere(t *testing.T) {
	p := start(t, 3)
	p.PauseAll()
	const rounds = 300
	conns := []*redistest.Conn{p.a, p.b, p.c}
	for round := range rounds {
		// All three send before any answers, so that many of the writes fall into one millisecond.
		key := "k" + strconv.Itoa(round)
		for i, c := range conns {
			name := "r" + strconv.Itoa(i)
			commands := redistest.AppendCommand(nil, "SET", key, name)
			commands = redistest.AppendCommand(commands, "HSET", "h", key, name)
			commands = redistest.AppendCommand(commands, "ZADD", "z", strconv.Itoa(i), key)
			if err := c.SendRaw(commands); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range conns {
			for range 3 {
				if _, err := c.Receive(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	p.Sync()
	p.RequireEqual(t)
}

// Binary values are cut at their first zero byte on the way to the other region.
func TestBinaryValuesArriveWhole(t *testing.T) {
	p := start(t, 2)
	all := make([]byte, 512)
	for i := range all {
		all[i] = byte(i)
	}
	value := "\x00" + string(all) + "\x00"
	for _, command := range [][]string{
		{"SET", "s" + value, value},
		{"HSET", "h" + value, value, value, "", "empty field", "f", ""},
		{"SADD", "set" + value, value, "", "\x00", "\x00\x00"},
		{"ZADD", "z" + value, "1", value, "2", "", "3", "\x00"},
		{"HINCRBY", "h" + value, "\x00", "5"},
		{"ZINCRBY", "z" + value, "5", "\x00\xff"},
		{"INCR", "n" + value},
		{"APPEND", "s2", "\r\n$5\r\n"},
		{"SET", "", "empty key"},
	} {
		p.a.Must(command...)
	}
	p.Converge()
	p.RequireEqual(t)
	if got := p.b.Must("GET", "s"+value).Text; got != value {
		t.Errorf("%d of %d bytes arrived", len(got), len(value))
	}
	want(t, p.b, "DBSIZE", "(integer) 7")
	p.b.Must("DEL", "s"+value, "h"+value, "set"+value, "z"+value, "n"+value, "s2", "")
	p.Converge()
	p.everywhere("DBSIZE", "(integer) 0")
}
