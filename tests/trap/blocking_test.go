package trap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// waits sends a command that has nothing to find, and returns when its client waits in it.
func waits(t *testing.T, addr, command string) *redistest.Conn {
	t.Helper()
	c := redistest.Dial(t, addr)
	id := c.Must("CLIENT", "ID").Text
	if err := c.Send(strings.Fields(command)...); err != nil {
		t.Fatal(err)
	}
	by := redistest.Dial(t, addr)
	defer by.Close()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(by.Must("CLIENT", "LIST", "ID", id).Text, " flags=b ") {
			return c
		}
	}
	t.Fatalf("%s does not wait", command)
	return nil
}

// A blocked pop that goes to Redis itself would be served past the engine, and the element would come back from the
// other regions. It must see what other regions and other proxies write, and its pop must reach them.
func TestWaitingClientsAreServedByAllRegionsAndProxies(t *testing.T) {
	p := start(t, 2, redistest.WithProxies(2))
	p.Converge()
	for i, proxy := range p.Regions[0].Proxies {
		for j, region := range p.Regions {
			for k, other := range region.Proxies {
				by := redistest.Dial(t, other.Addr)
				name := fmt.Sprintf("%d%d%d", i, j, k)
				z := waits(t, proxy.Addr, "BZPOPMIN none z"+name+" 0")
				l := waits(t, proxy.Addr, "BLMOVE l"+name+" moved"+name+" LEFT RIGHT 0")
				chained := waits(t, proxy.Addr, "BLPOP moved"+name+" 0")
				do(by, "ZADD z"+name+" 1 m")
				do(by, "RPUSH l"+name+" v")
				hears(t, "BZPOPMIN", z, `["z`+name+`" "m" "1"]`)
				hears(t, "BLMOVE", l, `"v"`)
				hears(t, "BLPOP", chained, `["moved`+name+`" "v"]`)
			}
		}
	}
	p.Converge()
	p.everywhere("DBSIZE", "(integer) 0")
}

// In each region one client gets the element when both wait for it: pops are at least once across regions. What is left
// is the same everywhere.
func TestTwoRegionsWaitForTheSame(t *testing.T) {
	p := start(t, 2)
	p.Converge()
	a, b := waits(t, p.Regions[0].Proxy().Addr, "BLPOP l 0"), waits(t, p.Regions[1].Proxy().Addr, "BLPOP l 0")
	p.PauseAll()
	do(p.a, "RPUSH l x y")
	do(p.b, "RPUSH l z")
	hears(t, "A", a, `["l" "x"]`)
	hears(t, "B", b, `["l" "z"]`)
	p.ResumeAll()
	p.Converge()
	p.everywhere("LRANGE l 0 -1", `["y"]`)
}

func TestAKilledProxyTakesNothingForItsWaitingClients(t *testing.T) {
	p := start(t, 1, redistest.WithProxies(2))
	proxies := p.Regions[0].Proxies
	waits(t, proxies[0].Addr, "BLPOP l 0")
	waits(t, proxies[0].Addr, "BLPOP l 0")
	stays := waits(t, proxies[1].Addr, "BLPOP l 0")
	proxies[0].Kill()
	by := redistest.Dial(t, proxies[1].Addr)
	do(by, "RPUSH l a b")
	hears(t, "the other proxy's client", stays, `["l" "a"]`)
	want(t, by, "LRANGE l 0 -1", `["b"]`)
}
