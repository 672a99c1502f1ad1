package migration

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
	"anabranch/translate"
)

// Cost is what commands cost since this proxy was started, of all clients of this Redis together.
type Cost struct {
	RedisMicrosPerWrite float64 `json:"redis_us_per_write"`   // in Redis, for one write command: native in passive mode, by the engine in shadow mode
	RedisWrites         int64   `json:"redis_writes"`         // that this is the mean of
	ProxyMicros         float64 `json:"proxy_us_per_command"` // CPU of this proxy for one command of any kind
}

// Meter measures it from Redis's own counters.
type Meter struct {
	redis  *redis.Client
	engine bool // writes travel in calls of the engine

	mu    sync.Mutex
	begun *meterReading
}

type meterReading struct {
	calls, micros int64
	commands      int64
	cpu           time.Duration
}

// NewMeter asks nobody yet.
func NewMeter(client *redis.Client, engine bool) *Meter { return &Meter{redis: client, engine: engine} }

// Measure is the cost since the first call. commands is how many this proxy has carried.
func (m *Meter) Measure(ctx context.Context, commands int64) (Cost, error) {
	now, err := m.read(ctx)
	if err != nil {
		return Cost{}, err
	}
	now.commands, now.cpu = commands, cpuTime()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun == nil || now.calls < m.begun.calls { // Redis has begun to count anew
		m.begun = now
	}
	var c Cost
	from := m.begun
	c.RedisWrites = now.calls - from.calls
	if c.RedisWrites > 0 {
		c.RedisMicrosPerWrite = float64(now.micros-from.micros) / float64(c.RedisWrites)
	}
	if n := now.commands - from.commands; n > 0 {
		c.ProxyMicros = float64((now.cpu - from.cpu).Microseconds()) / float64(n)
	}
	return c, nil
}

// read adds up Redis's statistics of commands. A call of the engine carries writes of many clients, and the commands that it calls
// count too; how many effects it has written the engine itself says.
func (m *Meter) read(ctx context.Context) (*meterReading, error) {
	text, err := m.redis.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	r := &meterReading{}
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":")
		if !found {
			continue
		}
		if m.engine && name == "fcall" {
			r.micros += field(rest, "usec")
		}
		if command := translate.Lookup([]byte(name)); !m.engine && command != nil && command.Flags&translate.FlagWrite != 0 {
			r.calls, r.micros = r.calls+field(rest, "calls"), r.micros+field(rest, "usec")
		}
	}
	if m.engine {
		info, err := m.redis.Do(ctx, "FCALL", crdtmeta.FuncInfo, 0).StringSlice()
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(info); i += 2 {
			if info[i] == "written" {
				r.calls, _ = strconv.ParseInt(info[i+1], 10, 64)
			}
		}
	}
	return r, nil
}

func field(text, name string) int64 {
	for part := range strings.SplitSeq(text, ",") {
		if value, found := strings.CutPrefix(part, name+"="); found {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
