package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/backend"
	"anabranch/internal/migration"
	"anabranch/syncer"
)

// runMigrateCheck is `anabranch migrate check`. It changes nothing.
func runMigrateCheck(ctx context.Context, args []string, stdout, _ io.Writer) error {
	d := newDirectRedis("migrate check", `usage: anabranch migrate check --redis URL [flags]

Looks at a Redis that is to become a region, and changes nothing: version and role, eviction,
modules, rights, memory for metadata, replicas, and who is connected. Ends with 1 when
something must be put right first.

`, stdout)
	if err := d.parse(args); err != nil {
		return err
	}
	client, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	check := &redisCheck{client: client, prefix: d.config.Prefix, backlog: d.config.BacklogSize}
	if err := check.run(ctx); err != nil {
		return err
	}
	check.found.write(stdout)
	return check.found.verdict(stdout, "the next step is --mode passive")
}

// redisCheck looks at one server.
type redisCheck struct {
	client  *redis.Client
	prefix  string
	backlog int64 // bytes
	info    map[string]string
	found   findings
}

func (c *redisCheck) run(ctx context.Context) (err error) {
	if c.info, err = infoOf(ctx, c.client); err != nil {
		return err
	}
	c.server(ctx)
	c.rights(ctx)
	if err := c.data(ctx); err != nil {
		return err
	}
	c.memory(ctx)
	c.replication()
	c.persistence()
	return c.clients(ctx)
}

// infoOf is INFO by field.
func infoOf(ctx context.Context, client *redis.Client) (map[string]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("INFO: %w", err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			info[name] = value
		}
	}
	return info, nil
}

func (c *redisCheck) number(name string) int64 { return number(c.info[name]) }

func (c *redisCheck) server(ctx context.Context) {
	err := c.client.FunctionList(ctx, redis.FunctionListQuery{LibraryNamePattern: "anabranch_*"}).Err()
	c.found.when(err == nil, levelNo, "version", "Redis %s%s", c.info["redis_version"], map[bool]string{false: "; 7.0 or newer is needed, with the right to FUNCTION"}[err == nil])
	c.found.when(c.info["role"] == "master", levelNo, "role", "%s%s", c.info["role"], map[bool]string{false: ": give the primary's address; a passive proxy may stand in front of a replica, a shadow or active one may not"}[c.info["role"] == "master"])
	c.found.when(c.info["cluster_enabled"] != "1", levelNo, "cluster", "%s", map[bool]string{true: "not a Redis Cluster", false: "Redis Cluster is not served by this version"}[c.info["cluster_enabled"] != "1"])
	policy := c.info["maxmemory_policy"]
	c.found.when(!strings.HasPrefix(policy, "allkeys"), levelNo, "eviction", "maxmemory-policy %s%s", policy,
		map[bool]string{false: " would evict metadata: change it to noeviction or volatile-*"}[!strings.HasPrefix(policy, "allkeys")])
	if modules, err := c.client.Do(ctx, "MODULE", "LIST").Slice(); err == nil {
		c.found.when(len(modules) == 0, levelLook, "modules", "%d loaded%s", len(modules), map[bool]string{false: ": their commands and types are refused in active mode; passive mode counts them"}[len(modules) == 0])
	}
	if limit, err := c.client.ConfigGet(ctx, "maxclients").Result(); err == nil {
		most, now := number(limit["maxclients"]), c.number("connected_clients")
		c.found.when(now*2 < most, levelLook, "connections", "%d of maxclients %d. Behind a passive proxy each client keeps one connection; shadow and active share a few", now, most)
	}
}

func (c *redisCheck) rights(ctx context.Context) {
	name, err := c.client.Do(ctx, "ACL", "WHOAMI").Text()
	if err != nil {
		c.found.add(levelLook, "user", "ACL WHOAMI: %v: the proxy's user needs all rights: ~* &* +@all", err)
		return
	}
	var lacks []string
	for _, command := range [][]any{{"ACL", "LIST"}, {"FUNCTION", "LIST", "LIBRARYNAME", "none"}, {"CONFIG", "GET", "databases"}, {"CLIENT", "LIST", "TYPE", "pubsub"}, {"EVAL", "return 1", 0}} {
		if err := c.client.Do(ctx, command...).Err(); err != nil && strings.Contains(err.Error(), "NOPERM") {
			lacks = append(lacks, fmt.Sprint(command[0]))
		}
	}
	switch {
	case len(lacks) > 0:
		c.found.add(levelNo, "user", "%s may not use %s: the proxy's user needs ~* &* +@all", name, strings.Join(lacks, ", "))
	case name == "default":
		c.found.add(levelLook, "user", "default: give the proxy a user of its own (docs/proxy.md, Users), or clients cannot change the default user's rules any more")
	default:
		c.found.add(levelOK, "user", "%s", name)
	}
}

func (c *redisCheck) data(ctx context.Context) error {
	databases, err := databasesOf(ctx, c.client)
	if err != nil {
		return err
	}
	u := &uninstall{client: c.client, prefix: c.prefix}
	all, _, err := u.scan(ctx, "count")
	if err != nil {
		return err
	}
	own, others, err := regionsIn(ctx, c.client, c.prefix)
	switch {
	case err != nil:
		return err
	case own != "":
		c.found.add(levelLook, "prefix", "%d keys of Anabranch's region %s, other members: %s", all.ours, own, strings.Join(append(others, ""), " "))
	default:
		c.found.when(all.ours == 0, levelNo, "prefix", "%d keys begin with %s%s", all.ours, c.prefix, map[bool]string{false: " and are the application's: clients could not reach them any more; choose another --prefix"}[all.ours == 0])
	}
	c.found.add(levelOK, "data", "%d keys in %d databases", all.theirs, len(databases))
	c.info["clients_keys"] = strconv.FormatInt(all.theirs, 10)
	return nil
}

// metadataBytes is about what a written key takes until its metadata is collected: a string less, a large collection more, as
// bench/README.md measures it.
const metadataBytes = 150

func (c *redisCheck) memory(ctx context.Context) {
	used, limit, keys := c.number("used_memory"), c.number("maxmemory"), c.number("clients_keys")
	need := c.backlog + keys*metadataBytes
	text := fmt.Sprintf("%s used; at most about %s more: a log of %s (--backlog-size), and some %d bytes for each key that is written, until they are collected",
		showSize(used), showSize(need), showSize(c.backlog), metadataBytes)
	switch {
	case limit == 0:
		c.found.add(levelLook, "memory", "%s. maxmemory is not set: make sure that the machine has it", text)
	default:
		c.found.when(used+need < limit, levelLook, "memory", "%s; maxmemory %s", text, showSize(limit))
	}
}

func (c *redisCheck) replication() {
	n := c.number("connected_slaves")
	c.found.when(n > 0, levelLook, "replicas", "%d%s", n, map[bool]string{false: ": the other region's can be one, or begin empty"}[n > 0])
	for i := range n {
		fields := map[string]string{}
		for part := range strings.SplitSeq(c.info["slave"+strconv.FormatInt(i, 10)], ",") {
			name, value, _ := strings.Cut(part, "=")
			fields[name] = value
		}
		behind := c.number("master_repl_offset") - number(fields["offset"])
		c.found.when(fields["state"] == "online", levelLook, "  replica", "%s:%s %s, %d bytes behind", fields["ip"], fields["port"], fields["state"], behind)
	}
}

func (c *redisCheck) persistence() {
	aof, rdb := c.info["aof_enabled"] == "1", c.info["rdb_last_bgsave_status"]
	c.found.when(rdb == "ok", levelLook, "persistence", "append-only file: %s, last save: %s", map[bool]string{true: "on", false: "off"}[aof], rdb)
}

// clients lists who would have to move to a proxy.
func (c *redisCheck) clients(ctx context.Context) error {
	list, err := c.client.ClientList(ctx).Result()
	if err != nil {
		return errors.Join(errors.New("CLIENT LIST"), err)
	}
	hosts := map[string]int{}
	passive := 0
	for _, client := range migration.ClientsOf(list) {
		switch {
		case client.Name == syncer.PassiveName:
			passive++
		case !strings.HasPrefix(client.Name, backend.LaneName):
			hosts[hostOf(client.Addr)]++
		}
	}
	var names []string
	for host, n := range hosts {
		names = append(names, fmt.Sprintf("%s (%d)", host, n))
	}
	slices.Sort(names)
	c.found.add(levelOK, "clients", "connected to this Redis: %s; %d passive proxies. All that write must come through proxies before shadow mode", strings.Join(names[:min(len(names), 20)], ", "), passive)
	return nil
}
