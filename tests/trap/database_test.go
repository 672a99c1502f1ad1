package trap

import (
	"slices"
	"testing"

	"anabranch/internal/redistest"
)

// The log entry of a transaction is in the log of the region, whatever database is selected when it ends: what it wrote
// reaches the other regions, and no database but the first has keys of Anabranch that do not belong to one of the data.
func TestTransactionsInAnyDatabaseReachTheOtherRegions(t *testing.T) {
	p := start(t, 2)
	for _, commands := range [][]string{
		{"SELECT 1", "MULTI", "INCRBY a 1", "GET a", "INCRBY b 1", "EXEC"},
		{"SELECT 2", "MULTI", "SADD s m", "SREM s n", "SADD s o", "EXEC"},
		{"SELECT 3", "MULTI", "SET k v", "SELECT 4", "GET k", "SET k w", "SELECT 5", "EXEC", "SET k x"},
		{"SELECT 6", "MULTI", "SET k v", "DEL none", "EVAL redis.call('SET','l',1) 0", "EXEC"},
	} {
		for _, command := range commands {
			do(p.a, command)
		}
	}
	p.Converge()
	space := p.RequireEqual(t)
	for _, key := range []string{"1:a", "1:b", "2:s", "3:k", "4:k", "5:k", "6:k", "6:l"} {
		if _, there := space[key]; !there {
			t.Errorf("%s is missing", key)
		}
	}
	for _, region := range p.Regions {
		c := redistest.Dial(t, region.Redis.Addr)
		for _, db := range []string{"1", "2", "3", "4", "5", "6"} {
			do(c, "SELECT "+db)
			for _, name := range []string{"crdt:log", "crdt:count", "crdt:ttl"} {
				if names := c.Must("KEYS", "crdt:*").Strings(); slices.Contains(names, name) {
					t.Errorf("region %s: database %s has %s", region.Name, db, name)
				}
			}
		}
	}
}
