package trap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// What another region writes invalidates the caches of clients here and is announced here, and nothing that a client hears of it
// names a key of Anabranch's own, also not when metadata is collected or a key expires.
func TestRemoteWritesAreHeardAndMetadataIsNot(t *testing.T) {
	p := start(t, 2)
	p.Converge()
	do(p.b, "CONFIG SET notify-keyspace-events KEA")
	region := p.Regions[1]
	cache, everything, events := region.Dial(), region.Dial(), region.Dial()
	for _, c := range []*redistest.Conn{cache, everything} {
		do(c, "HELLO 3")
	}
	do(cache, "CLIENT TRACKING ON")
	do(everything, "CLIENT TRACKING ON BCAST")
	do(events, "PSUBSCRIBE __key*__:*")
	do(cache, "MGET k n h s z")
	for _, command := range []string{"SET k v", "INCR n", "HSET h f v", "SADD s m", "ZADD z 1 m"} {
		do(p.a, command)
	}
	invalid := map[string]bool{}
	for len(invalid) < 5 {
		message, err := cache.ReceiveWithin(20 * time.Second)
		if err != nil {
			t.Fatalf("after %v: %v", invalid, err)
		}
		invalid[message.Items[1].Items[0].Text] = true
	}
	do(p.a, "SET short v PX 50")
	do(p.a, "DEL k n h s z")
	p.Converge()
	do(p.a, "SET last 1")
	for name, c := range map[string]*redistest.Conn{"invalidations": everything, "events": events} {
		heard := ""
		for !strings.Contains(heard, `"last"`) {
			message, err := c.ReceiveWithin(20 * time.Second)
			if err != nil {
				t.Fatalf("%s: %v after %s", name, err, heard)
			}
			heard += fmt.Sprintln(message)
		}
		if strings.Contains(heard, "crdt:") {
			t.Errorf("%s name metadata: %s", name, heard)
		}
		for key := range invalid {
			if !strings.Contains(heard, `"`+key+`"`) {
				t.Errorf("%s do not name %s: %s", name, key, heard)
			}
		}
	}
}
