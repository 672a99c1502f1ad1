package trap

import (
	"fmt"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// What one EXEC or one script writes becomes visible elsewhere in one step, also when it is big, has reads in the middle, and
// goes over several types and databases.
func TestOtherRegionsSeeTransactionsAndScriptsWhole(t *testing.T) {
	p := start(t, 2)
	const rounds = 120
	stop := make(chan error, 1)
	go func() { // ends with the last round, or with the first torn one
		stop <- watchTogether(p.b, rounds)
	}()
	for round := 1; round <= rounds; round++ {
		n := fmt.Sprint(round)
		var commands [][]string
		switch round % 3 {
		case 0:
			const script = "redis.call('SET', 'x', ARGV[1]) for i = 1, 300 do redis.call('SADD', 's' .. ARGV[1], i) end " +
				"redis.call('RPUSH', 'l', ARGV[1]) redis.call('HSET', 'h', 'f', ARGV[1]) redis.call('SET', 'y', ARGV[1])"
			commands = [][]string{{"EVAL", script, "0", n}}
		case 1:
			commands = [][]string{{"MULTI"}, {"SET", "x", n}, {"GET", "x"}, {"RPUSH", "l", n}, {"LLEN", "l"}, {"DEL", "none"}, {"HSET", "h", "f", n},
				{"SELECT", "3"}, {"SET", "other", n}, {"SELECT", "0"}, {"SET", "y", n}, {"EXEC"}}
		default:
			commands = [][]string{{"MULTI"}, {"SET", "x", n}}
			for i := range 500 {
				commands = append(commands, []string{"SET", fmt.Sprintf("k%d", i), n})
			}
			commands = append(commands, []string{"RPUSH", "l", n}, []string{"HSET", "h", "f", n}, []string{"SET", "y", n}, []string{"EXEC"})
		}
		replies, err := p.a.Pipeline(commands)
		if err != nil || replies[len(replies)-1].IsError() {
			t.Fatalf("round %d: %v %v", round, replies, err)
		}
	}
	if err := <-stop; err != nil {
		t.Error(err)
	}
	p.Converge()
	p.RequireEqual(t)
}

// watchTogether reads in one step what is written in one step, until the last round has arrived.
func watchTogether(c *redistest.Conn, rounds int) error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		replies, err := c.Pipeline([][]string{{"MULTI"}, {"GET", "x"}, {"LINDEX", "l", "-1"}, {"HGET", "h", "f"}, {"GET", "y"}, {"EXEC"}})
		if err != nil {
			return err
		}
		got := replies[5].Items
		if len(got) != 4 {
			return fmt.Errorf("EXEC answers %s", replies[5])
		}
		for _, one := range got {
			if one.Text != got[0].Text {
				return fmt.Errorf("torn: %s", replies[5])
			}
		}
		if got[0].Text == fmt.Sprint(rounds) {
			return nil
		}
	}
	return fmt.Errorf("the last round never arrived")
}

// A key that is watched here and written there makes EXEC do nothing.
func TestWatchSeesWritesOfOtherRegions(t *testing.T) {
	p := start(t, 2)
	do(p.a, "SET k 1")
	p.Converge()
	do(p.b, "WATCH k")
	do(p.a, "SET k 2")
	wantSoon(t, p.Regions[1].Dial(), "GET k", `"2"`, 10*time.Second)
	replies, err := p.b.Pipeline([][]string{{"MULTI"}, {"SET", "k", "mine"}, {"EXEC"}})
	if err != nil || replies[2].String() != "(nil)" {
		t.Errorf("got %v, %v", replies, err)
	}
	want(t, p.b, "GET k", `"2"`)
}
