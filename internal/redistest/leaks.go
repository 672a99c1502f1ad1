package redistest

import (
	"testing"

	"go.uber.org/goleak"
)

// NoLeaks runs a package's tests, and fails if a goroutine outlives them. A pool of go-redis that could not reach its server tries again
// once a second, and notices that it was closed when it does.
func NoLeaks(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
