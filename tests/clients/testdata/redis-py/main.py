"""What programs do with redis-py, against two regions: main.py HOST:PORT HOST:PORT. A wrong result ends it with status 1."""

import asyncio
import sys
import threading
import time

import redis
import redis.asyncio


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


def soon(what, read, want):
    """Waits for what must come from the other region."""
    deadline = time.monotonic() + 20
    while (got := read()) != want:
        if time.monotonic() > deadline:
            sys.exit(f"{what}: still {got!r}, want {want!r}")
        time.sleep(0.01)


def waiting(r, count):
    """Waits until so many clients of the region are blocked."""
    soon("blocked clients", lambda: r.info("clients")["blocked_clients"], count)


def in_background(work):
    """Runs work in a thread. The function that is returned waits for its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def result():
        thread.join(20)
        return results[0] if results else "nothing within 20 s"

    return result


def values(a, b):
    expect("set", a.set("greeting", "hello"), True)
    expect("set nx", a.set("greeting", "no", nx=True), None)
    expect("set get", a.set("greeting", "hello, world", get=True), "hello")
    expect("set ex", a.set("session", "s1", ex=100), True)
    expect("ttl", 98 <= a.ttl("session") <= 100, True)
    expect("mset", a.mset({"m1": "1", "m2": "2"}), True)
    expect("mget", a.mget("m1", "m2", "m3"), ["1", "2", None])
    expect("incrby", a.incrby("count", 5), 5)
    expect("incrbyfloat", a.incrbyfloat("share", 0.5), 0.5)
    expect("append", a.append("log", "one"), 3)
    expect("getrange", a.getrange("log", 0, 1), "on")
    expect("hset", a.hset("user", mapping={"name": "Ada", "visits": 1}), 2)
    expect("hincrby", a.hincrby("user", "visits", 2), 3)
    expect("hgetall", a.hgetall("user"), {"name": "Ada", "visits": "3"})
    expect("sadd", a.sadd("tags", "red", "green", "blue"), 3)
    expect("smembers", a.smembers("tags"), {"red", "green", "blue"})
    expect("zadd", a.zadd("scores", {"ada": 1.5, "bob": 2, "cy": 3}), 3)
    expect("zrange", a.zrange("scores", 0, -1, withscores=True), [("ada", 1.5), ("bob", 2.0), ("cy", 3.0)])
    expect("zincrby", a.zincrby("scores", 1, "ada"), 2.5)
    expect("zrevrangebyscore", a.zrevrangebyscore("scores", "+inf", 2.5), ["cy", "ada"])
    expect("rpush", a.rpush("queue", "a", "b", "c"), 3)
    expect("lpop", a.lpop("queue"), "a")
    expect("lrange", a.lrange("queue", 0, -1), ["b", "c"])
    expect("pfadd", a.pfadd("visitors", "x", "y"), 1)
    expect("pfcount", a.pfcount("visitors"), 2)
    expect("geoadd", a.geoadd("places", (13.361389, 38.115556, "Palermo")), 1)
    expect("geosearch", a.geosearch("places", longitude=13, latitude=38, radius=100, unit="km"), ["Palermo"])
    expect("setbit", a.setbit("bits", 7, 1), 0)
    expect("bitcount", a.bitcount("bits"), 1)
    expect("type", a.type("scores"), "zset")
    expect("delete", a.delete("m1", "m2"), 2)
    try:
        a.lpush("greeting", "x")
        sys.exit("lpush to a string raised nothing")
    except redis.ResponseError as error:
        expect("error", str(error), "WRONGTYPE Operation against a key holding the wrong kind of value")
    soon("hgetall in B", lambda: b.hgetall("user"), {"name": "Ada", "visits": "3"})
    b.incrby("count", 37)
    soon("count in A", lambda: a.get("count"), "42")


def binary(here, there):
    raw = client(here, decode_responses=False)
    key, value = b"\x00\xff\r\n", bytes(range(256))
    expect("set of bytes", raw.set(key, value), True)
    expect("get of bytes", raw.get(key), value)
    soon("bytes in B", lambda: client(there, decode_responses=False).get(key), value)
    expect("large value", raw.set("large", b"x" * 3_000_000), True)
    expect("large value", raw.strlen("large"), 3_000_000)


def pipelines(a):
    pipe = a.pipeline(transaction=False)
    for n in range(1000):
        pipe.set(f"pipe:{n}", n)
    expect("pipeline", pipe.execute(), [True] * 1000)
    pipe = a.pipeline(transaction=False)
    pipe.get("pipe:7").hget("pipe:7", "x").get("pipe:8")
    replies = pipe.execute(raise_on_error=False)
    expect("pipeline with an error", (replies[0], type(replies[1]), replies[2]), ("7", redis.ResponseError, "8"))


def transactions(a):
    with a.pipeline() as pipe:
        expect("multi", pipe.set("t", 1).incr("t").get("t").execute(), [True, 2, "2"])
    with a.pipeline() as pipe:
        pipe.watch("t")
        a.set("t", "changed")
        pipe.multi()
        pipe.set("t", "lost")
        try:
            pipe.execute()
            sys.exit("a transaction on a changed key went through")
        except redis.WatchError:
            pass
    expect("the watched key", a.get("t"), "changed")

    # Counters of one region lose nothing when each increment is a read and a guarded write.
    def increment_often():
        for _ in range(25):
            def increment(pipe):
                value = int(pipe.get("stock") or 0)
                pipe.multi()
                pipe.set("stock", value + 1)
            a.transaction(increment, "stock")
        return "done"

    workers = [in_background(increment_often) for _ in range(4)]
    expect("workers", [done() for done in workers], ["done"] * 4)
    expect("optimistic increments", a.get("stock"), "100")


def messages(a, b):
    here, there = a.pubsub(), b.pubsub()
    here.subscribe("news")
    here.psubscribe("ne*")
    there.subscribe("news")
    there.psubscribe("ne*")

    def hear(sub):
        return sub.get_message(timeout=20)

    for sub in (here, there):
        expect("subscribed", (hear(sub)["type"], hear(sub)["type"]), ("subscribe", "psubscribe"))
    expect("publish", a.publish("news", "first"), 2)
    for sub in (here, there):
        expect("message", hear(sub), {"type": "message", "pattern": None, "channel": "news", "data": "first"})
        expect("pattern", hear(sub), {"type": "pmessage", "pattern": "ne*", "channel": "news", "data": "first"})
    there.ping()
    expect("ping while subscribed", hear(there)["type"], "pong")
    # Subscriptions come back on a new connection when theirs breaks.
    expect("client_kill_filter", b.client_kill_filter(_type="pubsub"), 1)
    try:
        there.get_message(timeout=20)
        sys.exit("a broken connection was not noticed")
    except redis.ConnectionError:
        pass
    expect("subscribed again", (hear(there)["type"], hear(there)["type"]), ("subscribe", "psubscribe"))
    a.publish("news", "second")
    expect("message after the break", (hear(there)["data"], hear(there)["data"]), ("second", "second"))
    there.unsubscribe("news")
    expect("unsubscribed", hear(there)["type"], "unsubscribe")
    expect("numsub", a.pubsub_numsub("news"), [("news", 1)])

    heard = []
    threaded = b.pubsub(ignore_subscribe_messages=True)
    threaded.subscribe(orders=lambda message: heard.append(message["data"]))
    thread = threaded.run_in_thread(sleep_time=0.01, daemon=True)
    soon("listener", lambda: b.pubsub_numsub("orders"), [("orders", 1)])
    for n in range(10):
        a.publish("orders", n)
    soon("orders in B", lambda: heard, [str(n) for n in range(10)])
    thread.stop()
    thread.join()
    for sub in (here, there):
        sub.close()


def blocking(a, b):
    expect("blpop in time", a.blpop("jobs", timeout=0.1), None)
    popped = in_background(lambda: a.blpop(["jobs:none", "jobs"], timeout=20))
    waiting(a, 1)
    b.rpush("jobs", "j1")
    expect("blpop", popped(), ("jobs", "j1"))
    moved = in_background(lambda: a.blmove("jobs", "doing", timeout=20))
    waiting(a, 1)
    b.rpush("jobs", "j2")
    expect("blmove", moved(), "j2")
    lowest = in_background(lambda: a.bzpopmin("due", timeout=20))
    waiting(a, 1)
    b.zadd("due", {"d1": 7})
    expect("bzpopmin", lowest(), ("due", "d1", 7.0))
    soon("nothing is left in B", lambda: (b.llen("jobs"), b.zcard("due"), b.lrange("doing", 0, -1)), (0, 0, ["j2"]))


def scripts(a, b):
    add = a.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    a.script_flush()
    expect("script after NOSCRIPT", add(keys=["scripted"], args=[5]), 5)
    expect("script", add(keys=["scripted"], args=[5]), 10)
    a.script_flush()
    pipe = a.pipeline()
    add(keys=["scripted"], args=[1], client=pipe)
    add(keys=["scripted"], args=[1], client=pipe)
    expect("scripts in a pipeline", pipe.execute(), [11, 12])
    soon("effect in B", lambda: b.get("scripted"), "12")
    expect("the same script in B", add(keys=["scripted"], args=[8], client=b), 20)
    soon("effect in A", lambda: a.get("scripted"), "20")
    library = "#!lua name=ours\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)"
    expect("function_load", a.function_load(library, replace=True), "ours")
    expect("fcall", a.fcall("put", 1, "by:function", "x"), "OK")
    soon("its effect in B", lambda: b.get("by:function"), "x")
    expect("eval", a.eval("return {1, 'two', {3}}", 0), [1, "two", [3]])


def streams(a, b):
    expect("xgroup_create", a.xgroup_create("events", "workers", id="0", mkstream=True), True)
    ids = [a.xadd("events", {"n": n}) for n in range(4)]
    expect("xlen", a.xlen("events"), 4)
    expect("xrange", a.xrange("events", count=1), [(ids[0], {"n": "0"})])
    first = a.xreadgroup("workers", "w1", {"events": ">"}, count=2)
    expect("xreadgroup", entries(first), [(ids[0], {"n": "0"}), (ids[1], {"n": "1"})])
    second = a.xreadgroup("workers", "w2", {"events": ">"}, count=9)
    expect("xreadgroup of another", [id for id, _ in entries(second)], ids[2:])
    expect("xack", a.xack("events", "workers", ids[0], ids[1]), 2)
    expect("xpending", a.xpending("events", "workers")["pending"], 2)
    pending = a.xpending_range("events", "workers", "-", "+", 10)
    expect("xpending_range", [(p["message_id"], p["consumer"]) for p in pending], [(ids[2], "w2"), (ids[3], "w2")])
    expect("xclaim", a.xclaim("events", "workers", "w1", 0, [ids[2]]), [(ids[2], {"n": "2"})])
    expect("xautoclaim", a.xautoclaim("events", "workers", "w1", 0)[1], [(ids[2], {"n": "2"}), (ids[3], {"n": "3"})])
    expect("xack of the rest", a.xack("events", "workers", ids[2], ids[3]), 2)
    info = a.xinfo_groups("events")[0]
    expect("xinfo_groups", (info["name"], info["consumers"], info["pending"]), ("workers", 2, 0))
    soon("entries in B", lambda: b.xlen("events"), 4)
    # A consumer that waits here is woken by an entry that is added there.
    fresh = in_background(lambda: a.xreadgroup("workers", "w1", {"events": ">"}, block=20000))
    plain = in_background(lambda: a.xread({"events": "$"}, block=20000))
    waiting(a, 2)
    id = b.xadd("events", {"from": "B"})
    expect("xreadgroup woken", entries(fresh()), [(id, {"from": "B"})])
    expect("xread woken", entries(plain()), [(id, {"from": "B"})])
    a.xack("events", "workers", id)
    expect("xtrim", a.xtrim("events", maxlen=3, approximate=False), 2)


def entries(reply):
    """The entries of a reply about one stream."""
    return reply[0][1] if reply else reply


def scans(a):
    a.hset("big:hash", mapping={f"f{n}": n for n in range(1000)})
    a.sadd("big:set", *range(1000))
    a.zadd("big:zset", {f"m{n}": n for n in range(1000)})
    expect("scan_iter", sorted(a.scan_iter(match="pipe:*", count=100)), sorted(f"pipe:{n}" for n in range(1000)))
    expect("scan_iter of a type", set(a.scan_iter(match="big:*", _type="zset")), {"big:zset"})
    expect("hscan_iter", dict(a.hscan_iter("big:hash")), {f"f{n}": str(n) for n in range(1000)})
    expect("sscan_iter", set(a.sscan_iter("big:set")), {str(n) for n in range(1000)})
    expect("zscan_iter", dict(a.zscan_iter("big:zset")), {f"m{n}": float(n) for n in range(1000)})


def locks(a):
    with a.lock("lock", timeout=20) as lock:
        expect("a second owner", a.lock("lock", timeout=20, blocking=False).acquire(), False)
        expect("locked", (lock.locked(), lock.owned()), (True, True))
        expect("extend", lock.extend(30, replace_ttl=True), True)
        expect("time left", 29000 < a.pttl("lock") <= 30000, True)
        expect("reacquire", lock.reacquire(), True)
        waiting = in_background(lambda: a.lock("lock", timeout=20, sleep=0.02).acquire(blocking_timeout=20))
    expect("the next owner", waiting(), True)
    a.delete("lock")
    lost = a.lock("lock:short", timeout=0.05)
    expect("acquire", lost.acquire(), True)
    time.sleep(0.2)
    try:
        lost.release()
        sys.exit("an expired lock was released")
    except redis.exceptions.LockError:
        pass


def connections(a, here):
    named = client(here, client_name="billing", single_connection_client=True)
    expect("client_getname", named.client_getname(), "billing")
    expect("client_list", "billing" in [c["name"] for c in named.client_list()], True)
    expect("client_id", isinstance(named.client_id(), int), True)
    other = client(here, db=3)
    other.set("in", "db 3")
    expect("databases", (other.dbsize(), a.exists("in")), (1, 0))
    with a.monitor() as monitor:
        a.echo("seen")
        expect("monitor", monitor.next_command()["command"], "ECHO seen")
    expect("info", a.info("server")["redis_mode"], "standalone")
    expect("ping", a.ping(), True)
    expect("config_get", isinstance(a.config_get("maxmemory"), dict), True)


async def asynchronous(here, there):
    a, b = client(here, redis.asyncio.Redis), client(there, redis.asyncio.Redis)
    await asyncio.gather(*(a.incrby("async", n) for n in range(100)))
    expect("gathered", await a.get("async"), "4950")
    async with a.pipeline() as pipe:
        expect("pipeline", await pipe.incr("async").hset("async:h", "f", 1).execute(), [4951, 1])
    async with b.pubsub() as sub:
        await sub.subscribe("async")
        expect("subscribed", (await sub.get_message(timeout=20))["type"], "subscribe")
        await a.publish("async", "hello")
        expect("message", (await sub.get_message(timeout=20))["data"], "hello")
    popped = asyncio.ensure_future(a.blpop("async:jobs", timeout=20))
    while (await a.info("clients"))["blocked_clients"] == 0:
        await asyncio.sleep(0.01)
    await b.rpush("async:jobs", "j1")
    expect("blpop", await popped, ("async:jobs", "j1"))
    async with a.lock("async:lock", timeout=20) as lock:
        expect("lock", await lock.owned(), True)
    await a.close()
    await b.close()


def client(address, kind=redis.Redis, **settings):
    host, port = address.rsplit(":", 1)
    defaults = {"decode_responses": True, "health_check_interval": 1, "socket_timeout": 30}
    return kind(host=host, port=int(port), **{**defaults, **settings})


def main(here, there):
    a, b = client(here), client(there)
    values(a, b)
    binary(here, there)
    pipelines(a)
    transactions(a)
    messages(a, b)
    blocking(a, b)
    scripts(a, b)
    streams(a, b)
    scans(a)
    locks(a)
    connections(a, here)
    asyncio.run(asynchronous(here, there))
    print("redis-py", redis.__version__)


main(*sys.argv[1:])
