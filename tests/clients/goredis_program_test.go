package clients

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

var errWrongType = errors.New("WRONGTYPE Operation against a key holding the wrong kind of value")

func (p *goProgram) values() {
	a, b, ctx := p.a, p.b, p.ctx
	p.expect(a.Set(ctx, "greeting", "hello", 0), "OK")
	p.expect(a.SetNX(ctx, "greeting", "no", 0), false)
	p.expect(a.SetArgs(ctx, "greeting", "hello, world", redis.SetArgs{Get: true}), "hello")
	p.expect(a.Set(ctx, "session", "s1", 100*time.Second), "OK")
	p.expect(a.TTL(ctx, "session"), 100*time.Second)
	p.expect(a.Get(ctx, "none"), redis.Nil)
	p.expect(a.MSet(ctx, "m1", 1, "m2", 2), "OK")
	p.expect(a.MGet(ctx, "m1", "m2", "m3"), []any{"1", "2", nil})
	p.expect(a.IncrBy(ctx, "count", 5), int64(5))
	p.expect(a.HSet(ctx, "user", "name", "Ada", "visits", 1), int64(2))
	p.expect(a.HIncrBy(ctx, "user", "visits", 2), int64(3))
	p.expect(a.HGetAll(ctx, "user"), map[string]string{"name": "Ada", "visits": "3"})
	p.expect(a.SAdd(ctx, "tags", "red", "green"), int64(2))
	p.expect(a.SMembersMap(ctx, "tags"), map[string]struct{}{"red": {}, "green": {}})
	p.expect(a.SMIsMember(ctx, "tags", "red", "blue"), []bool{true, false})
	p.expect(a.ZAdd(ctx, "scores", redis.Z{Score: 1.5, Member: "ada"}, redis.Z{Score: 2, Member: "bob"}), int64(2))
	p.expect(a.ZRangeWithScores(ctx, "scores", 0, -1), []redis.Z{{Score: 1.5, Member: "ada"}, {Score: 2, Member: "bob"}})
	p.expect(a.ZScore(ctx, "scores", "ada"), 1.5)
	p.expect(a.RPush(ctx, "queue", "a", "b", "c"), int64(3))
	p.expect(a.LPop(ctx, "queue"), "a")
	p.expect(a.LRange(ctx, "queue", 0, -1), []string{"b", "c"})
	p.expect(a.PFAdd(ctx, "visitors", "x", "y"), int64(1))
	p.expect(a.PFCount(ctx, "visitors"), int64(2))
	p.expect(a.GeoAdd(ctx, "places", &redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556}), int64(1))
	p.expect(a.SetBit(ctx, "bits", 7, 1), int64(0))
	p.expect(a.Del(ctx, "m1", "m2"), int64(2))
	p.expect(a.LPush(ctx, "greeting", "x"), errWrongType)
	p.expect(a.Set(ctx, "\x00\xff\r\n", "\x00\r\n\xff", 0), "OK")
	p.soon(func() redis.Cmder { return b.Get(ctx, "\x00\xff\r\n") }, "\x00\r\n\xff")
	p.soon(func() redis.Cmder { return b.HGetAll(ctx, "user") }, map[string]string{"name": "Ada", "visits": "3"})
	p.expect(b.IncrBy(ctx, "count", 37), int64(42))
	p.soon(func() redis.Cmder { return a.Get(ctx, "count") }, "42")
}

func (p *goProgram) pipelines() {
	pipe := p.a.Pipeline()
	for n := range 1000 {
		pipe.Set(p.ctx, fmt.Sprint("pipe:", n), n, 0)
	}
	cmds, err := pipe.Exec(p.ctx)
	p.ok(err)
	for _, cmd := range cmds {
		p.expect(cmd, "OK")
	}
	good, bad := pipe.Get(p.ctx, "pipe:7"), pipe.HGet(p.ctx, "pipe:7", "x")
	if _, err := pipe.Exec(p.ctx); err == nil {
		p.Fatal("a pipeline with an error returned none")
	}
	p.expect(good, "7")
	p.expect(bad, errWrongType)
}

func (p *goProgram) transactions() {
	a, ctx := p.a, p.ctx
	tx := a.TxPipeline()
	set, incr, get := tx.Set(ctx, "t", 1, 0), tx.Incr(ctx, "t"), tx.Get(ctx, "t")
	_, err := tx.Exec(ctx)
	p.ok(err)
	p.expect(set, "OK")
	p.expect(incr, int64(2))
	p.expect(get, "2")
	err = a.Watch(ctx, func(tx *redis.Tx) error {
		p.expect(a.Set(ctx, "t", "changed", 0), "OK")
		return p.setInTransaction(tx, "t", "lost")
	}, "t")
	if !errors.Is(err, redis.TxFailedErr) {
		p.Fatalf("a transaction on a changed key: %v", err)
	}
	p.expect(a.Get(ctx, "t"), "changed")

	// Counters of one region lose nothing when each increment is a read and a guarded write.
	increment := func(tx *redis.Tx) error {
		value, err := tx.Get(ctx, "stock").Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return p.setInTransaction(tx, "stock", strconv.Itoa(value+1))
	}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for done := 0; done < 25; {
				switch err := a.Watch(ctx, increment, "stock"); {
				case err == nil:
					done++
				case !errors.Is(err, redis.TxFailedErr):
					p.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	p.expect(a.Get(ctx, "stock"), "100")
}

func (p *goProgram) setInTransaction(tx *redis.Tx, key, value string) error {
	_, err := tx.TxPipelined(p.ctx, func(pipe redis.Pipeliner) error {
		return pipe.Set(p.ctx, key, value, 0).Err()
	})
	return err
}

func (p *goProgram) messages() {
	here, there := p.a.Subscribe(p.ctx, "news", "orders"), p.b.Subscribe(p.ctx, "news", "orders")
	matching := p.b.PSubscribe(p.ctx, "ne*")
	defer matching.Close()
	_, err := matching.Receive(p.ctx)
	p.ok(err)
	for _, sub := range []*redis.PubSub{here, there} {
		defer sub.Close()
		for range 2 {
			_, err := sub.Receive(p.ctx)
			p.ok(err)
		}
	}
	p.ok(there.Ping(p.ctx, "alive"))
	pong, err := there.Receive(p.ctx)
	p.ok(err)
	if got, ok := pong.(*redis.Pong); !ok || got.Payload != "alive" {
		p.Fatalf("ping while subscribed: %v", pong)
	}
	p.expect(p.a.Publish(p.ctx, "news", "first"), int64(1))
	want := []string{"news first"}
	for n := range 10 {
		p.expect(p.a.Publish(p.ctx, "orders", n), int64(1))
		want = append(want, fmt.Sprint("orders ", n))
	}
	for _, sub := range []*redis.PubSub{here, there} {
		var heard []string
		messages := sub.Channel()
		for len(heard) < len(want) {
			select {
			case message := <-messages:
				heard = append(heard, message.Channel+" "+message.Payload)
			case <-time.After(20 * time.Second):
				p.Fatalf("%v heard only %q", sub, heard)
			}
		}
		if !slices.Equal(heard, want) {
			p.Fatalf("%v heard %q, want %q", sub, heard, want)
		}
	}
	message, err := matching.ReceiveMessage(p.ctx)
	p.ok(err)
	if message.Pattern != "ne*" || message.Channel != "news" || message.Payload != "first" {
		p.Fatalf("the pattern heard %v", message)
	}
	p.expect(p.a.PubSubNumSub(p.ctx, "news"), map[string]int64{"news": 1})

	// Subscriptions come back on a new connection when theirs breaks.
	p.expect(p.b.ClientKillByFilter(p.ctx, "TYPE", "pubsub"), int64(2))
	p.hearAgain(there)
	shard := p.a.SSubscribe(p.ctx, "shard")
	defer shard.Close()
	_, err = shard.Receive(p.ctx)
	p.ok(err)
	p.expect(p.a.SPublish(p.ctx, "shard", "x"), int64(1))
	message, err = shard.ReceiveMessage(p.ctx)
	p.ok(err)
	if message.Channel != "shard" || message.Payload != "x" {
		p.Fatalf("the shard channel heard %v", message)
	}
}

// hearAgain publishes until the subscription hears it: what is published before the new connection stands is lost.
func (p *goProgram) hearAgain(sub *redis.PubSub) {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		p.ok(p.a.Publish(p.ctx, "news", "again").Err())
		select {
		case message := <-sub.Channel():
			if message.Payload != "again" {
				p.Fatalf("heard %v after the break", message)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	p.Fatalf("%v heard nothing after the break", sub)
}

func (p *goProgram) blocking() {
	a, b, ctx := p.a, p.b, p.ctx
	p.expect(a.BLPop(ctx, time.Second, "jobs"), redis.Nil)
	popped := p.inBackground(1, func() redis.Cmder { return a.BLPop(ctx, 20*time.Second, "jobs:none", "jobs") })
	p.expect(b.RPush(ctx, "jobs", "j1"), int64(1))
	p.expect(popped(), []string{"jobs", "j1"})
	moved := p.inBackground(1, func() redis.Cmder { return a.BLMove(ctx, "jobs", "doing", "RIGHT", "LEFT", 20*time.Second) })
	p.ok(b.RPush(ctx, "jobs", "j2").Err())
	p.expect(moved(), "j2")
	lowest := p.inBackground(1, func() redis.Cmder { return a.BZPopMin(ctx, 20*time.Second, "due") })
	p.expect(b.ZAdd(ctx, "due", redis.Z{Score: 7, Member: "d1"}), int64(1))
	p.expect(lowest(), &redis.ZWithKey{Key: "due", Z: redis.Z{Score: 7, Member: "d1"}})
	p.soon(func() redis.Cmder { return b.Exists(ctx, "jobs", "due") }, int64(0))
	p.soon(func() redis.Cmder { return b.LRange(ctx, "doing", 0, -1) }, []string{"j2"})
}

func (p *goProgram) scripts() {
	a, b, ctx := p.a, p.b, p.ctx
	add := redis.NewScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
	p.expect(a.ScriptFlush(ctx), "OK")
	p.expect(add.EvalSha(ctx, a, []string{"scripted"}, 5), errors.New("NOSCRIPT No matching script. Please use EVAL."))
	p.expect(add.Run(ctx, a, []string{"scripted"}, 5), int64(5))
	p.expect(add.EvalSha(ctx, a, []string{"scripted"}, 5), int64(10))
	p.soon(func() redis.Cmder { return b.Get(ctx, "scripted") }, "10")
	p.expect(add.Run(ctx, b, []string{"scripted"}, 10), int64(20))
	p.soon(func() redis.Cmder { return a.Get(ctx, "scripted") }, "20")
	read := redis.NewScript("return {1, redis.call('GET', KEYS[1])}")
	p.expect(read.RunRO(ctx, a, []string{"scripted"}), []any{int64(1), "20"})
	p.expect(add.Exists(ctx, b), []bool{true})
	const library = "#!lua name=ours\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)"
	p.expect(a.FunctionLoadReplace(ctx, library), "ours")
	p.expect(a.FCall(ctx, "put", []string{"by:function"}, "x"), "OK")
	p.soon(func() redis.Cmder { return b.Get(ctx, "by:function") }, "x")
}

func (p *goProgram) streams() {
	a, b, ctx := p.a, p.b, p.ctx
	p.expect(a.XGroupCreateMkStream(ctx, "events", "workers", "0"), "OK")
	var sent []redis.XMessage
	for n := range 4 {
		id, err := a.XAdd(ctx, &redis.XAddArgs{Stream: "events", Values: []any{"n", n}}).Result()
		p.ok(err)
		sent = append(sent, redis.XMessage{ID: id, Values: map[string]any{"n": strconv.Itoa(n)}})
	}
	p.expect(a.XRange(ctx, "events", "-", "+"), sent)
	read := func(consumer string, count int64, block time.Duration) redis.Cmder {
		return a.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "workers", Consumer: consumer, Streams: []string{"events", ">"}, Count: count, Block: block,
		})
	}
	page := func(messages ...redis.XMessage) []redis.XStream {
		return []redis.XStream{{Stream: "events", Messages: messages}}
	}
	p.expect(read("w1", 2, -1), page(sent[:2]...))
	p.expect(read("w2", 9, -1), page(sent[2:]...))
	p.expect(a.XAck(ctx, "events", "workers", sent[0].ID, sent[1].ID), int64(2))
	p.expect(a.XPending(ctx, "events", "workers"),
		&redis.XPending{Count: 2, Lower: sent[2].ID, Higher: sent[3].ID, Consumers: map[string]int64{"w2": 2}})
	p.expect(a.XClaim(ctx, &redis.XClaimArgs{Stream: "events", Group: "workers", Consumer: "w1", Messages: []string{sent[2].ID}}),
		sent[2:3])
	p.expect(a.XAck(ctx, "events", "workers", sent[2].ID, sent[3].ID), int64(2))
	p.soon(func() redis.Cmder { return b.XRange(ctx, "events", "-", "+") }, sent)
	// A consumer that waits here is woken by an entry that is added there.
	fresh := p.inBackground(1, func() redis.Cmder { return read("w1", 0, 20*time.Second) })
	plain := p.inBackground(2, func() redis.Cmder {
		return a.XRead(ctx, &redis.XReadArgs{Streams: []string{"events", "$"}, Block: 20 * time.Second})
	})
	id, err := b.XAdd(ctx, &redis.XAddArgs{Stream: "events", Values: []any{"from", "B"}}).Result()
	p.ok(err)
	added := redis.XMessage{ID: id, Values: map[string]any{"from": "B"}}
	p.expect(fresh(), page(added))
	p.expect(plain(), page(added))
	p.expect(a.XAck(ctx, "events", "workers", id), int64(1))
	groups, err := a.XInfoGroups(ctx, "events").Result()
	p.ok(err)
	if len(groups) != 1 || groups[0].Name != "workers" || groups[0].Consumers != 2 || groups[0].Pending != 0 {
		p.Fatalf("groups: %+v", groups)
	}
}

func (p *goProgram) scans() {
	a, ctx := p.a, p.ctx
	members := make([]any, 1000)
	for n := range members {
		members[n] = fmt.Sprint("m", n)
	}
	p.expect(a.SAdd(ctx, "big:set", members...), int64(1000))
	p.expect(a.HSet(ctx, "big:hash", members...), int64(500))
	for name, scan := range map[string]struct {
		iterator *redis.ScanIterator
		want     int
	}{
		"scan":           {a.Scan(ctx, 0, "pipe:*", 100).Iterator(), 1000},
		"scan of a type": {a.ScanType(ctx, 0, "big:*", 100, "set").Iterator(), 1},
		"sscan":          {a.SScan(ctx, "big:set", 0, "", 100).Iterator(), 1000},
		"hscan":          {a.HScan(ctx, "big:hash", 0, "", 100).Iterator(), 1000},
	} {
		found := map[string]bool{}
		for scan.iterator.Next(ctx) {
			found[scan.iterator.Val()] = true
		}
		p.ok(scan.iterator.Err())
		if len(found) != scan.want {
			p.Fatalf("%s found %d, want %d", name, len(found), scan.want)
		}
	}
}

func (p *goProgram) locks() {
	a, ctx := p.a, p.ctx
	release := redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) else return 0 end`)
	p.expect(a.SetNX(ctx, "lock", "owner 1", 20*time.Second), true)
	p.expect(a.SetNX(ctx, "lock", "owner 2", 20*time.Second), false)
	p.expect(release.Run(ctx, a, []string{"lock"}, "owner 2"), int64(0))
	p.expect(release.Run(ctx, a, []string{"lock"}, "owner 1"), int64(1))
	p.expect(a.SetNX(ctx, "lock", "owner 2", 50*time.Millisecond), true)
	time.Sleep(200 * time.Millisecond)
	p.expect(a.SetNX(ctx, "lock", "owner 3", time.Hour), true)
}

func (p *goProgram) connections(region *redistest.Region, protocol int) {
	named := p.connect(region, redis.Options{Protocol: protocol, ClientName: "billing", DB: 3})
	p.expect(named.ClientGetName(p.ctx), "billing")
	list, err := p.a.ClientList(p.ctx).Result()
	p.ok(err)
	if want := fmt.Sprintf(" resp=%d", protocol); !strings.Contains(list, " name=billing ") || !strings.Contains(list, want) {
		p.Fatalf("no connection named billing with%s in\n%s", want, list)
	}
	p.expect(named.Set(p.ctx, "in", "db 3", 0), "OK")
	p.expect(named.DBSize(p.ctx), int64(1))
	p.expect(p.a.Exists(p.ctx, "in"), int64(0))
	greeting, err := p.a.Do(p.ctx, "HELLO", protocol).Result()
	p.ok(err)
	if _, isMap := greeting.(map[any]any); isMap != (protocol == 3) {
		p.Fatalf("HELLO %d answers %v", protocol, greeting)
	}
	// A connection that breaks is made anew, with its name and its database.
	id, err := named.ClientID(p.ctx).Result()
	p.ok(err)
	p.expect(p.a.ClientKillByFilter(p.ctx, "ID", strconv.FormatInt(id, 10)), int64(1))
	p.expect(named.Get(p.ctx, "in"), "db 3")
	p.expect(named.ClientGetName(p.ctx), "billing")
	p.expect(p.a.Ping(p.ctx), "PONG")
}
