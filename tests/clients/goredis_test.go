package clients

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

// goProgram is what programs do with go-redis, against two regions.
type goProgram struct {
	*testing.T
	ctx  context.Context
	a, b *redis.Client
}

func TestGoRedis(t *testing.T) {
	redistest.Slow(t)
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, 2)
			ctx, cancel := context.WithTimeout(t.Context(), programLimit)
			defer cancel()
			p := &goProgram{T: t, ctx: ctx}
			p.a = p.connect(cluster.Regions[0], redis.Options{Protocol: protocol})
			p.b = p.connect(cluster.Regions[1], redis.Options{Protocol: protocol})
			p.values()
			p.pipelines()
			p.transactions()
			p.messages()
			p.blocking()
			p.scripts()
			p.streams()
			p.scans()
			p.locks()
			p.connections(cluster.Regions[0], protocol)
			requireEqual(t, cluster)
		})
	}
}

func (p *goProgram) connect(region *redistest.Region, options redis.Options) *redis.Client {
	options.Addr = region.Proxy().Addr
	client := redis.NewClient(&options)
	p.Cleanup(func() { _ = client.Close() })
	return client
}

// ok ends the test on an error.
func (p *goProgram) ok(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// expect compares what a command returned with a value, or with an error.
func (p *goProgram) expect(cmd redis.Cmder, want any) {
	p.Helper()
	got, err := outcome(cmd)
	if failure, ok := want.(error); ok {
		if err == nil || err.Error() != failure.Error() {
			p.Fatalf("%v, error %v; want error %v", cmd, err, failure)
		}
		return
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		p.Fatalf("%v: %#v, error %v; want %#v", cmd.Args(), got, err, want)
	}
}

// outcome calls the method Result, which every command of go-redis has with a type of its own.
func outcome(cmd redis.Cmder) (any, error) {
	results := reflect.ValueOf(cmd).MethodByName("Result").Call(nil)
	err, _ := results[len(results)-1].Interface().(error)
	return results[0].Interface(), err
}

// soon waits for what must come from the other region.
func (p *goProgram) soon(read func() redis.Cmder, want any) {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got, err := outcome(read()); err == nil && reflect.DeepEqual(got, want) {
			return
		}
	}
	p.expect(read(), want)
}

// inBackground runs a command that waits, the nth of this program, and returns when it does. The function that is
// returned waits for its end.
func (p *goProgram) inBackground(nth int, command func() redis.Cmder) func() redis.Cmder {
	p.Helper()
	done := make(chan redis.Cmder, 1)
	go func() { done <- command() }() // ends with the command, which waits no longer than 20 s
	blocked := strconv.Itoa(nth)
	for deadline := time.Now().Add(10 * time.Second); p.a.InfoMap(p.ctx, "clients").Item("Clients", "blocked_clients") != blocked; {
		if time.Now().After(deadline) {
			p.Fatalf("no %s clients wait", blocked)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() redis.Cmder { return <-done }
}
