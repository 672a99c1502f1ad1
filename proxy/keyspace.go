package proxy

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
)

// databaseLine is a line of INFO's section about keys.
var databaseLine = regexp.MustCompile(`(?m)^db(\d+):keys=\d+,expires=(\d+),(.*\r\n)`)

// withoutCompanions corrects how many keys INFO says that there are. A database with none but ours is left out, as an empty
// one is. What cannot be found out stays as the server says it.
func (s *session) withoutCompanions(ctx context.Context, text string) string {
	return databaseLine.ReplaceAllStringFunc(text, func(line string) string {
		parts := databaseLine.FindStringSubmatch(line)
		db, _ := strconv.Atoi(parts[1])
		keys, err := s.countKeys(ctx, db)
		if err != nil {
			return line
		}
		if keys == 0 {
			return ""
		}
		// None of our keys expires, or it could be evicted.
		return fmt.Sprintf("db%s:keys=%d,expires=%s,%s", parts[1], keys, parts[2], parts[3])
	})
}

// countKeys asks the engine, which counts companions.
func (s *session) countKeys(ctx context.Context, db int) (count int64, err error) {
	err = s.inDatabase(ctx, db, func(conn *redis.Conn) error {
		counts, err := conn.Do(ctx, "FCALL", crdtmeta.FuncRead, 0, strconv.Itoa(db)+"?", 1, "DBSIZE").Int64Slice()
		if err != nil || len(counts) != 1 {
			return fmt.Errorf("DBSIZE of database %d: %v, %w", db, counts, err)
		}
		count = counts[0]
		return nil
	})
	return count, err
}

// inDatabase lends a control connection that has selected a database.
func (s *session) inDatabase(ctx context.Context, db int, do func(*redis.Conn) error) error {
	conn := s.server.cfg.Backend.Client().Conn()
	defer conn.Close()
	defer conn.Select(context.WithoutCancel(ctx), 0) // it goes back to a pool
	if err := conn.Select(ctx, db).Err(); err != nil {
		return err
	}
	return do(conn)
}
