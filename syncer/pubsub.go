package syncer

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tidwall/resp"
)

// Published messages travel beside the log: at most once, and best effort. The proxy that takes a PUBLISH announces the
// whole command on a shard channel of ours in the region's Redis, which no pattern of a client matches; whichever proxies
// serve peers hear it there. Messages from elsewhere are published and never announced, so nothing goes in circles.

// MessageChannel is the shard channel on which the proxies of a region announce what its clients publish, each message as
// the PUBLISH or SPUBLISH command that it came with.
func MessageChannel(prefix string) string { return prefix + "messages" }

const (
	mailCount = 1000    // messages of one peer that wait to be published here
	mailBytes = 8 << 20 // and their size
)

// message is one published message.
type message struct {
	command       string // PUBLISH or SPUBLISH
	channel, text []byte
}

func (m message) size() int { return len(m.channel) + len(m.text) }

// parseMessage reads an announced command.
func parseMessage(raw []byte) (m message, ok bool) {
	value, _, err := resp.NewReader(bytes.NewReader(raw)).ReadValue()
	parts := value.Array()
	if err != nil || len(parts) != 3 {
		return m, false
	}
	m = message{strings.ToUpper(parts[0].String()), parts[1].Bytes(), parts[2].Bytes()}
	return m, m.command == "PUBLISH" || m.command == "SPUBLISH"
}

// subscribe begins to listen to what this region's clients publish.
func (p *shipment) subscribe(ctx context.Context) (*redis.PubSub, error) {
	messages := p.cfg.Redis.SSubscribe(ctx, p.keys.messages)
	if _, err := messages.Receive(ctx); err != nil {
		_ = messages.Close()
		return nil, fmt.Errorf("listening to published messages: %w", err)
	}
	return messages, nil
}

// shipMessages tells the peer what this region's clients publish.
func (p *shipment) shipMessages(ctx context.Context, messages *redis.PubSub) error {
	announced := messages.Channel(redis.WithChannelSize(mailCount), redis.WithChannelSendTimeout(p.cfg.SilenceLimit))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a, open := <-announced:
			if !open {
				return ctx.Err()
			}
			m, ok := parseMessage([]byte(a.Payload))
			if !ok || m.size() > p.cfg.FrameBytes/2 {
				p.counters.messagesDropped.Add(1)
				continue
			}
			if err := p.frames.write(verbMessage, m.command, m.channel, m.text); err != nil {
				return err
			}
		}
	}
}

// receiveMessage takes a message of the peer's clients. It never waits: when too many do, the newest is dropped.
func (l *link) receiveMessage(f frame) error {
	m := message{f.text(1), f.bytes(2), f.bytes(3)}
	if len(f) != 4 || m.command != "PUBLISH" && m.command != "SPUBLISH" {
		return fmt.Errorf("%w: %s", errProtocol, verbMessage)
	}
	// Shard channels of ours are for proxies of this region alone.
	if bytes.HasPrefix(m.channel, []byte(l.cfg.Prefix)) && m.command == "SPUBLISH" || !l.mail.put(m) {
		l.counters.messagesDropped.Add(1)
	}
	return nil
}

// publishMessages publishes here what the peer's clients published there. While the region is paused messages wait.
func (l *link) publishMessages(ctx context.Context) error {
	for {
		m, err := l.mail.take(ctx)
		if err != nil {
			return err
		}
		if err := l.awaitResume(ctx); err != nil {
			return err
		}
		if err := l.cfg.Redis.Do(ctx, m.command, m.channel, m.text).Err(); err != nil {
			l.counters.messagesDropped.Add(1)
		}
	}
}

// awaitResume returns when the peer's region is not paused. A Redis that does not answer counts as not paused.
func (l *link) awaitResume(ctx context.Context) error {
	for ctx.Err() == nil {
		pauses := l.pauses.next()
		paused, err := l.paused(ctx)
		if err != nil || !paused {
			return nil
		}
		timer := time.NewTimer(l.cfg.PausePoll)
		select {
		case <-pauses:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return ctx.Err()
}

// mailbox is a bounded queue of messages.
type mailbox struct {
	mu       sync.Mutex
	messages []message
	bytes    int
	filled   chan struct{}
}

func newMailbox() *mailbox { return &mailbox{filled: make(chan struct{}, 1)} }

// put reports whether there was room.
func (b *mailbox) put(m message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) >= mailCount || b.bytes > 0 && b.bytes+m.size() > mailBytes {
		return false
	}
	b.messages, b.bytes = append(b.messages, m), b.bytes+m.size()
	select {
	case b.filled <- struct{}{}:
	default:
	}
	return true
}

// take waits for the oldest message.
func (b *mailbox) take(ctx context.Context) (message, error) {
	for {
		b.mu.Lock()
		if len(b.messages) > 0 {
			m := b.messages[0]
			b.messages, b.bytes = b.messages[1:], b.bytes-m.size()
			b.mu.Unlock()
			return m, nil
		}
		b.mu.Unlock()
		select {
		case <-b.filled:
		case <-ctx.Done():
			return message{}, ctx.Err()
		}
	}
}
