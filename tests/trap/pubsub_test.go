package trap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// listen subscribes a new connection through a proxy.
func listen(t *testing.T, addr string, subscription string) *redistest.Conn {
	t.Helper()
	c := redistest.Dial(t, addr)
	do(c, subscription)
	return c
}

func hears(t *testing.T, who string, c *redistest.Conn, want string) {
	t.Helper()
	got, err := c.ReceiveWithin(10 * time.Second)
	if err != nil || got.String() != want {
		t.Errorf("%s heard %s, %v; want %s", who, got, err, want)
	}
}

// Each message arrives once in each region, whichever proxies the subscriber, the publisher and the peers are connected to; what
// the proxies tell each other is never heard.
func TestPublishedMessagesArriveOnceInEachRegion(t *testing.T) {
	p := start(t, 3, redistest.WithProxies(2))
	p.Converge()
	type listener struct {
		who  string
		conn *redistest.Conn
		head string
	}
	var listeners []listener
	for _, region := range p.Regions {
		for i, proxy := range region.Proxies {
			who := fmt.Sprint(region.Name, i+1)
			listeners = append(listeners,
				listener{who + " channel", listen(t, proxy.Addr, "SUBSCRIBE news"), `["message" "news" `},
				listener{who + " pattern", listen(t, proxy.Addr, "PSUBSCRIBE *"), `["pmessage" "*" "news" `},
				listener{who + " shard", listen(t, proxy.Addr, "SSUBSCRIBE news"), `["smessage" "news" `})
		}
	}
	const rounds = 20
	for n := range rounds {
		for _, region := range p.Regions {
			for i, proxy := range region.Proxies {
				c := redistest.Dial(t, proxy.Addr)
				// The reply is about this region alone: two channel and two pattern subscribers, two of the shard channel.
				want(t, c, fmt.Sprintf("PUBLISH news %s%d.%d", region.Name, i+1, n), "(integer) 4")
				want(t, c, fmt.Sprintf("SPUBLISH news %s%d.%d", region.Name, i+1, n), "(integer) 2")
				c.Close()
			}
		}
	}
	for _, l := range listeners {
		next := map[string]int{}
		for range rounds * 6 {
			got, err := l.conn.ReceiveWithin(10 * time.Second)
			text, ours := strings.CutPrefix(got.String(), l.head)
			if err != nil || !ours {
				t.Fatalf("%s heard %s, %v", l.who, got, err)
			}
			from, number, _ := strings.Cut(strings.Trim(text, `"]`), ".")
			if number != fmt.Sprint(next[from]) {
				t.Fatalf("%s heard %s, want number %d from %s", l.who, got, next[from], from)
			}
			next[from]++
		}
	}
	time.Sleep(300 * time.Millisecond) // a message that goes in circles would have come again
	for _, l := range listeners {
		if got, err := l.conn.ReceiveWithin(time.Millisecond); err == nil {
			t.Errorf("%s also heard %s", l.who, got)
		}
	}
	want(t, p.a, "PUBSUB SHARDCHANNELS", `["news"]`)
	want(t, p.a, "PUBSUB CHANNELS", `["news"]`)
	for _, command := range []string{"SPUBLISH crdt:messages x", "SSUBSCRIBE crdt:messages", "SSUBSCRIBE news crdt:wake"} {
		want(t, p.a, command, "(error) ERR shard channel names starting with 'crdt:' are reserved")
	}
}

func TestMessagesWaitForAPausedRegion(t *testing.T) {
	p := start(t, 2)
	p.Converge()
	heard := listen(t, p.Regions[1].Proxy().Addr, "SUBSCRIBE news")
	p.PauseAll()
	for n := range 50 {
		do(p.a, fmt.Sprint("PUBLISH news ", n))
	}
	large := strings.Repeat("x", 1<<20)
	do(p.a, "PUBLISH news "+large)
	if got, err := heard.ReceiveWithin(300 * time.Millisecond); err == nil {
		t.Fatalf("heard %s from a paused region", got)
	}
	p.ResumeAll()
	for n := range 50 {
		hears(t, "B", heard, fmt.Sprintf(`["message" "news" "%d"]`, n))
	}
	if got, err := heard.ReceiveWithin(10 * time.Second); err != nil || got.Strings()[2] != large {
		t.Errorf("the large message: %d bytes, %v", len(got.Raw), err)
	}
	// What is too large for the link stays in its region, and harms nothing.
	do(p.a, "PUBLISH news "+strings.Repeat("x", 5<<20))
	do(p.a, "PUBLISH news last")
	hears(t, "B", heard, `["message" "news" "last"]`)
}
