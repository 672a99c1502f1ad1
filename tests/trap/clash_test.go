package trap

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// A value that is no plain number meets increments that did not know of it; each region reads it another way.
func TestIncrementsOnOddNumbersShowTheSameEverywhere(t *testing.T) {
	p := start(t, 2)
	p.PauseAll()
	odd := []string{"010", "+3", "5.0", "1e1", "0x10", "-0", ".5", "abc", "nan", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "inf", "-inf"}
	for _, value := range odd {
		do(p.a, "DECR s"+value)
		do(p.b, "SET s"+value+" "+value)
		do(p.a, "HINCRBY h "+value+" -1")
		do(p.b, "HSET h "+value+" "+value)
		do(p.a, "INCRBYFLOAT f"+value+" 0.5")
		do(p.b, "SET f"+value+" "+value)
	}
	p.Sync()
	p.RequireEqual(t)
	// The second increment brings the sum of the first region back to zero.
	for _, value := range odd {
		p.a.Do("INCR", "s"+value)
		p.a.Do("HINCRBY", "h", value, "1")
		p.a.Do("INCRBYFLOAT", "f"+value, "-0.5")
	}
	p.Sync()
	p.RequireEqual(t)
}

// The shorter of two TTLs ends the key natively in one region, though it loses in the end; what the key held there is gone.
func TestAShortTTLThatLosesTakesNothingAlong(t *testing.T) {
	p := start(t, 2)
	const tries = 20
	for i := range tries {
		do(p.b, fmt.Sprintf("INCR k%d", i))
		do(p.b, fmt.Sprintf("SADD s%d old", i))
	}
	p.Sync()
	for i := range tries {
		do(p.b, fmt.Sprintf("PEXPIREAT k%d 33177117430000", i))
		do(p.b, fmt.Sprintf("PEXPIREAT s%d 33177117430000", i))
		do(p.a, fmt.Sprintf("SADD s%d new", i))
		do(p.a, fmt.Sprintf("SET k%d w PX %s", i, strconv.Itoa(1+4*i))) // ends before, while and after the longer one arrives
		do(p.a, fmt.Sprintf("PEXPIRE s%d %d", i, 1+4*i))
	}
	p.ResumeAll()
	time.Sleep(800 * time.Millisecond)
	p.Converge()
	p.RequireEqual(t)
}

// A clash of types hides a value whose "no TTL" or TTL still counts in one region and not in the other.
func TestATTLUnderATypeClashIsTheSameEverywhere(t *testing.T) {
	p := start(t, 3)
	p.PauseAll()
	do(p.a, "SET k v")
	do(p.c, "INCRBY k 5")
	do(p.c, "EXPIRE k 1000")
	time.Sleep(5 * time.Millisecond) // the latest write decides which type is shown
	do(p.b, "ZINCRBY k -1 x")
	p.Sync()
	p.RequireEqual(t)
	do(p.c, "ZADD k NX -1 y")
	p.Sync()
	p.RequireEqual(t)
}
