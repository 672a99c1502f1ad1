package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"anabranch/internal/migration"
)

// runMigrateReport is `anabranch migrate report`.
func runMigrateReport(ctx context.Context, args []string, stdout, _ io.Writer) error {
	flags := pflag.NewFlagSet("migrate report", pflag.ContinueOnError)
	flags.SortFlags = false
	admins := flags.StringSlice("admin", nil, "admin ports of all proxies of both regions: HOST:PORT[,HOST:PORT…]")
	asJSON := flags.Bool("json", false, "one JSON object, for programs")
	least := flags.Duration("min-time", 24*time.Hour, "how long proxies must have watched: what an application does once a day is seen then")
	lossy := flags.Float64("max-lossy", 0, "percentage of writes that may lose against a concurrent one, once you have looked at them and found it right")
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprint(stdout, `usage: anabranch migrate report --admin HOST:PORT[,HOST:PORT…] [flags]

Asks proxies in passive or shadow mode what they have seen, and says whether the next step may
be taken: 0 is go, 1 is no go, 2 that somebody could not be asked.

`)
		writeFlags(stdout, flags, false)
	}
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if len(*admins) == 0 {
		return &usageError{errors.New("--admin: is required: the admin ports of all proxies")}
	}
	var documents []migration.Document
	for _, addr := range *admins {
		d, err := askMigration(ctx, addr)
		if err != nil {
			return &incompleteError{fmt.Errorf("%s: %w", addr, err)}
		}
		documents = append(documents, d)
	}
	r := &migrationReport{documents: documents, least: *least, lossy: *lossy}
	found := r.judge()
	if *asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"go": found.count(levelNo) == 0, "findings": found, "proxies": documents}); err != nil {
			return err
		}
		if found.count(levelNo) > 0 {
			return errSilent
		}
		return nil
	}
	found.write(stdout)
	return found.verdict(stdout, r.next())
}

// askMigration gets one proxy's document.
func askMigration(ctx context.Context, addr string) (d migration.Document, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/migration", nil)
	if err != nil {
		return d, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return d, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return d, fmt.Errorf("/migration: %s", response.Status)
	}
	return d, json.NewDecoder(io.LimitReader(response.Body, 4<<20)).Decode(&d)
}

// migrationReport joins what proxies say.
type migrationReport struct {
	documents []migration.Document
	least     time.Duration
	lossy     float64
}

func (r *migrationReport) mode() string { return r.documents[0].Mode }

func (r *migrationReport) next() string {
	switch r.mode() {
	case modePassive:
		return "the next step is --mode shadow, proxy by proxy"
	case modeShadow:
		return "the next step is --mode active, first for all proxies of the region with the primary"
	}
	return "all of these are active"
}

func (r *migrationReport) judge() (f findings) {
	r.proxies(&f)
	r.commands(&f)
	r.strangers(&f)
	if r.mode() != modePassive {
		r.record(&f)
	}
	if r.mode() == modeShadow {
		r.conflicts(&f)
	}
	r.cost(&f)
	return f
}

func (r *migrationReport) proxies(f *findings) {
	regions, modes := map[string]bool{}, map[string]bool{}
	var commands, writes int64
	shortest := time.Duration(1<<63 - 1)
	for _, d := range r.documents {
		regions[d.Region], modes[d.Mode] = true, true
		commands, writes = commands+d.Commands, writes+d.Writes
		shortest = min(shortest, d.Time.Sub(d.StartedAt))
		if d.Error != "" {
			f.add(levelNo, "proxy", "%s %.8s: %s", d.Region, d.RunID, d.Error)
		}
	}
	f.when(len(modes) == 1, levelNo, "mode", "%s, %d proxies of %s", keysOf(modes), len(r.documents), keysOf(regions))
	f.when(shortest >= r.least, levelNo, "time", "%s watched%s", shortest.Round(time.Second), map[bool]string{false: fmt.Sprintf("; let it be %v (--min-time)", r.least)}[shortest >= r.least])
	f.when(commands > 0, levelNo, "commands", "%d, of which %d write", commands, writes)
}

func (r *migrationReport) commands(f *findings) {
	refused := map[[2]string]int64{}
	for _, d := range r.documents {
		for _, one := range d.Refused {
			refused[[2]string{one.Command, one.Reason}] += one.Count
		}
	}
	if len(refused) == 0 {
		f.add(levelOK, "refused", "no command that active mode would refuse")
	}
	for _, one := range sortedCounts(refused) {
		f.add(levelNo, "refused", "%s, %d times: %s", one[0], refused[one], one[1])
	}
	notices := map[[2]string]int64{}
	for _, d := range r.documents {
		for _, one := range d.Notices {
			notices[[2]string{strings.Join(one.Commands, " "), one.Text}] += one.Count
		}
	}
	for _, one := range sortedCounts(notices) {
		f.add(levelLook, "different", "%s, %d times: %s", one[0], notices[one], one[1])
	}
}

func sortedCounts(counts map[[2]string]int64) (list [][2]string) {
	for one := range counts {
		list = append(list, one)
	}
	sort.Slice(list, func(i, j int) bool {
		if counts[list[i]] != counts[list[j]] {
			return counts[list[i]] > counts[list[j]]
		}
		return list[i][0]+list[i][1] < list[j][0]+list[j][1]
	})
	return list
}

// strangers are seen by every proxy of the same Redis alike.
func (r *migrationReport) strangers(f *findings) {
	seen := map[string]bool{}
	for _, d := range r.documents {
		for _, s := range d.Strangers {
			if !seen[s.Addr] {
				seen[s.Addr] = true
				level, text := levelLook, ""
				if s.Writes {
					level, text = levelNo, ": it writes past the proxies, which nobody else would see"
				}
				f.add(level, "past proxies", "%s (name %q, user %s) is connected to Redis itself, last command %s%s", s.Addr, s.Name, s.User, s.Command, text)
			}
		}
	}
	if len(seen) == 0 && r.mode() != modePassive {
		f.add(levelOK, "past proxies", "nobody is connected to Redis itself but proxies")
	}
}

func (r *migrationReport) record(f *findings) {
	for _, d := range r.documents {
		if !d.Recording {
			f.add(levelNo, "record", "nothing is recorded: %d passive proxies are in front of this Redis; it begins some seconds after the last one is gone", d.Passive)
			return
		}
	}
	s := r.documents[0].Storage
	if s == nil {
		return
	}
	f.add(levelOK, "record", "%d of %d keys have metadata at the moment, about %s: %d bytes for each of these, and %d for each key that there is; the log takes %s of at most %s", s.Companions, s.Keys,
		showSize(s.CompanionBytes), s.CompanionBytes/max(1, s.Companions), s.CompanionBytes/max(1, s.Keys), showSize(s.LogBytes), showSize(s.LogLimit))
	if s.LimitBytes > 0 {
		f.when(s.UsedBytes+s.LogLimit-s.LogBytes < s.LimitBytes, levelNo, "memory", "%s of %s used, and the log may grow by %s", showSize(s.UsedBytes), showSize(s.LimitBytes), showSize(s.LogLimit-s.LogBytes))
	}
}

// conflicts takes the proxy that has watched longest: each one sees the writes of all.
func (r *migrationReport) conflicts(f *findings) {
	var c *migration.Conflicts
	for _, d := range r.documents {
		if d.Conflicts != nil && (c == nil || d.Conflicts.Writes > c.Writes) {
			c = d.Conflicts
		}
	}
	if c == nil {
		return
	}
	f.when(len(c.Regions) > 1, levelLook, "regions", "writes of %s were compared%s", strings.Join(c.Regions, ", "),
		map[bool]string{false: ": conflicts need the clients of both regions, each through a proxy of its own"}[len(c.Regions) > 1])
	if c.Unseen > 0 {
		f.add(levelLook, "not compared", "%d writes: too many at once", c.Unseen)
	}
	share := percent(c.Lossy, c.Writes)
	f.when(share <= r.lossy, levelNo, "conflicts", "%d of %d writes met one of another region within %d ms; %d (%.3f%%) would lose, or happen twice%s", c.Met, c.Writes, c.WindowMillis, c.Lossy, share,
		map[bool]string{false: ". Look at them, and say with --max-lossy how many are right"}[share <= r.lossy])
	for _, name := range sortedNames(c.Outcomes) {
		f.add(levelOK, "", "%d × %s", c.Outcomes[name], name)
	}
	for _, k := range c.Keys {
		f.add(levelLook, "", "key %q: %d × %s", k.Key, k.Met, k.Outcome)
	}
}

func sortedNames(counts map[string]int64) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return counts[names[i]] > counts[names[j]] })
	return names
}

func percent(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

func (r *migrationReport) cost(f *findings) {
	for _, d := range r.documents {
		if d.Cost.RedisWrites == 0 && d.Cost.ProxyMicros == 0 {
			continue
		}
		what := "a write command, natively"
		if d.Mode != modePassive {
			what = "an effect, by the engine"
		}
		f.add(levelOK, "time spent", "%s %.8s: Redis %.1f µs for %s (mean of %d); this proxy %.1f µs of CPU for a command", d.Region, d.RunID, d.Cost.RedisMicrosPerWrite, what, d.Cost.RedisWrites, d.Cost.ProxyMicros)
	}
}

func keysOf(set map[string]bool) string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
