package migration

import (
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// What the guide says of Sentinels: one that knows a replica turns it back into one, and one that was told to forget it leaves it alone.
func TestSentinelsLeaveAPromotedReplicaAlone(t *testing.T) {
	guarded := redistest.StartGuarded(t, redistest.Guard{Replicas: 1, Sentinels: 3})
	replica := guarded.Servers[1].Client() // a Sentinel that reconfigures a server cuts its connections
	ask := func(args ...any) { _ = replica.Do(t.Context(), args...).Err() }
	role := func() string {
		answer, err := replica.Do(t.Context(), "ROLE").Slice()
		if err != nil {
			return "cut"
		}
		return answer[0].(string)
	}
	ask("CONFIG", "SET", "replica-priority", "0")
	ask("REPLICAOF", "NO", "ONE")
	for deadline := time.Now().Add(60 * time.Second); role() == "master"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Sentinels have left it alone without being told to: the guide asks for too much")
		}
	}
	for role() != "slave" {
		time.Sleep(100 * time.Millisecond)
	}
	ask("REPLICAOF", "NO", "ONE")
	for _, s := range guarded.Sentinels {
		if _, err := guarded.Ask(s, "SENTINEL", "RESET", "main"); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if role() == "slave" {
			t.Fatal("it is a replica again")
		}
	}
	if now := role(); now != "master" {
		t.Errorf("it is a %s", now)
	}
	if url := guarded.URL(); !strings.Contains(url, "/main") {
		t.Errorf("the Sentinels know the primary by another name: %s", url)
	}
}
