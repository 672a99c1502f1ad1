package syncer

import "github.com/redis/go-redis/v9"

// newScript makes a script that also runs when Redis is over its memory limit: leadership, acknowledgements and pauses
// are needed most when entries must wait for memory. MULTI would not do instead: Redis refuses to queue anything then,
// even reads.
func newScript(source string) *redis.Script {
	return redis.NewScript("#!lua flags=allow-oom\n" + source)
}

// newReader makes a script that changes nothing. It runs wherever reads do: on a server that is full, cannot save, or is read-only.
func newReader(source string) *redis.Script {
	return redis.NewScript("#!lua flags=no-writes\n" + source)
}
