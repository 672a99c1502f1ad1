package syncer

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Databases other than 0 are read by scripts: what a script selects is forgotten with its end, whatever happens to it, and the
// connections stay in database 0.

var scanDatabase = newReader(`
redis.call('SELECT', ARGV[1])
return redis.call('SCAN', ARGV[2], 'COUNT', ARGV[3])`)

var sizeDatabase = newReader(`
redis.call('SELECT', ARGV[1])
return redis.call('DBSIZE')`)

// scanPage is a page of SCAN in a database, of about so many names: those of companions, too.
func (s *Syncer) scanPage(ctx context.Context, db int, cursor uint64, count int) (names []string, next uint64, err error) {
	parts, err := scanDatabase.Run(ctx, s.cfg.Redis, nil, db, strconv.FormatUint(cursor, 10), count).Slice()
	if err != nil {
		return nil, 0, err
	}
	if len(parts) != 2 {
		return nil, 0, fmt.Errorf("%w: SCAN", errReply)
	}
	if next, err = strconv.ParseUint(fmt.Sprint(parts[0]), 10, 64); err != nil {
		return nil, 0, fmt.Errorf("%w: SCAN: %w", errReply, err)
	}
	list, _ := parts[1].([]any)
	names = make([]string, len(list))
	for i := range list {
		names[i], _ = list[i].(string)
	}
	return names, next, nil
}

// databaseSize counts keys, those of companions, too.
func (s *Syncer) databaseSize(ctx context.Context, db int) (int64, error) {
	return sizeDatabase.Run(ctx, s.cfg.Redis, nil, db).Int64()
}

// databases lists, in order, those that hold keys.
func (s *Syncer) databases(ctx context.Context) ([]int, error) {
	text, err := s.cfg.Redis.Info(ctx, "keyspace").Result()
	if err != nil {
		return nil, err
	}
	var list []int
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, ":")
		if digits, found := strings.CutPrefix(name, "db"); found {
			if db, err := strconv.Atoi(digits); err == nil {
				list = append(list, db)
			}
		}
	}
	sort.Ints(list)
	return list, nil
}
