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
)

// runUninstall is `anabranch uninstall`: what is left is a plain Redis with all that clients have stored.
//
// Reads of clients go to Redis as they are, so what clients saw through a proxy is what plain Redis has; all that is Anabranch's
// lies under the prefix.
func runUninstall(ctx context.Context, args []string, stdout, _ io.Writer) error {
	d := newDirectRedis("uninstall", `usage: anabranch uninstall --redis URL [--dry-run] [flags]

Takes Anabranch out of a Redis: removes its keys from every database, page by page while Redis
serves, and its library. Data stays as clients saw it. Stop every "anabranch serve" of the
region first, or start them with --mode passive: it refuses while one keeps metadata there.

`, stdout)
	dry := d.Bool("dry-run", false, "say what would be removed, and remove nothing")
	if err := d.parse(args); err != nil {
		return err
	}
	client, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	u := &uninstall{client: client, prefix: d.config.Prefix, out: stdout}
	if *dry {
		return u.show(ctx)
	}
	return u.run(ctx)
}

type uninstall struct {
	client *redis.Client
	prefix string
	out    io.Writer
}

// uninstallPage looks at one page of names in a database, and removes those that are ours, or counts them with their bytes. Redis itself
// compares names byte by byte: one may hold line breaks, and the prefix what SCAN takes for a pattern. The lease says until when its
// holder has it, by Redis's clock in ms, and how long it can be; while a proxy holds it, nothing is removed.
var uninstallPage = redis.NewScript(`
local prefix, db, cursor, remove = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == 'remove'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends, length = string.match(redis.call('GET', prefix .. 'lease') or '', '^%S+ (%d+) (%d+)$')
local led = ends and tonumber(ends) > now and tonumber(ends) <= now + length
if led and remove then return redis.error_reply('CRDTLED') end
redis.call('SELECT', db)
local page, ours, bytes, theirs = redis.call('SCAN', cursor, 'COUNT', 1000), {}, 0, 0
for _, name in ipairs(page[2]) do
  if string.sub(name, 1, #prefix) == prefix then ours[#ours + 1] = name else theirs = theirs + 1 end
end
for _, name in ipairs(ours) do
  if remove then redis.call('UNLINK', name) else bytes = bytes + (redis.call('MEMORY', 'USAGE', name) or 0) end
end
return {page[1], #ours, theirs, bytes, led and 1 or 0}`)

// scanned is what pages have come to. A key may come twice in a scan, so those of clients are about right while they write.
type scanned struct{ ours, theirs, bytes, led int64 }

var errLed = errors.New("an \"anabranch serve\" keeps metadata in this Redis (or ended less than some seconds ago): stop it, or start it with --mode passive, and try again")

// scan goes through all databases that have keys.
func (u *uninstall) scan(ctx context.Context, what string) (all scanned, databases int, err error) {
	list, err := databasesOf(ctx, u.client)
	if err != nil {
		return all, 0, err
	}
	for _, db := range list {
		for cursor := "0"; ; {
			reply, err := uninstallPage.Run(ctx, u.client, nil, u.prefix, db, cursor, what).Slice()
			if err != nil && strings.Contains(err.Error(), "CRDTLED") {
				return all, 0, errLed
			}
			if err != nil || len(reply) != 5 {
				return all, 0, fmt.Errorf("database %d: %w", db, err)
			}
			numbers := [5]int64{}
			for i := 1; i < 5; i++ {
				numbers[i], _ = reply[i].(int64)
			}
			all.ours, all.theirs, all.bytes, all.led = all.ours+numbers[1], all.theirs+numbers[2], all.bytes+numbers[3], all.led|numbers[4]
			if cursor, _ = reply[0].(string); cursor == "0" || cursor == "" {
				break
			}
		}
	}
	return all, len(list), nil
}

func (u *uninstall) show(ctx context.Context) error {
	all, databases, err := u.scan(ctx, "count")
	if err != nil {
		return err
	}
	fmt.Fprintf(u.out, "would remove %d keys of Anabranch's own with %s from %d databases; %d keys of clients stay\n", all.ours, showSize(all.bytes), databases, all.theirs)
	loaded, err := u.libraries(ctx)
	if err != nil {
		return err
	}
	for _, name := range loaded {
		fmt.Fprintf(u.out, "would remove the library %s\n", name)
	}
	u.hint(ctx)
	if all.led != 0 {
		return errLed
	}
	return nil
}

// run removes the library first: nobody can write metadata without it, and a proxy that comes and loads it again takes the lease.
func (u *uninstall) run(ctx context.Context) error {
	switch led, err := u.ledNow(ctx); {
	case err != nil:
		return err
	case led:
		return errLed
	}
	u.hint(ctx)
	loaded, err := u.libraries(ctx)
	if err != nil {
		return err
	}
	for _, name := range loaded {
		if err := u.client.FunctionDelete(ctx, name).Err(); err != nil {
			return fmt.Errorf("FUNCTION DELETE %s: %w", name, err)
		}
	}
	all, databases, err := u.scan(ctx, "remove")
	if err != nil {
		return err
	}
	fmt.Fprintf(u.out, "removed %d keys of Anabranch's own from %d databases\n", all.ours, databases)
	for _, name := range loaded {
		fmt.Fprintf(u.out, "removed the library %s\n", name)
	}
	fmt.Fprintf(u.out, "%d keys of clients stay as they were\n", all.theirs)
	return nil
}

// ledNow asks without touching a page.
func (u *uninstall) ledNow(ctx context.Context) (bool, error) {
	reply, err := uninstallPage.Run(ctx, u.client, nil, u.prefix, 0, "0", "count").Slice()
	if err != nil || len(reply) != 5 {
		return false, err
	}
	return reply[4] == int64(1), nil
}

// libraries lists those that are ours. A server without functions has none.
func (u *uninstall) libraries(ctx context.Context) (names []string, err error) {
	all, err := u.client.FunctionList(ctx, redis.FunctionListQuery{LibraryNamePattern: "anabranch_*"}).Result()
	if err != nil && strings.Contains(err.Error(), "unknown command") {
		return nil, nil
	}
	for _, library := range all {
		names = append(names, library.Name)
	}
	return names, err
}

// hint names the regions that still count on this one.
func (u *uninstall) hint(ctx context.Context) {
	own, others, err := regionsIn(ctx, u.client, u.prefix)
	if err != nil || len(others) == 0 {
		return
	}
	fmt.Fprintf(u.out, "note: region %s has not been removed from the membership: run \"anabranch members remove %s\" at region %s, or it keeps metadata for this one\n",
		strings.Join(others, ", "), own, others[0])
}

// knownRegions answers the region that the data belongs to, "" for none, and then the names of the others that are its members.
var knownRegions = redis.NewScript(`
local prefix = ARGV[1]
local self = redis.call('GET', prefix .. 'self')
self = self and cmsgpack.unpack(self) or {name = '', region = 0}
local removed, list = {}, {self.name}
local roster = redis.call('HGETALL', prefix .. 'roster')
for i = 1, #roster, 2 do removed[roster[i]] = cjson.decode(roster[i + 1]).removed end
local all = redis.call('HGETALL', prefix .. 'members')
for i = 1, #all, 2 do
  local name = all[i] ~= 'version' and cmsgpack.unpack(all[i + 1]).name
  if name and name ~= self.name and not removed[name] then list[#list + 1] = name end
end
return list`)

func regionsIn(ctx context.Context, client *redis.Client, prefix string) (own string, others []string, err error) {
	list, err := knownRegions.Run(ctx, client, nil, prefix).StringSlice()
	if err != nil || len(list) == 0 {
		return "", nil, err
	}
	return list[0], list[1:], nil
}

// databasesOf lists the databases that have keys.
func databasesOf(ctx context.Context, client *redis.Client) (list []int, err error) {
	info, err := client.Info(ctx, "keyspace").Result()
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(info) {
		name, _, found := strings.Cut(line, ":")
		if digits, ok := strings.CutPrefix(name, "db"); found && ok {
			if db, err := strconv.Atoi(digits); err == nil {
				list = append(list, db)
			}
		}
	}
	slices.Sort(list)
	return list, nil
}

// showSize is for people: two digits are enough.
func showSize(bytes int64) string {
	value, unit := float64(bytes), 0
	for ; value >= 1024 && unit < 4; unit++ {
		value /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.1f %s", value, []string{"", "KiB", "MiB", "GiB", "TiB"}[unit])
}
