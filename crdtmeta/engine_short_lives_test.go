package crdtmeta_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta/model"
)

// shortLives are commands for histories in which keys expire all the time; PX is a time in ms from now.
var shortLives = strings.Split(`SET k v
SET k 5 PX
SET k 7 KEEPTTL
GETEX k PX
GETEX k PERSIST
GETDEL k
APPEND k 1
INCR k
INCRBY k -3
INCRBYFLOAT k 0.5
SET h x
HSET h f 1
HSET h f 2 g 3
HDEL h f
HDEL h f g n
HINCRBY h n 5
HINCRBY h f -30
HINCRBYFLOAT h g 0.5
SADD s m
SADD s n o
SREM s m
SREM s m n o
SPOP s
SADD h m
ZADD z 1 m
ZADD z 2 m 3 n
ZREM z m
ZINCRBY z 1.5 m
ZINCRBY z 1.5 o
SET z 9
RPUSH l x y
RPUSH l x y
LPUSH l z
LPUSH l v w
LPOP l
RPOP l 2
LSET l 0 u
LSET l -1 t
LINSERT l BEFORE y r
LINSERT l AFTER x q
LREM l 0 x
LTRIM l 1 -1
LMOVE l l LEFT RIGHT
RPOPLPUSH l l
SADD l m
PEXPIREAT * PX
PEXPIREAT * PX
PEXPIREAT * PX
PEXPIREAT * PX
PEXPIREAT * PX GT
PEXPIREAT * PX LT
PEXPIREAT * 9000000000000
PEXPIREAT * 9000000000001
PERSIST *
DEL *
DEL *
RENAME * *
COPY * * REPLACE
SUNIONSTORE s s
FLUSHDB`, "\n")

// TestShortLives plays histories whose keys expire in all regions while commands, removals by the TTL's owner and other
// TTLs are under way. What comes of it depends on the clock, so there is no model: all regions must end with the same.
// ANABRANCH_ENGINE_CHECKS is the number of histories.
func TestShortLives(t *testing.T) {
	histories := 120
	if text := os.Getenv(checksEnv); text != "" {
		histories, _ = strconv.Atoi(text)
	}
	nodes := startNodes(t, 3)
	for range histories {
		seed := rand.Uint64()
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := &shortLife{t: t, nodes: nodes, random: rand.New(rand.NewPCG(seed, 0))}
			defer func() {
				if t.Failed() {
					t.Log("history:\n" + strings.Join(s.told, "\n"))
				}
			}()
			s.play()
		})
		if t.Failed() {
			return
		}
	}
}

type shortLife struct {
	t      *testing.T
	nodes  []*node
	random *rand.Rand
	told   []string
}

func (s *shortLife) tell(format string, args ...any) {
	s.told = append(s.told, time.Now().Format("05.0000 ")+fmt.Sprintf(format, args...))
}

func (s *shortLife) play() {
	for _, n := range s.nodes {
		n.reset(s.t)
	}
	if s.random.IntN(3) == 0 {
		for _, n := range s.nodes {
			n.adopt(s.t, 0, "h", model.Value{Type: model.Hash, Elements: map[string]string{"f": "1", "g": "2"}})
			n.adopt(s.t, 0, "z", model.Value{Type: model.ZSet, Elements: map[string]string{"m": "1", "n": "2"}})
			n.adopt(s.t, 0, "k", model.Value{Type: model.String, String: "7"})
			n.adopt(s.t, 0, "l", model.Value{Type: model.List, List: []string{"x", "y", "z", "x"}})
		}
		s.tell("adopted h {f 1 g 2}, z {m 1 n 2}, k 7, l [x y z x]")
	}
	keys := [][]string{{"k"}, {"h"}, {"s"}, {"z"}, {"l"}, {"k", "h", "s", "z", "l"}}[s.random.IntN(6)]
	for range 30 + s.random.IntN(50) {
		switch s.random.IntN(10) {
		case 0:
			time.Sleep(time.Duration(s.random.IntN(4)) * time.Millisecond)
		case 1:
			n := s.nodes[s.random.IntN(3)]
			s.tell("%d expires %d", n.id, n.expire(s.t))
		case 2, 3, 4:
			from, to := s.nodes[s.random.IntN(3)], s.nodes[s.random.IntN(3)]
			if from != to {
				from.fetch(s.t)
				s.tell("%d → %d: %s", from.id, to.id, to.take(s.t, from))
			}
		default:
			s.write(keys)
		}
	}
	// The last short TTL passes, its owner says so, and everybody hears of it.
	for range 2 {
		time.Sleep(12 * time.Millisecond)
		exchange(s.t, s.nodes)
		for _, n := range s.nodes {
			n.expire(s.t)
		}
	}
	exchange(s.t, s.nodes)
	requireEqual(s.t, s.nodes)
}

func (s *shortLife) write(keys []string) {
	for {
		words := strings.Fields(shortLives[s.random.IntN(len(shortLives))])
		for i, word := range words {
			switch word {
			case "*":
				words[i] = keys[s.random.IntN(len(keys))]
			case "PX":
				words[i] = soon(1 + s.random.IntN(10))
				if words[i-1] != words[0] && i > 2 || words[0] == "GETEX" {
					words = append(words[:i], append([]string{"PXAT"}, words[i:]...)...)
				}
			}
		}
		if len(keys) == 1 && len(words) > 1 && words[1] != keys[0] {
			continue
		}
		n := s.nodes[s.random.IntN(3)]
		replies, _ := n.call(s.t, 0, words)
		s.tell("%d: %s → %v", n.id, strings.Join(words, " "), replies[0])
		return
	}
}
