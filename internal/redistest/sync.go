package redistest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// syncLimit is how long regions may take to exchange everything when nothing separates them. After losses that is several merges, one
	// after the other.
	syncLimit = 2 * time.Minute
	// stillFor is how long nothing may move before a sync during a partition is taken as finished.
	stillFor = 400 * time.Millisecond
)

// crdt runs a CRDT subcommand in the region, through whichever proxy is alive.
func (r *Region) crdt(args ...string) (Reply, error) {
	args = append([]string{"CRDT"}, args...)
	if r.control != nil {
		if reply, err := r.control.Try(args...); err == nil {
			return reply, nil
		}
		r.control.Close()
		r.control = nil
	}
	for _, proxy := range r.Proxies {
		if !proxy.Running() {
			continue
		}
		conn, err := TryDial(r.t, proxy.Addr)
		if err != nil {
			continue
		}
		r.control = conn
		return conn.Try(args...)
	}
	return Reply{}, fmt.Errorf("region %s: no proxy is running", r.Name)
}

// run is crdt with an error reply as an error.
func (r *Region) run(args ...string) (Reply, error) {
	reply, err := r.crdt(args...)
	if err == nil && reply.IsError() {
		err = errors.New(reply.Text)
	}
	if err != nil {
		err = fmt.Errorf("region %s: CRDT %s: %w", r.Name, strings.Join(args, " "), err)
	}
	return reply, err
}

// CRDT runs a CRDT subcommand in the region and fails the test on an error.
func (r *Region) CRDT(args ...string) Reply {
	r.t.Helper()
	reply, err := r.run(args...)
	if err != nil {
		r.t.Fatalf("redistest: %v", err)
	}
	return reply
}

// PauseAll stops every region from taking effects.
func (c *Cluster) PauseAll() {
	c.t.Helper()
	c.must(c.pauseAll())
}

// ResumeAll lets every region take effects again, except over links that Partition has cut.
func (c *Cluster) ResumeAll() {
	c.t.Helper()
	c.must(c.resumeAll())
}

// Partition cuts the link between two regions until Heal.
func (c *Cluster) Partition(x, y string) {
	c.t.Helper()
	c.cut[pair(x, y)] = true
	c.Region(x).CRDT("PAUSE", y)
	c.Region(y).CRDT("PAUSE", x)
}

// Heal restores all links that Partition has cut. Effects flow again at the next Sync or ResumeAll.
func (c *Cluster) Heal() { c.cut = map[[2]string]bool{} }

// Sync resumes all links that are not cut, waits until every region has what it can get, and pauses everything.
func (c *Cluster) Sync() {
	c.t.Helper()
	c.must(c.TrySync())
}

// TrySync is Sync for tests that expect it to fail.
func (c *Cluster) TrySync() error {
	if err := c.resumeAll(); err != nil {
		return err
	}
	if err := c.TryConverge(); err != nil {
		return err
	}
	return c.pauseAll()
}

// Converge waits until every region has applied everything of the others. While a partition lasts, effects that depend
// on what is cut off stay where they are; then it waits until nothing moves any more.
func (c *Cluster) Converge() {
	c.t.Helper()
	c.must(c.TryConverge())
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("redistest: %v", err)
	}
}

func (c *Cluster) pauseAll() error {
	if len(c.Regions) == 1 {
		return nil
	}
	for _, region := range c.Regions {
		if _, err := region.run("PAUSE", "ALL"); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) resumeAll() error {
	for _, region := range c.Regions {
		for _, other := range c.linked(region) {
			if _, err := region.run("RESUME", other.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// TryConverge is Converge for tests that expect it to fail.
func (c *Cluster) TryConverge() error {
	var (
		started = time.Now()
		before  string
		since   = time.Now()
	)
	for {
		missing := c.unacknowledged()
		if missing == "" {
			return nil
		}
		if now := c.frontiers(); now != before {
			before, since = now, time.Now()
		}
		if len(c.cut) > 0 && time.Since(since) > stillFor {
			return nil
		}
		if time.Since(started) > syncLimit {
			return fmt.Errorf("no convergence within %v: %s\n%s", syncLimit, missing, c.Explain())
		}
	}
}

// unacknowledged asks each region how many of the others have all of its effects, and names the first that waits, or cannot tell: its server
// may have moved in that moment.
func (c *Cluster) unacknowledged() string {
	for _, region := range c.Regions {
		want := len(c.linked(region))
		if want == 0 {
			continue
		}
		reply, err := region.run("WAIT", strconv.Itoa(want), c.waitMillis())
		if err != nil {
			return fmt.Sprintf("region %s: %v", region.Name, err)
		}
		if got := reply.Int(); got < int64(want) {
			return fmt.Sprintf("region %s: %d of %d others have applied its effects", region.Name, got, want)
		}
	}
	return ""
}

// waitMillis is how long one CRDT WAIT may take. Under load it must be long enough for what was written before it began;
// during a partition it must be short, because it may be for something that cannot come.
func (c *Cluster) waitMillis() string {
	if len(c.cut) > 0 {
		return "100"
	}
	return "3000"
}

// linked is the other regions that no Partition separates from this one.
func (c *Cluster) linked(region *Region) []*Region {
	var linked []*Region
	for _, other := range c.Regions {
		if other != region && !c.cut[pair(region.Name, other.Name)] {
			linked = append(linked, other)
		}
	}
	return linked
}

// frontiers prints what every region has applied, read past the proxies from where the engine keeps it.
func (c *Cluster) frontiers() string {
	var out strings.Builder
	for _, region := range c.Regions {
		if !region.Redis.Running() {
			continue
		}
		frontier, err := region.Redis.observer().HGetAll(region.t.Context(), "crdt:frontier").Result()
		if err != nil {
			fmt.Fprintf(&out, "%s: %v\n", region.Name, err)
			continue
		}
		fmt.Fprintf(&out, "%s:", region.Name)
		for _, origin := range slices.Sorted(maps.Keys(frontier)) {
			fmt.Fprintf(&out, " %s=%s", origin, frontier[origin])
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// Explain says what every region has applied, and what its links do.
func (c *Cluster) Explain() string {
	out := c.frontiers()
	for _, region := range c.Regions {
		if reply, err := region.crdt("STATUS"); err == nil {
			out += fmt.Sprintf("%s status: %s\n", region.Name, reply)
		}
	}
	return out
}

func pair(x, y string) [2]string { return [2]string{min(x, y), max(x, y)} }
