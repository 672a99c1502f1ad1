package sentinel

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// member is one Sentinel that is asked and listened to.
type member struct {
	cfg    *Config
	addr   string
	client *redis.Client
	prod   chan struct{} // ask now
	stop   context.CancelFunc
}

// report is what came of asking one Sentinel.
type report struct {
	from   *member
	answer answer
	err    error
}

func newMember(cfg *Config, addr string) *member {
	return &member{cfg: cfg, addr: addr, client: cfg.client(addr), prod: make(chan struct{}, 1)}
}

// ask asks once.
func (m *member) ask(ctx context.Context) report {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	at := time.Now()
	a, err := ask(ctx, m.client, m.addr, m.cfg.Name)
	a.at = at
	return report{m, a, err}
}

// poll asks again and again until ctx ends.
func (m *member) poll(ctx context.Context, reports chan<- report) {
	for ctx.Err() == nil {
		r := m.ask(ctx)
		select {
		case reports <- r:
		case <-ctx.Done():
			return
		}
		select {
		case <-m.prod:
		case <-time.After(m.cfg.PollInterval):
		case <-ctx.Done():
		}
	}
}

// askSoon has poll ask at once.
func (m *member) askSoon() {
	select {
	case m.prod <- struct{}{}:
	default:
	}
}

// listen calls heard with each event about the primary that the Sentinel announces, and with what it says, until ctx ends.
func (m *member) listen(ctx context.Context, heard func(event string, details []string)) {
	for ctx.Err() == nil {
		m.listenOnce(ctx, heard)
		select {
		case <-time.After(m.cfg.PollInterval):
		case <-ctx.Done():
		}
	}
}

// quietPolls is after how many intervals without a message the connection is tried.
const quietPolls = 3

// Events of a fail-over, each the name of a channel. The Sentinel that leads it announces that it chooses the replica to promote, one or two
// tenths of a second before it does, and then that it has; all others announce that they have learnt of it.
const (
	eventLeaving  = "+failover-state-select-slave"
	eventPromoted = "+promoted-slave"
	eventSwitch   = "+switch-master"
)

// listenOnce listens until the connection ends, or does not even answer a PING.
func (m *member) listenOnce(ctx context.Context, heard func(event string, details []string)) {
	messages := m.client.Subscribe(ctx, eventLeaving, eventPromoted, eventSwitch)
	defer context.AfterFunc(ctx, func() { messages.Close() })()
	defer messages.Close()
	for asked := false; ; {
		message, err := messages.ReceiveTimeout(ctx, quietPolls*m.cfg.PollInterval)
		var late net.Error
		switch {
		case errors.As(err, &late) && late.Timeout() && !asked && ctx.Err() == nil:
			if messages.Ping(ctx) != nil {
				return
			}
			asked = true
			continue
		case err != nil:
			return
		}
		asked = false
		if said, is := message.(*redis.Message); is {
			if details := strings.Fields(said.Payload); slices.Contains(details, m.cfg.Name) {
				heard(said.Channel, details)
			}
		}
	}
}
