package proxy

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
	"anabranch/internal/resp"
)

// debugKeys are the DEBUG subcommands whose further arguments are keys.
var debugKeys = []string{"DIGEST-VALUE", "HTSTATS-KEY", "LISTPACK", "OBJECT", "QUICKLIST", "SDSLEN"}

// debug passes what the command table lets through, with two exceptions: a digest of all data must leave companions out, and
// LOADAOF without a file that is up to date would bring back old data or none.
func (s *session) debug(args [][]byte) {
	for _, name := range debugKeys {
		if is(args[1], name) && s.server.classifier.Reserved(args[2:]) {
			s.replyError(s.server.classifier.ReservedText())
			return
		}
	}
	switch {
	case is(args[1], "DIGEST") && len(args) == 2:
		s.answer(s.digest)
	case is(args[1], "LOADAOF") && len(args) == 2:
		s.barrier()
		ctx, cancel := s.controlContext()
		defer cancel()
		info, err := s.server.cfg.Backend.Client().Info(ctx, "persistence").Result()
		switch {
		case err != nil:
			s.replyError(controlError(err))
		case !strings.Contains(info, "aof_enabled:1"):
			s.replyError(errNoAOF)
		default:
			s.pass(0, s.silent(), 1, s.scan.Raw)
		}
	case is(args[1], "SET-ACTIVE-EXPIRE") && len(args) == 3:
		s.setActiveExpire(args)
	case is(args[1], "PROTOCOL") && len(args) == 3 && is(args[2], "PUSH"):
		s.debugPush(args)
	default:
		s.pass(0, s.silent(), 1, s.scan.Raw)
	}
}

// setActiveExpire is for Redis, and for the engine, which removes keys that are due as well.
func (s *session) setActiveExpire(args [][]byte) {
	s.replyAsked(args, func(reply []byte) []byte {
		if string(reply) != "+OK\r\n" {
			return reply
		}
		lazy := "0"
		if n, ok := integer(args[2]); ok && n == 0 {
			lazy = "1"
		}
		ctx, cancel := s.controlContext()
		defer cancel()
		if err := s.server.cfg.Backend.Client().Do(ctx, "FCALL", crdtmeta.FuncFree, 0, 0, 2, "XCRDT.LAZY", lazy).Err(); err != nil {
			return resp.AppendError(nil, controlError(err))
		}
		return reply
	})
}

// testPush is what DEBUG PROTOCOL push sends in RESP3. It is no reply but a message, which on a shared connection would be for
// nobody; so the server is asked in RESP2, where it has an error for it, to see whether it allows DEBUG at all.
const testPush = ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"

func (s *session) debugPush(args [][]byte) {
	s.replyAsked(args, func(reply []byte) []byte {
		if s.proto == resp.RESP3 && strings.HasPrefix(string(reply), "-ERR RESP2") {
			return []byte(testPush)
		}
		return reply
	})
}

// answer replies with what a slow question comes to, after all that was asked before.
func (s *session) answer(question func(context.Context) (string, error)) {
	s.barrier()
	var text string
	err := s.wait(func(ctx context.Context) (err error) {
		text, err = question(ctx)
		return err
	})
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replySimple(text)
}

// digestPage is how many keys one step of digest looks at.
const digestPage = 1000

// digest is 20 bytes in hex that are equal for equal data, zeros for none: the exclusive or of one hash for each key of each
// database. It is not the number that Redis would print. Who writes meanwhile spoils it, as with any comparison.
func (s *session) digest(ctx context.Context) (string, error) {
	client := s.server.cfg.Backend.Client()
	var sum [sha1.Size]byte
	// Without a key there is no reply but the server's own refusal.
	if err := client.Do(ctx, "DEBUG", "DIGEST-VALUE").Err(); err != nil {
		return "", err
	}
	space, err := client.Info(ctx, "keyspace").Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(space) {
		name, _, found := strings.Cut(line, ":")
		db, err := strconv.Atoi(strings.TrimPrefix(name, "db"))
		if !found || err != nil {
			continue
		}
		err = s.inDatabase(ctx, db, func(conn *redis.Conn) error { return s.digestDatabase(ctx, conn, db, &sum) })
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum[:]), nil
}

// digestDatabase adds the keys of the database that conn has selected.
func (s *session) digestDatabase(ctx context.Context, conn *redis.Conn, db int, sum *[sha1.Size]byte) error {
	seen := map[string]struct{}{} // SCAN may name a key twice
	for cursor := uint64(0); ; {
		names, next, err := conn.Scan(ctx, cursor, "*", digestPage).Result()
		if err != nil {
			return err
		}
		question := []any{"DEBUG", "DIGEST-VALUE"}
		for _, name := range names {
			if _, twice := seen[name]; !twice && !s.server.classifier.Reserved([][]byte{[]byte(name)}) {
				seen[name] = struct{}{}
				question = append(question, name)
			}
		}
		digests, err := conn.Do(ctx, question...).StringSlice()
		if err != nil {
			return err
		}
		for i, digest := range digests {
			one := sha1.Sum(fmt.Appendf(nil, "%d %s %s", db, digest, question[2+i]))
			for j := range one {
				sum[j] ^= one[j]
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
