package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/resp"

	"anabranch/internal/sandbox"
)

const (
	demoReplyLimit = 10 * time.Second
	demoSyncMillis = "10000" // for CRDT WAIT
	// demoPause lies between two writes of a step, so that "later" is plain also to somebody who reads the clock.
	demoPause = 5 * time.Millisecond
)

// player runs the steps over one connection to each region.
type player struct {
	out     *screen
	regions []*sandbox.Region
	clients map[string]*redisClient
}

func newPlayer(out *screen, regions []*sandbox.Region) *player {
	return &player{out: out, regions: regions, clients: map[string]*redisClient{}}
}

func (p *player) close() {
	for _, client := range p.clients {
		client.close()
	}
}

// run sends a command line to a region.
func (p *player) run(ctx context.Context, region *sandbox.Region, command string) (resp.Value, error) {
	client := p.clients[region.Name]
	if client == nil {
		var err error
		if client, err = dialRedis(ctx, region.Addr); err != nil {
			return resp.Value{}, err
		}
		p.clients[region.Name] = client
	}
	reply, err := client.do(ctx, 2*demoReplyLimit, strings.Fields(command)...)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return reply, err
}

// must is run for commands whose refusal ends the demo.
func (p *player) must(ctx context.Context, region *sandbox.Region, command string) (resp.Value, error) {
	reply, err := p.run(ctx, region, command)
	if err == nil && reply.Type() == resp.Error {
		err = fmt.Errorf("region %s: %s: %s", region.Name, command, reply)
	}
	return reply, err
}

func (p *player) everywhere(ctx context.Context, command string) error {
	for _, region := range p.regions {
		if _, err := p.must(ctx, region, command); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until every region has what the others wrote.
func (p *player) settle(ctx context.Context) error {
	for _, region := range p.regions {
		others := len(p.regions) - 1
		reply, err := p.must(ctx, region, fmt.Sprintf("CRDT WAIT %d %s", others, demoSyncMillis))
		if err != nil {
			return err
		}
		if reply.Integer() < others {
			return fmt.Errorf("what region %s wrote did not arrive within %s ms", region.Name, demoSyncMillis)
		}
	}
	return nil
}

func (p *player) region(name string) *sandbox.Region {
	for _, region := range p.regions {
		if region.Name == name {
			return region
		}
	}
	panic("demo: no region " + name) // the steps are our own
}

// showReplication writes in A and reads in B, before anything is in conflict.
func (p *player) showReplication(ctx context.Context) error {
	if err := p.settle(ctx); err != nil {
		return err
	}
	a, b := p.regions[0], p.regions[1]
	p.out.heading("What is written in one region arrives in the other")
	const write, check = "SET greeting hello", "GET greeting"
	reply, err := p.must(ctx, a, write)
	if err != nil {
		return err
	}
	written := time.Now()
	p.out.exchange(a.Name, write, show(reply))
	for {
		reply, err := p.must(ctx, b, check)
		if err != nil {
			return err
		}
		if !reply.IsNull() {
			p.out.exchange(b.Name, check, show(reply))
			p.out.note("there after %.1f ms; A had answered at once, and does not wait for B", float64(time.Since(written).Microseconds())/1000)
			return nil
		}
		if time.Since(written) > demoReplyLimit {
			return fmt.Errorf("%s did not arrive in region %s within %v", write, b.Name, demoReplyLimit)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// play runs one step and says whether every reply was what the rule says, in both regions.
func (p *player) play(ctx context.Context, number int, step demoStep) (ok bool, err error) {
	p.out.heading(fmt.Sprintf("%d. %s", number, step.title))
	for _, command := range step.before {
		reply, err := p.must(ctx, p.regions[0], command)
		if err != nil {
			return false, err
		}
		p.out.exchange(p.regions[0].Name, command, show(reply))
	}
	if err := p.settle(ctx); err != nil {
		return false, err
	}
	if err := p.everywhere(ctx, "CRDT PAUSE ALL"); err != nil {
		return false, err
	}
	p.out.note("link paused: neither region sees what the other one writes now")
	for _, w := range step.during {
		time.Sleep(demoPause)
		reply, err := p.must(ctx, p.region(w.region), w.command)
		if err != nil {
			return false, err
		}
		p.out.exchange(w.region, w.command, show(reply))
	}
	if err := p.everywhere(ctx, "CRDT RESUME ALL"); err != nil {
		return false, err
	}
	if err := p.settle(ctx); err != nil {
		return false, err
	}
	p.out.note("link resumed, everything has arrived")
	ok = true
	for _, r := range step.reads {
		wrong, err := p.readEverywhere(ctx, r)
		if err != nil {
			return false, err
		}
		if wrong != "" {
			p.out.wrong(wrong)
			ok = false
		}
	}
	p.out.rule(ok, step.rule)
	return ok, nil
}

// readEverywhere reads in every region and says what is wrong with the replies, or nothing.
func (p *player) readEverywhere(ctx context.Context, r read) (wrong string, err error) {
	first := ""
	for i, region := range p.regions {
		reply, err := p.run(ctx, region, r.command)
		if err != nil {
			return "", err
		}
		text := show(reply)
		if r.sorted {
			text = showSorted(reply)
		}
		p.out.exchange(region.Name, r.command, text)
		switch {
		case r.check != nil:
			if err := r.check(reply); err != nil {
				wrong = err.Error()
			}
		case text != r.want:
			wrong = "expected " + r.want
		}
		if i == 0 {
			first = text
		} else if text != first && !r.differs {
			wrong = "the regions differ"
		}
	}
	return wrong, nil
}
