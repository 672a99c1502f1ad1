package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/resp"
)

// memoryItems is how many keys or elements are written for each row.
const memoryItems = 20_000

// A shape of data of which each item costs some memory.
type memoryRow struct {
	name    string
	command func(n int) []string
}

func memoryRows() []memoryRow {
	element := func(n int) string { return "element:" + strconv.Itoa(n) }
	collection := func(kind string, n int) string { return kind + ":" + strconv.Itoa(n/elementSpace) }
	return []memoryRow{
		{"string of 256 bytes", func(n int) []string { return []string{"SET", "string:" + strconv.Itoa(n), value} }},
		{"counter", func(n int) []string {
			return []string{"INCRBY", "counter:" + strconv.Itoa(n), strconv.Itoa(100_000 + n)}
		}},
		{"hash field", func(n int) []string { return []string{"HSET", collection("hash", n), element(n), "value"} }},
		{"set member", func(n int) []string { return []string{"SADD", collection("set", n), element(n)} }},
		{"sorted-set member", func(n int) []string { return []string{"ZADD", collection("zset", n), strconv.Itoa(n), element(n)} }},
	}
}

func reportMemory(ctx context.Context, _ options, t *targets) error {
	fmt.Printf("\n### Memory\n\n")
	fmt.Println("| item | plain Redis, bytes | Anabranch, bytes | metadata | ratio |")
	fmt.Println("|---|--:|--:|--:|--:|")
	for _, row := range memoryRows() {
		plain, err := bytesPerItem(ctx, t.plain.Addr, t.plain.Addr, row)
		if err != nil {
			return fmt.Errorf("%s: plain Redis: %w", row.name, err)
		}
		ours, err := bytesPerItem(ctx, t.local().Redis.Addr, t.local().Addr, row)
		if err != nil {
			return fmt.Errorf("%s: anabranch: %w", row.name, err)
		}
		fmt.Printf("| %s | %.0f | %.0f | %.0f | %.2f |\n", row.name, plain, ours, ours-plain, ours/plain)
	}
	fmt.Printf("\n%d items of each kind, %d elements in a collection; growth of used_memory in the region where they were written,\n"+
		"without the log, which is bounded by what peers have not fetched yet.\n", memoryItems, elementSpace)
	return nil
}

// bytesPerItem writes through one address and looks at the memory of the server behind it.
func bytesPerItem(ctx context.Context, server, addr string, row memoryRow) (float64, error) {
	client := redis.NewClient(&redis.Options{Addr: server, Protocol: 2, DisableIdentity: true})
	defer client.Close()
	before, err := dataBytes(ctx, client)
	if err != nil {
		return 0, err
	}
	c, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	const batch = 100
	for first := 0; first < memoryItems; first += batch {
		var commands []byte
		for n := first; n < first+batch; n++ {
			commands = resp.AppendCommandStrings(commands, row.command(n)...)
		}
		if err := c.exchange(commands, batch); err != nil {
			return 0, err
		}
	}
	after, err := dataBytes(ctx, client)
	return float64(after-before) / memoryItems, err
}

// dataBytes is used_memory without the buffers of connections and without the log.
func dataBytes(ctx context.Context, client *redis.Client) (int64, error) {
	used, err := infoNumber(ctx, client, "used_memory_dataset")
	if err != nil {
		return 0, err
	}
	overhead, err := client.Do(ctx, "MEMORY", "STATS").Slice()
	if err != nil {
		return 0, err
	}
	log, err := client.MemoryUsage(ctx, "crdt:log", 0).Result()
	if err != nil && err != redis.Nil {
		return 0, err
	}
	return used + tableBytes(overhead) - log, nil
}

// tableBytes is the part of the overhead that belongs to keys: the tables of every database.
func tableBytes(stats []any) int64 {
	var sum int64
	for i := 0; i+1 < len(stats); i += 2 {
		name, _ := stats[i].(string)
		fields, ok := stats[i+1].([]any)
		if !ok || !strings.HasPrefix(name, "db.") {
			continue
		}
		for k := 1; k < len(fields); k += 2 {
			n, _ := fields[k].(int64)
			sum += n
		}
	}
	return sum
}

func infoNumber(ctx context.Context, client *redis.Client, field string) (int64, error) {
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(text, field+":")
	if !found {
		return 0, fmt.Errorf("INFO has no %s", field)
	}
	number, _, _ := strings.Cut(rest, "\r\n")
	return strconv.ParseInt(number, 10, 64)
}
