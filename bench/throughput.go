package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// sample is one measurement of one target, reduced to the numbers of the report.
type sample struct {
	perSecond      float64
	p50, p99, p999 time.Duration
	redisMicros    float64 // CPU of this region's Redis per command
	proxyMicros    float64 // CPU of the proxy per command
	peerMicros     float64 // CPU of another region, Redis and proxy, per command
}

func reportThroughput(ctx context.Context, o options, t *targets) error {
	fmt.Printf("\n### Throughput and latency\n\n")
	fmt.Println("| command | conns | pipeline | Redis /s | Anabranch /s | ratio | p50 µs | p99 µs | p99.9 µs | Redis CPU µs | proxy CPU µs | all | peer CPU µs |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, addr := range []string{t.plain.Addr, t.local().Addr} {
		if err := fill(addr); err != nil {
			return err
		}
	}
	for _, name := range o.workloads {
		for _, connections := range o.connections {
			for _, pipeline := range o.pipelines {
				w := workloads[strings.ToUpper(name)]
				plain, ours, err := measureRow(ctx, o, t, w, connections, pipeline)
				if err != nil {
					return fmt.Errorf("%s with %d connections, pipeline %d: %w", w.name, connections, pipeline, err)
				}
				printRow(w.name, connections, pipeline, plain, ours)
			}
		}
	}
	fmt.Println("\nLatency and CPU: plain Redis → Anabranch. CPU is per command; \"all\" is Redis and proxy together against plain Redis;\n" +
		"\"peer\" is what each other region spends to apply it, until it has caught up.")
	return nil
}

// measureRow takes turns, and waits after each of Anabranch's until the other regions have everything: their work must
// not fall into the next measurement of plain Redis.
func measureRow(ctx context.Context, o options, t *targets, w workload, connections, pipeline int) (plain, ours sample, err error) {
	var plains, all []sample
	for range o.rounds {
		redis := newStopwatch(t.plain.PID())
		result, err := runLoad(ctx, t.plain.Addr, w, connections, pipeline, o.duration(), redis.begin, redis.end)
		if err != nil {
			return plain, ours, fmt.Errorf("plain Redis: %w", err)
		}
		plains = append(plains, reduce(result, redis))

		peers := newStopwatch(t.peerPIDs()...)
		peers.begin()
		both := newStopwatch(t.local().Redis.PID(), t.local().ProxyPID())
		result, err = runLoad(ctx, t.local().Addr, w, connections, pipeline, o.duration(), both.begin, both.end)
		if err != nil {
			return plain, ours, fmt.Errorf("anabranch: %w", err)
		}
		if err := settle(t, o.regions-1); err != nil {
			return plain, ours, err
		}
		peers.end()
		one := reduce(result, both)
		one.peerMicros = peers.sum().Seconds() * 1e6 / float64(max(result.all, 1)) / float64(max(o.regions-1, 1))
		all = append(all, one)
	}
	return median(plains), median(all), nil
}

// reduce takes the CPU time of Redis first, and of the proxy second when there is one.
func reduce(result *loadResult, cpu *stopwatch) sample {
	perCommand := func(used time.Duration) float64 {
		return used.Seconds() * 1e6 / float64(max(result.completed, 1))
	}
	s := sample{
		perSecond: result.perSecond(),
		p50:       result.latencies.quantile(0.5), p99: result.latencies.quantile(0.99), p999: result.latencies.quantile(0.999),
		redisMicros: perCommand(cpu.used[0]),
	}
	if len(cpu.used) > 1 {
		s.proxyMicros = perCommand(cpu.used[1])
	}
	return s
}

// median takes each number's own median.
func median(samples []sample) sample {
	return sample{
		perSecond:   middle(samples, func(s sample) float64 { return s.perSecond }),
		p50:         middle(samples, func(s sample) time.Duration { return s.p50 }),
		p99:         middle(samples, func(s sample) time.Duration { return s.p99 }),
		p999:        middle(samples, func(s sample) time.Duration { return s.p999 }),
		redisMicros: middle(samples, func(s sample) float64 { return s.redisMicros }),
		proxyMicros: middle(samples, func(s sample) float64 { return s.proxyMicros }),
		peerMicros:  middle(samples, func(s sample) float64 { return s.peerMicros }),
	}
}

func middle[T cmp.Ordered](samples []sample, of func(sample) T) T {
	values := make([]T, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func printRow(name string, connections, pipeline int, plain, ours sample) {
	micros := func(a, b time.Duration) string {
		return fmt.Sprintf("%d → %d", a.Microseconds(), b.Microseconds())
	}
	fmt.Printf("| %s | %d | %d | %s | %s | %.2f | %s | %s | %s | %.1f → %.1f | %.1f | %.2f | %.1f |\n",
		name, connections, pipeline, thousands(plain.perSecond), thousands(ours.perSecond), ours.perSecond/plain.perSecond,
		micros(plain.p50, ours.p50), micros(plain.p99, ours.p99), micros(plain.p999, ours.p999),
		plain.redisMicros, ours.redisMicros, ours.proxyMicros, (ours.redisMicros+ours.proxyMicros)/plain.redisMicros, ours.peerMicros)
}

func thousands(n float64) string { return fmt.Sprintf("%.1f k", n/1000) }

// settleLimit is how long the other regions may take to catch up after a row.
const settleLimit = 120 * time.Second

// settle waits until so many other regions have applied everything.
func settle(t *targets, regions int) error {
	if regions == 0 {
		return nil
	}
	conn, err := net.DialTimeout("tcp", t.local().Addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(settleLimit + 10*time.Second)); err != nil {
		return err
	}
	fmt.Fprintf(conn, "CRDT WAIT %d %d\r\n", regions, settleLimit.Milliseconds())
	var caughtUp int
	if _, err := fmt.Fscanf(conn, ":%d\r\n", &caughtUp); err != nil {
		return fmt.Errorf("CRDT WAIT: %w", err)
	}
	if caughtUp < regions {
		return fmt.Errorf("%d of %d regions caught up within %v", caughtUp, regions, settleLimit)
	}
	return nil
}
