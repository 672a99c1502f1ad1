package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"anabranch/crdtmeta"

	"github.com/cenkalti/backoff/v4"
)

// puller keeps a link to one region up, while we lead. It goes through the region's addresses one by one; when they change, it begins
// with the first of the new ones at once. A link that is up stays, wherever it leads.
type puller struct {
	*Syncer
	*linkStatus
	view *view

	collector *collector
	downFor   func(id int) time.Duration // how long a region has been out of reach

	next int // address of the next attempt

	id     int           // of that region; 0 until it is known
	start  crdtmeta.Time // of the stream of the link that is up
	behind bool          // its log did not hold what we lack
	wholes int64         // the collector's when the attempt began
}

// steadyAfter is how long a stream must last to count as a success: a link that is lost at once is no reason to hurry.
const steadyAfter = 2 * time.Second

// run connects again and again until ctx ends.
func (p *puller) run(ctx context.Context) {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.cfg.RetryMin),
		backoff.WithMaxInterval(p.cfg.RetryMax),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0),
	)
	for ctx.Err() == nil {
		began := time.Now()
		addrs, moved := p.addresses()
		if len(addrs) == 0 {
			p.rest(ctx, p.cfg.RetryMax, moved)
			continue
		}
		addr := addrs[p.next%len(addrs)]
		known := p.behind
		streamed, err := p.attempt(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		p.lost(addr, streamed, err)
		if err == nil || p.behind && !known {
			retry.Reset()
			p.rest(ctx, p.cfg.RetryMin, moved) // a merge is over, or must begin
			continue
		}
		if streamed && time.Since(began) >= steadyAfter {
			retry.Reset()
		} else {
			p.next++
		}
		if p.rest(ctx, min(retry.NextBackOff(), p.cfg.RetryMax), moved) {
			retry.Reset()
		}
	}
}

// addresses are those of the region at the moment, and what is closed when some region's change.
func (p *puller) addresses() (addrs []string, moved <-chan struct{}) {
	moved = p.roster.moved.next()
	return p.peers()[p.name], moved
}

// rest waits until the next attempt, and says whether addresses have changed: then the first one is next.
func (p *puller) rest(ctx context.Context, d time.Duration, moved <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-moved:
		p.next = 0
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// attempt is one connection from dialing to its end. streamed says whether the handshake was completed.
func (p *puller) attempt(ctx context.Context, addr string) (streamed bool, err error) {
	dialing, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	raw, err := p.cfg.Dial(dialing, addr)
	if err != nil {
		return false, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if !p.trusts(raw) {
		return false, refuse(codeInsecure, "region '%s' is not on loopback, and nothing authenticates it", p.name)
	}
	deadline, _ := dialing.Deadline()
	_ = raw.SetDeadline(deadline)
	conn, err := p.shieldTo(dialing, raw, addr, p.name)
	if err != nil {
		return false, err
	}
	frames := newFrameConn(conn, deadline)
	p.wholes = p.collector.wholes.Load()
	self, host, err := p.handshake(ctx, frames)
	if err != nil {
		return false, p.explain(frames, err)
	}
	progress, wanted, err := p.decide(ctx, self, host)
	if err != nil {
		return false, fmt.Errorf("redis: %w", err)
	}
	// What a region in quarantine has done without knowing what others did, and what is not known any more, it says when it has merged everything.
	if apart, _, err := p.inQuarantine(ctx, p.id); err != nil || apart && !ofAll(progress.Mode) {
		return false, errors.Join(err, errApart)
	}
	if wanted {
		if ofAll(progress.Mode) {
			// One at a time: when it is over, this region has missed nothing of what others have.
			if !p.collector.whole.TryLock() {
				return false, errOtherMerge
			}
			defer p.collector.whole.Unlock()
			if p.wholes != p.collector.wholes.Load() {
				return false, errTakenBack
			}
		}
		p.connected(addr, host.Origin, frames.conn)
		return true, p.merge(ctx, frames, self, host, progress)
	}
	l, err := p.pull(ctx, frames, self, host)
	if err != nil {
		return false, err
	}
	p.connected(addr, host.Origin, frames.conn)
	p.cfg.Log.Info().Str("peer", p.name).Int("id", p.id).Str("addr", addr).Stringer("after", p.start).Msg("link to region is up")
	return true, l.run(ctx)
}

// handshake says who we are, and hears the same.
func (p *puller) handshake(ctx context.Context, frames *frameConn) (self crdtmeta.Origin, host welcome, err error) {
	if self, err = p.region.origin(ctx); err != nil {
		return self, host, fmt.Errorf("redis: %w", err)
	}
	if self.IsZero() {
		return self, host, refuse(codeNotReady, "our own region has no epoch yet")
	}
	me := p.cfg.Region
	reentry, err := p.reentry(ctx)
	if err != nil {
		return self, host, fmt.Errorf("redis: %w", err)
	}
	ours, err := p.region.base(ctx)
	if err != nil {
		return self, host, fmt.Errorf("redis: %w", err)
	}
	body := encodeJSON(hello{
		Base: ours, Reentry: reentry, Name: me.Name, ID: me.ID, Shard: p.cfg.Shard, RunID: p.cfg.RunID, Origin: self.String(),
		ExpectName: p.name, ExpectID: p.id, Window: p.cfg.WindowBytes,
	})
	c := p.prepare(body)
	if c == nil {
		err = frames.write(verbHello, protocolVersion, body)
	} else {
		err = frames.write(verbHello, protocolVersion, body, c.puller)
	}
	if err == nil {
		frames.allow(welcomeBytes)
		host, err = p.hearWelcome(ctx, frames, c)
	}
	return self, host, err
}

// explain turns an error of the handshake into what it means, and tells the other side what it cannot know.
func (p *puller) explain(frames *frameConn, err error) error {
	var refusal *peerError
	if errors.As(err, &refusal) && !refusal.heard && refusal.code != codeNotReady {
		_ = frames.write(verbError, refusal.code, refusal.text)
	} else if refusal != nil && refusal.code == codeBehind {
		refusal.code = codeProtocol // nothing was said yet of where we are, nor is it known who says this
	}
	if p.cfg.Identity != nil && isRemote(err) {
		return refuseTLS(err) // a server looks at our certificate when for us TLS is there already
	}
	return err
}

// pull says what we have, and hears where the stream of the rest begins.
func (p *puller) pull(ctx context.Context, frames *frameConn, self crdtmeta.Origin, host welcome) (*link, error) {
	if err := p.view.load(ctx, p.region.frontier); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	applied := p.view.snapshot()
	positions := applied.Of(host.ID, host.Shard)
	applied[self] = 0
	if err := frames.write(verbPull, applied.AppendMsgpack(nil)); err != nil {
		return nil, err
	}
	l := &link{
		taken: taken{puller: p, frames: frames, self: self}, host: mustOrigin(host.Origin), work: newApplier(p.applierLimits(), positions),
		inbox: newInbox(2 * p.cfg.WindowBytes), answer: make(chan stateAnswer, 1), mail: newMailbox(),
	}
	return l, l.hearStream()
}

// expectReply reads the next frame of the handshake.
func expectReply(frames *frameConn, verb string) (frame, error) {
	f, err := frames.read()
	return expected(f, err, verb)
}

func expected(f frame, err error, verb string) (frame, error) {
	if errors.Is(err, io.EOF) {
		return nil, errors.New("peer closed the connection during the handshake; its log may say why")
	}
	if err != nil {
		return nil, err
	}
	switch f.verb() {
	case verb:
		return f, nil
	case verbError:
		return nil, f.asError()
	}
	return nil, fmt.Errorf("%w: %.20q instead of %s", errProtocol, f.verb(), verb)
}

// hearWelcome checks that the server is the region that we mean.
func (p *puller) hearWelcome(ctx context.Context, frames *frameConn, c *challenge) (host welcome, err error) {
	f, err := p.answerChallenge(frames, c)
	if f, err = expected(f, err, verbWelcome); err != nil {
		return host, err
	}
	if err := p.checkSeal(c, f); err != nil {
		return host, err
	}
	if version, err := f.number(1); err != nil || version != protocolVersion {
		return host, refuse(codeVersion, "region '%s' speaks version %.20q of the peer protocol, not %d", p.name, f.text(1), protocolVersion)
	}
	if host, err = decodeJSON[welcome](f, 2); err != nil {
		return host, err
	}
	me := p.cfg.Region
	switch {
	case host.RunID == p.cfg.RunID, host.ID == me.ID && host.Name == me.Name:
		return host, refuse(codeSelf, "peer is this region itself: '%s' (id %d)", me.Name, me.ID)
	case host.Name != p.name:
		return host, refuse(codeIdentity, "the peer is region '%.128s', not '%s'", host.Name, p.name)
	case host.ID == me.ID:
		return host, refuse(codeIdentity, "regions '%s' and '%s' both have id %d", host.Name, me.Name, me.ID)
	case host.ID < crdtmeta.MinRegion || host.ID > crdtmeta.MaxRegion:
		return host, refuse(codeIdentity, "region id %d is not in %d–%d", host.ID, crdtmeta.MinRegion, crdtmeta.MaxRegion)
	case p.id != 0 && host.ID != p.id:
		return host, refuse(codeIdentity, "region '%s' has id %d, it was %d", p.name, host.ID, p.id)
	case host.Shard != p.cfg.Shard:
		return host, refuse(codeIdentity, "the peer serves shard %d", host.Shard)
	}
	origin, err := crdtmeta.ParseOrigin(host.Origin)
	if err != nil || origin.Region != host.ID || origin.Shard != host.Shard {
		return host, refuse(codeProtocol, "origin %.60q is not one of region '%s' (id %d)", host.Origin, host.Name, host.ID)
	}
	if err := p.learn(ctx, host.Name, host.ID); err != nil {
		return host, err
	}
	p.id = host.ID
	p.met(host.ID)
	if host.Later != "" {
		return host, p.renew(ctx, host.Later)
	}
	return host, nil
}

// renew begins a new epoch, since another region has seen one in force that our server does not know of.
func (p *puller) renew(ctx context.Context, text string) error {
	later, err := crdtmeta.ParseOrigin(text)
	if err != nil || later.Region != p.cfg.Region.ID || later.Shard != p.cfg.Shard {
		return refuse(codeProtocol, "origin %.60q is not one of this region", text)
	}
	if err := p.engine.renew(ctx, later); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return refuse(codeNotReady, "region '%s' has seen epoch %s of this region: a new one begins", p.name, later.Epoch)
}

// hearStream takes the place at which the stream begins.
func (l *link) hearStream() error {
	l.frames.allow(l.cfg.FrameBytes)
	f, err := expectReply(l.frames, verbStream)
	if err != nil {
		return err
	}
	after, err := f.number(1)
	if err != nil {
		return err
	}
	index, err := f.number(2)
	if err != nil {
		return err
	}
	l.start = crdtmeta.Time(after)
	l.began(index)
	l.frames.open(l.cfg.FrameBytes, l.cfg.SilenceLimit)
	return nil
}

var (
	errApart      = errors.New("that region is in quarantine")
	errUnjoined   = errors.New("that region has yet to merge what was here before it")
	errMissed     = errors.New("that region has missed what others have collected: it has to merge everything first")
	errOtherMerge = errors.New("this region is merging everything from another one")
)

func (p *puller) applierLimits() applierLimits {
	return applierLimits{
		chunkEntries: p.cfg.ChunkEntries,
		chunkBytes:   p.cfg.ChunkBytes,
		chunkTime:    p.cfg.ChunkTime,
		pausePoll:    p.cfg.PausePoll,
		waitPoll:     p.cfg.WaitPoll,
		retryMin:     p.cfg.RetryMin,
		retryMax:     p.cfg.RetryMax,
	}
}

// lost notes the end of a link or attempt, and logs it when it says something new.
func (p *puller) lost(addr string, streamed bool, err error) {
	state := StateProbe
	var refusal *peerError
	if errors.Is(err, errApart) || errors.Is(err, errMissed) || errors.Is(err, errUnjoined) {
		state = StateApart
	}
	if errors.As(err, &refusal) {
		switch refusal.code {
		case codeBehind:
			state, p.behind = StateMergeNeeded, true
		case codeNotReady, codeEpoch, codeBusy:
		default:
			state = StateRefused
		}
	}
	if said := p.disconnected(addr, state, err); err != nil && (said || streamed) {
		p.cfg.Log.Warn().Str("peer", p.name).Str("addr", addr).Str("state", string(state)).Str("cause", plain(err)).Msg("no link to region")
	}
}
