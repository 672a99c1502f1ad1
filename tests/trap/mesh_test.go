package trap

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// In a mesh of six, memory and traffic run away after a reconnect: each region passes on what it gets, and asks all for everything.
func TestAMeshOfSixThatReconnectsDoesNotRunAway(t *testing.T) {
	const (
		count  = 6
		storms = 3
		rounds = 40  // of writes in each storm, in each region
		size   = 600 // bytes that nothing makes smaller
	)
	p := start(t, count, redistest.WithRelays())
	conns := make([]*redistest.Conn, count)
	var relays []*redistest.Relay
	for i, region := range p.Regions {
		conns[i] = region.Dial()
		for _, other := range p.Regions {
			relays = append(relays, p.Relays(region.Name, other.Name)...)
		}
	}
	carried := func() (n int64) {
		for _, relay := range relays {
			n += relay.Carried()
		}
		return n
	}
	disturb := func(trouble redistest.Trouble) {
		for _, relay := range relays {
			relay.Set(trouble)
		}
	}
	p.Converge()
	before, taken := carried(), make([]int64, count)
	for i, region := range p.Regions {
		taken[i] = inputBytes(t, region)
	}
	written := int64(0)
	write := func(storm int) {
		for round := range rounds {
			for _, c := range conns {
				value := make([]byte, size/4*3)
				_, _ = rand.Read(value)
				commands := [][]string{
					{"INCR", "n"}, {"SET", "k" + strconv.Itoa(round), base64.StdEncoding.EncodeToString(value)}, {"SADD", "s", strconv.Itoa(storm*rounds + round)},
				}
				replies, err := c.Pipeline(commands)
				if err != nil {
					t.Fatal(err)
				}
				for i, reply := range replies {
					if reply.IsError() {
						t.Fatalf("%v: %s", commands[i], reply)
					}
				}
				written += size
			}
		}
	}
	for storm := range storms {
		disturb(redistest.Trouble{Cut: true})
		write(storm)
		for _, pause := range []time.Duration{30, 120} { // catching up is cut off, too
			disturb(redistest.Trouble{})
			time.Sleep(pause * time.Millisecond)
			disturb(redistest.Trouble{Cut: true})
		}
		disturb(redistest.Trouble{})
		p.Converge()
	}
	for _, c := range conns {
		want(t, c, "GET n", strconv.Quote(strconv.Itoa(storms*rounds*count)))
		want(t, c, "SCARD s", "(integer) "+strconv.Itoa(storms*rounds))
	}
	p.RequireEqual(t)
	// Each value goes over five links, once, and in part again where a link was cut in the midst of it.
	const links = count - 1
	got := carried() - before
	t.Logf("%d bytes written, %d on the wire: %.1f times on each of the %d links that each has to go over", written, got, float64(got)/float64(links*written), links)
	if most := 2*links*written + mib/2; got > most {
		t.Errorf("%d bytes went over the links for %d bytes written: more than %d", got, written, most)
	}
	for i, region := range p.Regions {
		got, most := inputBytes(t, region)-taken[i], 2*written+mib
		t.Logf("region %s: its server received %d bytes", region.Name, got)
		if got > most {
			t.Errorf("region %s: its server received %d bytes for %d bytes written: more than %d", region.Name, got, written, most)
		}
		wantMemory(t, region.Proxy(), 100*mib)
	}
	quiet := carried()
	const watched = time.Second
	time.Sleep(watched)
	if rate := (carried() - quiet) / int64(watched/time.Second); rate > 150_000 {
		t.Errorf("%d bytes a second go over the links while nobody writes", rate)
	} else {
		t.Logf("%d bytes a second while nobody writes", rate)
	}
}
