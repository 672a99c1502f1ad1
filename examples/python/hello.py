#!/usr/bin/env python3
"""Two regions, as a Python program sees them: redis-py as it comes, with an ordinary connection to each.

    apt-get install python3-redis            # or: pip install redis
    python3 hello.py redis://127.0.0.1:6381 redis://127.0.0.1:6382

The addresses are those of Anabranch in each region; the ones above are examples/compose.
"""
import sys
import threading

import redis


def wait_for_other_regions(client, regions=1, timeout_ms=5000):
    """Waits until other regions have applied all that this connection wrote, and says how many have.

    CRDT WAIT is Anabranch's own command. No write needs it: a write is done when the own region has it. It is for the few that
    must be seen elsewhere before something else happens.
    """
    return int(client.execute_command("CRDT", "WAIT", regions, timeout_ms))


def hello(here, there):
    # CRDT WAIT speaks of the connection's own writes, so both go over the same one: a client of a pool may take another each time.
    with here.client() as connection:
        connection.set("hello", "from the first region")
        reached = wait_for_other_regions(connection)
    if reached < 1:
        sys.exit("the other region has not got it within 5 s; is the link up? (anabranch status)")
    print("written here, read there:", there.get("hello"))


def counters(here, there, each=200):
    """Both regions count at once. Increments are never lost, whichever region they happen in."""
    here.delete("visits")
    with here.client() as connection:
        connection.set("visits", 0)
        wait_for_other_regions(connection)

    def count(client):
        with client.client() as connection:
            for _ in range(each):
                connection.incr("visits")
            wait_for_other_regions(connection)

    threads = [threading.Thread(target=count, args=(client,)) for client in (here, there)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("counted", each, "here and", each, "there:", here.get("visits"), "here,", there.get("visits"), "there")


def carts(here, there):
    """What is added to a set in two regions at once is all there, where one string with the whole cart would lose one of the two."""
    here.delete("cart")
    here.sadd("cart", "book")
    there.sadd("cart", "pen")
    for client in (here, there):
        with client.client() as connection:
            connection.sadd("cart", "bag")
            wait_for_other_regions(connection)
    print("carts:", sorted(here.smembers("cart")), "and", sorted(there.smembers("cart")))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    # A proxy answers LOADING while its Redis is away, and redis-py raises BusyLoadingError: worth a retry, as with any Redis.
    here, there = (redis.Redis.from_url(url, decode_responses=True, socket_timeout=10, health_check_interval=30) for url in sys.argv[1:])
    hello(here, there)
    counters(here, there)
    carts(here, there)


if __name__ == "__main__":
    main()
