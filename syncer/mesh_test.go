package syncer

import (
	"testing"
)

func TestTwoRegionsExchangeWrites(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	a.write("SET x 1", "SADD s a b")
	b.write("SET y 2", "SADD s c")
	synced(t, a, b)
	for _, r := range regions {
		if r.get("x") != "1" || r.get("y") != "2" {
			t.Errorf("%s: x=%q y=%q", r.name, r.get("x"), r.get("y"))
		}
	}
}
