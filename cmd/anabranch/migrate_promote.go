package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// runMigratePromote is `anabranch migrate promote`.
func runMigratePromote(ctx context.Context, args []string, stdout, _ io.Writer) error {
	d := newDirectRedis("migrate promote", `usage: anabranch migrate promote --redis URL --region NAME --admin HOST:PORT[,HOST:PORT…] [flags]

Makes a replica of the first region's Redis the primary of a region of its own (REPLICAOF NO
ONE), after it has made sure that nothing is lost by it: the proxies of the first region are
active and record, keep their log for the new region, and the replica has their metadata and
has caught up.

`, stdout)
	region := d.String("region", "", "name that the new region will have")
	admins := d.StringSlice("admin", nil, "admin ports of all proxies of the first region")
	dry := d.Bool("dry-run", false, "check only")
	if err := d.parse(args); err != nil {
		return err
	}
	if *region == "" || len(*admins) == 0 {
		return &usageError{errors.New("--region, --admin: are required: the new region's name, and the first region's proxies")}
	}
	client, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	p := &promotion{client: client, prefix: d.config.Prefix, region: *region}
	if err := p.check(ctx, *admins); err != nil {
		return err
	}
	p.found.write(stdout)
	if err := p.found.verdict(stdout, "this replica may become region "+*region); err != nil || *dry {
		return err
	}
	if err := client.Do(ctx, "REPLICAOF", "NO", "ONE").Err(); err != nil {
		return fmt.Errorf("REPLICAOF NO ONE: %w", err)
	}
	info, err := infoOf(ctx, client)
	if err != nil || info["role"] != "master" {
		return fmt.Errorf("REPLICAOF NO ONE was answered with OK, but the role is %q (%w): does a Sentinel guard this server?", info["role"], err)
	}
	fmt.Fprintf(stdout, "promoted: %s is a primary now. Start region %s's proxies on it at once, with --mode active --copy-of %s\n", d.config.Redis, *region, p.first)
	if err := client.ConfigRewrite(ctx).Err(); err != nil {
		fmt.Fprintf(stdout, "note: CONFIG REWRITE: %v: take \"replicaof\" out of its configuration, or its next start follows the old primary\n", err)
	}
	return nil
}

// promotion looks at both sides. What the replica lacks in the end comes from the first region's log, so it need not have everything.
type promotion struct {
	client *redis.Client
	prefix string
	region string
	first  string // the region that this is a copy of
	found  findings
}

func (p *promotion) check(ctx context.Context, admins []string) error {
	for _, addr := range admins {
		d, err := askMigration(ctx, addr)
		if err != nil {
			return &incompleteError{fmt.Errorf("%s: %w", addr, err)}
		}
		status, err := statusOverHTTP(ctx, addr)
		if err != nil {
			return &incompleteError{fmt.Errorf("%s: %w", addr, err)}
		}
		p.first = d.Region
		name := fmt.Sprintf("region %s, %.8s", d.Region, d.RunID)
		p.found.when(d.Mode == modeActive, levelNo, "mode", "%s: %s", name, d.Mode)
		p.found.when(d.Recording && d.Passive == 0, levelNo, "record", "%s: recording: %v, passive proxies: %d", name, d.Recording, d.Passive)
		var peers []string
		met := false
		for _, peer := range status.Peers {
			peers = append(peers, peer.Name)
			met = met || peer.Name == p.region && peer.ID != 0
		}
		p.found.when(slices.Contains(peers, p.region), levelNo, "log", "%s keeps its log for: %s", name, strings.Join(peers, ", "))
		p.found.when(!met, levelNo, "new", "%s has met a region %s before: %v", name, p.region, met)
		for _, s := range d.Strangers {
			if s.Writes {
				p.found.add(levelNo, "past proxies", "%s writes to Redis itself (%s)", s.Addr, s.Command)
			}
		}
	}
	return p.replica(ctx)
}

func (p *promotion) replica(ctx context.Context) error {
	info, err := infoOf(ctx, p.client)
	if err != nil {
		return err
	}
	p.found.when(info["role"] == "slave", levelNo, "role", "%s of %s:%s", info["role"], info["master_host"], info["master_port"])
	p.found.when(info["master_link_status"] == "up" && info["master_sync_in_progress"] == "0", levelNo, "replication", "link to the primary: %s, last heard %s s ago", info["master_link_status"], info["master_last_io_seconds_ago"])
	own, _, err := regionsIn(ctx, p.client, p.prefix)
	if err != nil {
		return err
	}
	p.found.when(own != "" && own == p.first, levelNo, "metadata", "of region %q, and the proxies are of region %q", own, p.first)
	plain, err := p.client.Exists(ctx, p.prefix+"plain").Result()
	if err != nil {
		return err
	}
	p.found.when(plain == 0, levelNo, "metadata", "up to date here: %v", plain == 0)
	policy := info["maxmemory_policy"]
	p.found.when(!strings.HasPrefix(policy, "allkeys"), levelNo, "eviction", "maxmemory-policy %s", policy)
	return nil
}
