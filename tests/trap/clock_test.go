package trap

import (
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// A clock that was ahead takes the logs of all regions along, which then stay ahead of every clock. Metadata is collected all
// the same, also while nobody writes.
func TestMetadataIsCollectedAfterAClockWasAhead(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithClock()), redistest.WithFlags("--gc-grace", "300ms"))
	p.Regions[0].Redis.ShiftClock(time.Hour)
	for _, command := range []string{"INCRBY counter 5", "HINCRBY hash n 3", "ZINCRBY zset 2 m", "SET expires v EX 10000", "RPUSH list a"} {
		do(p.a, command)
	}
	p.Converge()
	p.Regions[0].Redis.ShiftClock(0)
	do(p.b, "DEL counter hash zset expires list")
	p.Converge()
	p.wantLeft()
}
