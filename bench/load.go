package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"anabranch/internal/resp"
)

// replyLimit is how long a connection waits for replies before the run fails.
const replyLimit = 30 * time.Second

// client is one connection that sends batches and reads as many replies.
type client struct {
	conn    net.Conn
	scanner resp.ReplyScanner
	buf     []byte
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, buf: make([]byte, 64<<10)}, nil
}

// exchange sends commands and returns when all their replies are complete. An error reply is an error: a benchmark of
// refusals would be fast and worthless.
func (c *client) exchange(commands []byte, count int) error {
	if err := c.conn.SetDeadline(time.Now().Add(replyLimit)); err != nil {
		return err
	}
	if _, err := c.conn.Write(commands); err != nil {
		return err
	}
	return c.receive(count)
}

func (c *client) receive(count int) error {
	have := 0
	for count > 0 {
		n, err := c.conn.Read(c.buf[have:])
		if err != nil {
			return err
		}
		have += n
		pos := 0
		for count > 0 && pos < have {
			if !c.scanner.Begun() && c.buf[pos] == '-' {
				return fmt.Errorf("error reply: %.200s", c.buf[pos:have])
			}
			end, done, err := c.scanner.Scan(c.buf[:have], pos, 1)
			if err != nil {
				return err
			}
			if done == 0 && end == pos {
				break // an incomplete header: it must be there again with what follows
			}
			pos = end
			count -= done
		}
		have = copy(c.buf, c.buf[pos:have])
	}
	return nil
}

// loadResult is what one measurement of one target gave.
type loadResult struct {
	completed uint64 // commands whose reply arrived inside the measured time
	all       uint64 // those before it as well: what the other regions have to apply
	elapsed   time.Duration
	latencies latencies // of whole batches, counted once per command
}

func (r *loadResult) perSecond() float64 { return float64(r.completed) / r.elapsed.Seconds() }

// runLoad drives addr with so many connections, each with one batch under way, first unmeasured for a tenth of the time.
// The measured part is bracketed by begin and end, which read the processes' CPU time.
func runLoad(ctx context.Context, addr string, w workload, connections, pipeline int, duration time.Duration, begin, end func()) (*loadResult, error) {
	clients := make([]*client, 0, connections)
	defer func() {
		for _, c := range clients {
			c.conn.Close()
		}
	}()
	for range connections {
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	var (
		total  loadResult
		mu     sync.Mutex // guards total
		warmup = max(duration/10, 50*time.Millisecond)
		start  = time.Now().Add(warmup)
		stop   = start.Add(duration)
	)
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range clients {
		// Ends at stop, or when its connection fails.
		group.Go(func() error {
			own, err := c.drive(ctx, w, pipeline, uint64(i), start, stop)
			mu.Lock()
			defer mu.Unlock()
			total.completed += own.completed
			total.all += own.all
			total.latencies.merge(&own.latencies)
			return err
		})
	}
	group.Go(func() error {
		time.Sleep(time.Until(start))
		begin()
		time.Sleep(time.Until(stop))
		end()
		return nil
	})
	total.elapsed = duration
	return &total, group.Wait()
}

// drive sends batch after batch until stop. What completes before start or after stop is not counted.
func (c *client) drive(ctx context.Context, w workload, pipeline int, seed uint64, start, stop time.Time) (*loadResult, error) {
	own := &loadResult{}
	random := rand.NewPCG(seed, uint64(start.UnixNano()))
	var commands []byte
	for ctx.Err() == nil {
		commands = commands[:0]
		for range pipeline {
			commands = w.append(commands, random)
		}
		sent := time.Now()
		if err := c.exchange(commands, pipeline); err != nil {
			return own, err
		}
		now := time.Now()
		own.all += uint64(pipeline)
		if now.After(stop) {
			return own, nil
		}
		if now.After(start) {
			own.completed += uint64(pipeline)
			own.latencies.add(now.Sub(sent), uint64(pipeline))
		}
	}
	return own, ctx.Err()
}

// fill writes every key, so that reads find something.
func fill(addr string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for commands, count := range fillCommands {
		if err := c.exchange(commands, count); err != nil {
			return err
		}
	}
	return nil
}
