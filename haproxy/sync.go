package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Proxy is a server that should get clients.
type Proxy struct {
	Server
	Ready bool // somebody has seen that it can serve
}

// Sync keeps a running HAProxy equal to a catalogue, over the runtime socket. Nothing is reloaded, and no connection to a proxy that
// works is dropped:
//
//   - A proxy that is in HAProxy already is left alone.
//   - A new one gets a free slot of its region.
//   - One that is gone gets no new clients. Its slot is free when its last client has left, or HAProxy finds it down.
//   - A region without any proxy in the catalogue keeps those it has: more likely the catalogue is wrong than that all are gone, and
//     HAProxy sees itself who works.
//
// What an operator has put into maintenance stays there.
type Sync struct {
	runtime  Runtime
	interval time.Duration // between looks at HAProxy, which forgets everything in a reload
	log      zerolog.Logger
	resolve  func(ctx context.Context, host string) (string, error)

	mu     sync.Mutex // guards wanted
	wanted []Proxy
	told   bool
	news   chan struct{}

	said map[string]bool // what was said about things that stay as they are
}

// NewSync connects to nothing.
func NewSync(socket string, interval time.Duration, log zerolog.Logger) *Sync {
	return &Sync{runtime: Runtime{Socket: socket}, interval: interval, log: log, resolve: lookup, news: make(chan struct{}, 1), said: map[string]bool{}}
}

// Want takes all proxies that there are.
func (s *Sync) Want(proxies []Proxy) {
	s.mu.Lock()
	s.wanted, s.told = slices.Clone(proxies), true
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It does nothing before the first Want.
func (s *Sync) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := ""
	for ctx.Err() == nil {
		select {
		case <-timer.C:
		case <-s.news:
		case <-ctx.Done():
			return nil
		}
		err := s.once(ctx)
		if text := errorText(err); text != last && ctx.Err() == nil {
			last = text
			if err != nil {
				s.log.Warn().Str("cause", text).Msg("HAProxy is not up to date")
			} else {
				s.log.Info().Msg("HAProxy is up to date again")
			}
		}
		timer.Reset(s.interval)
	}
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// once makes HAProxy equal.
func (s *Sync) once(ctx context.Context) error {
	s.mu.Lock()
	wanted, told := s.wanted, s.told
	s.mu.Unlock()
	if !told {
		return nil
	}
	slots, err := s.runtime.slots(ctx)
	if err != nil {
		return err
	}
	var (
		known  []Proxy
		failed []error
	)
	for _, proxy := range wanted {
		if err := proxy.validate(); err != nil {
			s.warnOnce("a proxy cannot be used: "+err.Error(), proxy)
			continue
		}
		if proxy.Host, err = s.resolve(ctx, proxy.Host); err != nil {
			return err // without it, it would look as if the proxy were gone
		}
		known = append(known, proxy)
	}
	steps, unplaced := plan(slots, known)
	for _, proxy := range unplaced {
		s.warnOnce("no free slot for a proxy: write a new configuration with more of them, and reload", proxy)
	}
	for _, step := range steps {
		if err := s.runtime.Do(ctx, step.commands...); err != nil {
			failed = append(failed, err)
			continue
		}
		s.log.Info().Str("server", step.slot).Str("addr", step.addr).Msg(step.what)
	}
	return errors.Join(failed...)
}

// warnOnce says something about a proxy, once.
func (s *Sync) warnOnce(text string, proxy Proxy) {
	about := text + " " + proxy.Region + " " + proxy.addr()
	if s.said[about] || len(s.said) >= maxSaid {
		return
	}
	s.said[about] = true
	s.log.Warn().Str("region", proxy.Region).Str("addr", proxy.addr()).Msg(text)
}

// maxSaid bounds what is remembered of a catalogue that changes for ever.
const maxSaid = 1000

// step is what is done with one slot.
type step struct {
	what     string
	slot     string
	addr     string
	commands []string
}

// plan says how to get from what there is to what is wanted.
func plan(slots []slot, wanted []Proxy) (steps []step, unplaced []Proxy) {
	regions := map[string][]Proxy{}
	for _, proxy := range wanted {
		regions[proxy.Region] = append(regions[proxy.Region], proxy)
	}
	for _, region := range slices.Sorted(maps.Keys(regions)) {
		var mine []slot
		for _, s := range slots {
			if s.region == region {
				mine = append(mine, s)
			}
		}
		taken := map[string]bool{} // by name
		var homeless []Proxy
		for _, proxy := range regions[region] {
			i := slices.IndexFunc(mine, func(s slot) bool { return s.host == proxy.Host && s.port == proxy.Port && !taken[s.name] })
			if i < 0 {
				homeless = append(homeless, proxy)
				continue
			}
			taken[mine[i].name] = true
			if step, needed := keep(mine[i], proxy); needed {
				steps = append(steps, step)
			}
		}
		for _, s := range mine {
			switch {
			case taken[s.name]:
			case s.free() && len(homeless) > 0:
				steps = append(steps, place(s, homeless[0]))
				homeless = homeless[1:]
			case !s.free():
				if step, needed := retire(s); needed {
					steps = append(steps, step)
				}
			}
		}
		unplaced = append(unplaced, homeless...)
	}
	return steps, unplaced
}

// ours says that a slot was drained by retire, and not by its agent or an operator: only retire turns the agent off.
func (s slot) ours() bool { return s.drain && !s.agentOn }

// keep is for a proxy that has its slot.
func keep(s slot, proxy Proxy) (step, bool) {
	do := step{slot: s.name, addr: proxy.addr()}
	server := s.path()
	if s.admin != proxy.AdminPort || s.agent != proxy.agentPort() && (proxy.AgentPort != 0 || s.agent != 0) {
		do.what, do.commands = "its ports for checks have changed", checksOf(server, proxy)
	}
	if s.ours() {
		do.what = "it is back"
		do.commands = append(checksOf(server, proxy), "set server "+server+" state ready")
	}
	return do, do.what != ""
}

// place gives a free slot to a proxy. HAProxy takes a server that leaves maintenance for one that works until a check has failed, which
// is right only when somebody has seen it work.
func place(s slot, proxy Proxy) step {
	server := s.path()
	commands := []string{fmt.Sprintf("set server %s addr %s port %d", server, proxy.Host, proxy.Port)}
	commands = append(commands, checksOf(server, proxy)...)
	commands = append(commands, "set server "+server+" agent up", "set server "+server+" weight 100%") // not as the last one left it
	if !proxy.Ready {
		commands = append(commands, "set server "+server+" health down")
	}
	commands = append(commands, "set server "+server+" state ready")
	return step{what: "a proxy has come", slot: s.name, addr: proxy.addr(), commands: commands}
}

// retire takes a slot from a proxy that is gone.
func retire(s slot) (step, bool) {
	server := s.path()
	do := step{slot: s.name, addr: net.JoinHostPort(s.host, fmt.Sprint(s.port))}
	switch {
	case s.maint:
		return do, false // an operator's
	case s.up && !s.ours():
		do.what, do.commands = "a proxy is gone: no new clients", []string{"disable agent " + server, "set server " + server + " state drain"}
	case s.up && s.sessions > 0:
		return do, false
	default:
		do.what = "a proxy is gone: its slot is free"
		do.commands = []string{
			"set server " + server + " state maint",
			fmt.Sprintf("set server %s addr %s port %d", server, freeHost, freePort),
		}
	}
	return do, true
}

func (s slot) path() string { return Backend + "/" + s.name }

// checksOf turns the checks on, which is what lets their addresses be changed. While a server is in maintenance, they wait.
func checksOf(server string, proxy Proxy) []string {
	return []string{
		"enable health " + server,
		"enable agent " + server,
		fmt.Sprintf("set server %s check-addr %s port %d", server, proxy.Host, proxy.AdminPort),
		fmt.Sprintf("set server %s agent-addr %s port %d", server, proxy.Host, proxy.agentPort()),
	}
}

// agentPort is one that nobody answers at where there is no agent, which changes nothing.
func (s Server) agentPort() int { return max(s.AgentPort, freePort) }

// lookup finds the address of a host: the runtime socket takes no names.
func lookup(ctx context.Context, host string) (string, error) {
	if ip := net.ParseIP(host); ip != nil {
		return ip.String(), nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, strings.Compare) // several in any order would look like a move
	return found[0], nil
}
