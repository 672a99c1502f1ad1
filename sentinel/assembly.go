package sentinel

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// assembly is the state of one Run: the Sentinels that are asked, and what they say. Only Run's goroutine touches it.
type assembly struct {
	*Watcher
	ctx       context.Context
	running   sync.WaitGroup
	council   *council
	members   map[string]*member // by address
	reports   chan report
	announced chan struct{} // some Sentinel says that the primary has moved, or is about to

	silent map[string]bool // addresses of Sentinels that were logged as not answering
	lost   bool            // it was logged that no majority confirms the primary
	reason error           // the last one that a Sentinel gave for not answering
}

// add begins to ask a Sentinel.
func (a *assembly) add(addr string) {
	if a.members[addr] != nil || len(a.members) >= maxSentinels {
		return
	}
	m := newMember(&a.cfg, addr)
	ctx, stop := context.WithCancel(a.ctx)
	m.stop = stop
	a.members[addr] = m
	var both sync.WaitGroup // both end with ctx
	both.Go(func() { m.poll(ctx, a.reports) })
	both.Go(func() { m.listen(ctx, a.announce) })
	a.running.Go(func() {
		both.Wait()
		m.client.Close()
	})
}

// drop ends with a Sentinel.
func (a *assembly) drop(addr string) {
	a.members[addr].stop()
	delete(a.members, addr)
	delete(a.silent, addr)
	a.council.forget(addr)
}

// announce is called by the members' goroutines.
func (a *assembly) announce(event string, details []string) {
	if event == eventLeaving && len(details) >= 4 { // master NAME IP PORT
		a.leave(net.JoinHostPort(details[2], details[3]), time.Now())
	}
	select {
	case a.announced <- struct{}{}:
	default:
	}
}

// hear takes what came of asking one Sentinel.
func (a *assembly) hear(r report) {
	addr := r.from.addr
	if a.members[addr] != r.from {
		return // it was dropped meanwhile
	}
	if r.err != nil {
		a.reason = r.err
		if !a.silent[addr] {
			a.silent[addr] = true
			a.cfg.Log.Warn().Err(r.err).Str("sentinel", addr).Msg("a Sentinel does not answer")
		}
		return
	}
	if a.silent[addr] {
		delete(a.silent, addr)
		a.cfg.Log.Info().Str("sentinel", addr).Msg("a Sentinel answers again")
	}
	a.council.hear(addr, r.answer)
}

// decide publishes the verdict of now, and follows who comes and goes among the Sentinels.
func (a *assembly) decide(now time.Time) {
	v, trouble := a.council.decide(now)
	if trouble != nil && a.reason != nil {
		trouble = fmt.Errorf("%w (%w)", trouble, a.reason)
	}
	if trouble == nil {
		a.reason = nil
	}
	if a.publish(v, trouble) {
		a.cfg.Log.Info().Str("addr", v.primary).Uint64("config_epoch", v.epoch).Msg("primary according to the Sentinels")
	}
	a.tell(trouble)
	a.meet(now, trouble == nil)
	a.tellWho()
}

// tell logs when the majority is lost, and when it is back.
func (a *assembly) tell(trouble error) {
	switch {
	case trouble == nil && a.lost:
		a.lost = false
		a.cfg.Log.Info().Msg("a majority of the Sentinels answers again")
	case trouble != nil && !a.lost && a.current.primary != "":
		a.lost = true
		a.cfg.Log.Warn().Err(trouble).Msg("no majority of the Sentinels confirms the primary")
	}
}

// meet begins to ask the Sentinels that are named, and, when a majority answers, ends with those that nobody names any more.
func (a *assembly) meet(now time.Time, majority bool) {
	named, met := map[string]bool{}, map[string]bool{}
	voices := a.council.voices(now)
	for _, voice := range voices {
		met[voice.id] = true
	}
	for _, voice := range voices {
		for _, o := range voice.others {
			named[o.addr] = true
			if !met[o.id] {
				a.add(o.addr)
			}
		}
	}
	if !majority {
		return
	}
	for addr := range a.members {
		if !named[addr] && !slices.Contains(a.cfg.Sentinels, addr) {
			a.drop(addr)
		}
	}
}

// tellWho publishes who is asked.
func (a *assembly) tellWho() {
	asked := slices.Sorted(maps.Keys(a.members))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = asked
}
