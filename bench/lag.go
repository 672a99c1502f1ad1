package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"anabranch/internal/resp"
)

const (
	markerInterval = 10 * time.Millisecond
	markerPoll     = 500 * time.Microsecond // between looks in the other region; the precision of the lag
	markerLimit    = 30 * time.Second       // until the last marker must have arrived
	loadBeat       = time.Millisecond       // between batches of the paced load
)

// lagRates are the writes per second beside which the lag is measured.
var lagRates = []int{0, 1_000, 5_000, 10_000, 20_000}

func reportLag(ctx context.Context, o options, t *targets) error {
	if o.regions < 2 {
		return nil
	}
	fmt.Printf("\n### Replication lag\n\n")
	fmt.Println("| writes /s in A, asked | done | lag p50 ms | p99 ms | max ms | markers |")
	fmt.Println("|--:|--:|--:|--:|--:|--:|")
	for _, rate := range lagRates {
		lag, done, err := measureLag(ctx, t, rate, o.duration())
		if err != nil {
			return fmt.Errorf("at %d writes/s: %w", rate, err)
		}
		millis := func(q float64) string {
			return fmt.Sprintf("%.1f", float64(lag.quantile(q).Microseconds())/1000)
		}
		fmt.Printf("| %d | %.0f | %s | %s | %s | %d |\n", rate, done, millis(0.5), millis(0.99), millis(1), lag.count)
		if err := settle(t, o.regions-1); err != nil {
			return err
		}
	}
	fmt.Printf("\nSET of %d bytes; a marker every %v written in A, looked for every %v in B. Loopback: what the network adds comes on top.\n",
		valueBytes, markerInterval, markerPoll)
	return nil
}

// measureLag writes numbered markers in A at fixed times and notes when each one can be read in B. Markers keep being
// written while earlier ones are under way, so a stall shows in all markers that fall into it.
func measureLag(ctx context.Context, t *targets, rate int, duration time.Duration) (*latencies, float64, error) {
	var (
		lag     latencies
		written = make(chan time.Time, int(duration/markerInterval)+1) // all of them fit: the writer never waits for the reader
		prefix  = "marker:" + strconv.FormatUint(rand.Uint64(), 36) + ":"
		done    int
	)
	group, ctx := errgroup.WithContext(ctx)
	// Each ends after duration, or when a connection fails; the reader when it has seen the last marker.
	group.Go(func() (err error) {
		done, err = pacedLoad(ctx, t.local().Addr, rate, duration)
		return err
	})
	group.Go(func() error {
		defer close(written)
		return writeMarkers(ctx, t.local().Addr, prefix, duration, written)
	})
	group.Go(func() error { return readMarkers(ctx, t.anabranch.Regions[1].Addr, prefix, written, &lag) })
	err := group.Wait()
	return &lag, float64(done) / duration.Seconds(), err
}

func writeMarkers(ctx context.Context, addr, prefix string, duration time.Duration, written chan<- time.Time) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	ticker := time.NewTicker(markerInterval)
	defer ticker.Stop()
	for n := range cap(written) - 1 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		sent := time.Now()
		if err := c.exchange(resp.AppendCommandStrings(nil, "SET", prefix+strconv.Itoa(n), "m"), 1); err != nil {
			return err
		}
		written <- sent
	}
	return nil
}

// readMarkers looks for one marker after the other: effects arrive in the order in which they were written.
func readMarkers(ctx context.Context, addr, prefix string, written <-chan time.Time, lag *latencies) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	n := 0
	for sent := range written {
		get := resp.AppendCommandStrings(nil, "GET", prefix+strconv.Itoa(n))
		for deadline := time.Now().Add(markerLimit); ; {
			if _, err := c.conn.Write(get); err != nil {
				return err
			}
			found, err := c.foundSomething()
			if err != nil {
				return err
			}
			if found {
				break
			}
			if time.Now().After(deadline) || ctx.Err() != nil {
				return fmt.Errorf("marker %d did not arrive within %v", n, markerLimit)
			}
			time.Sleep(markerPoll)
		}
		lag.add(time.Since(sent), 1)
		n++
	}
	return nil
}

// foundSomething reads the reply of a GET: a null is "$-1".
func (c *client) foundSomething() (bool, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(replyLimit)); err != nil {
		return false, err
	}
	have := 0
	for {
		n, err := c.conn.Read(c.buf[have:])
		if err != nil {
			return false, err
		}
		have += n
		switch text := string(c.buf[:have]); {
		case text == "$-1\r\n":
			return false, nil
		case text == "$1\r\nm\r\n":
			return true, nil
		case have > 7 || text[0] == '-':
			return false, fmt.Errorf("unexpected reply %.200q", text)
		}
	}
}

// pacedLoad writes at a steady rate and says how many writes were completed.
func pacedLoad(ctx context.Context, addr string, rate int, duration time.Duration) (int, error) {
	if rate == 0 {
		return 0, nil
	}
	c, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	var (
		random   = rand.NewPCG(1, 2)
		w        = workloads["SET"]
		start    = time.Now()
		commands []byte
		done     int
	)
	for ctx.Err() == nil {
		passed := time.Since(start)
		if passed >= duration {
			return done, nil
		}
		// What is due by now, but not everything after a stall: a burst would measure the burst.
		due := min(int(passed.Seconds()*float64(rate))-done, rate/50+1)
		if due <= 0 {
			time.Sleep(loadBeat)
			continue
		}
		commands = commands[:0]
		for range due {
			commands = w.append(commands, random)
		}
		if err := c.exchange(commands, due); err != nil {
			return done, err
		}
		done += due
	}
	return done, ctx.Err()
}
