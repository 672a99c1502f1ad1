package trap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

const mib = 1 << 20

// wantMemory asserts that a proxy has never had more memory than that.
func wantMemory(t *testing.T, p *redistest.Proxy, limit int64) {
	t.Helper()
	peak := p.PeakMemory()
	t.Logf("the proxy had %d MiB at most", peak/mib)
	if peak > limit*redistest.MemoryFactor() {
		t.Errorf("the proxy had %d MiB, more than %d", peak/mib, limit/mib)
	}
}

// probing has a client of its own write and read until stop is called, which logs how long that took. Any error fails the test.
func probing(t *testing.T, p *redistest.Proxy) (stop func()) {
	t.Helper()
	c := p.Dial()
	var took []time.Duration
	end, done := make(chan struct{}), make(chan error, 1)
	go func() { // ends with stop
		for i := 0; ; i++ {
			select {
			case <-end:
				done <- nil
				return
			default:
			}
			began := time.Now()
			for _, args := range [][]string{{"SET", "probe", strconv.Itoa(i)}, {"GET", "probe"}} {
				if reply, err := c.Try(args...); err != nil || reply.IsError() {
					done <- fmt.Errorf("%v: %s, %v", args, reply, err)
					return
				}
			}
			took = append(took, time.Since(began))
			time.Sleep(time.Millisecond)
		}
	}()
	return func() {
		t.Helper()
		close(end)
		if err := <-done; err != nil {
			t.Errorf("another client: %v", err)
		}
		slices.Sort(took)
		if n := len(took); n > 0 {
			t.Logf("another client: %d probes, median %v, 99 %% %v, slowest %v", n, took[n/2], took[n*99/100], took[n-1])
		}
	}
}

// A client that does not read its replies fills the proxy's memory, or stops everybody.
func TestAClientThatDoesNotReadCostsNobodyElse(t *testing.T) {
	p := start(t, 1, redistest.WithFlags("--output-limit", "32mb"))
	p.a.Must("SET", "big", strings.Repeat("x", mib))
	stop := probing(t, p.Regions[0].Proxy())
	slow := p.Regions[0].Dial()
	var request []byte
	for range 300 {
		request = redistest.AppendCommand(request, "GET", "big")
	}
	if err := slow.SendRaw(request); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if clients := strings.Count(p.a.Must("CLIENT", "LIST").Text, "\n"); clients == 2 { // this one, and the one that probes
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the client that does not read is still there")
		}
	}
	stop()
	wantMemory(t, p.Regions[0].Proxy(), 200*mib)
}

// A peer that does not read has its region's log pile up in the proxies of others.
func TestAPeerThatDoesNotReadCostsNoMemory(t *testing.T) {
	p := start(t, 2)
	do(p.a, "SET k v")
	p.Converge()
	p.Regions[1].Proxy().Pause()
	stop := probing(t, p.Regions[0].Proxy())
	value := strings.Repeat("x", mib)
	for i := range 200 {
		p.a.Must("SET", fmt.Sprintf("k%d", i%50), value)
	}
	stop()
	wantMemory(t, p.Regions[0].Proxy(), 200*mib)
	p.Regions[1].Proxy().Continue()
	p.Converge()
	p.RequireEqual(t)
	wantMemory(t, p.Regions[1].Proxy(), 300*mib)
}

// What piled up while a peer was away is read all at once when it comes back.
func TestALogOfLargeValuesIsReadPieceByPiece(t *testing.T) {
	p := start(t, 2, redistest.WithFlags("--gc-grace", "1s"))
	do(p.a, "SET k v")
	p.Converge()
	p.Regions[1].Proxy().Kill()
	for i := range 2000 {
		do(p.a, fmt.Sprintf("SET small%d v", i))
	}
	value := strings.Repeat("x", mib)
	for i := range 300 {
		p.a.Must("SET", fmt.Sprintf("large%d", i%100), value)
	}
	p.Regions[1].Proxy().Launch()
	p.Regions[1].Proxy().AwaitReady()
	p.dial()
	stop := probing(t, p.Regions[0].Proxy())
	p.Converge()
	stop()
	p.Converge()
	p.RequireEqual(t)
	for _, region := range p.Regions {
		wantMemory(t, region.Proxy(), 200*mib)
	}
}

// A huge value stops a link for good, or its pieces stay in memory.
func TestAHugeValueArrives(t *testing.T) {
	p := start(t, 2)
	stopA, stopB := probing(t, p.Regions[0].Proxy()), probing(t, p.Regions[1].Proxy())
	value := strings.Repeat("0123456789", 10*mib)
	p.a.Must("SET", "huge", value)
	p.a.Must("APPEND", "huge", "!")
	wantSoon(t, p.b, "STRLEN huge", fmt.Sprintf("(integer) %d", len(value)+1), 90*time.Second)
	stopA()
	stopB()
	p.Converge()
	p.everywhere("STRLEN huge", fmt.Sprintf("(integer) %d", len(value)+1))
	p.RequireEqual(t)
	for _, region := range p.Regions {
		wantMemory(t, region.Proxy(), 1500*mib)
	}
}

// A set of a million members is deleted while another region adds to it.
func TestALargeSetIsDeletedWhileAnotherRegionAddsToIt(t *testing.T) {
	p := start(t, 2)
	const members = 1_000_000
	for from := 0; from < members; from += 5000 {
		args := []string{"SADD", "big"}
		for i := from; i < from+5000; i++ {
			args = append(args, strconv.Itoa(i))
		}
		p.a.Must(args...)
	}
	p.Converge()
	want(t, p.b, "SCARD big", fmt.Sprintf("(integer) %d", members))
	p.PauseAll()
	stopA, stopB := probing(t, p.Regions[0].Proxy()), probing(t, p.Regions[1].Proxy())
	for i := range 1000 {
		do(p.b, fmt.Sprintf("SADD big new%d", i))
	}
	do(p.a, "DEL big")
	p.ResumeAll()
	for i := range 1000 {
		do(p.b, fmt.Sprintf("SADD big later%d", i))
	}
	p.Converge()
	stopA()
	stopB()
	p.Converge()
	p.everywhere("SISMEMBER big 17", "(integer) 0")
	p.everywhere("SCARD big", "(integer) 2000")
	p.RequireEqual(t)
	for _, region := range p.Regions {
		wantMemory(t, region.Proxy(), 300*mib)
	}
}
