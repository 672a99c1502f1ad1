package trap

import (
	"strconv"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// An answer is seen before the question: B writes y after it has read A's x, and C shows y without x.
func TestNobodySeesAnEffectBeforeItsCause(t *testing.T) {
	p := start(t, 3)
	answers := make(chan error, 1)
	const rounds = 60
	go func() { // B answers every x with a y; ends with the last round
		answers <- answer(p.b, rounds)
	}()
	watcher, b := p.Regions[2].Dial(), p.Regions[1].Dial()
	look := func() int {
		y := watcher.Must("GET", "y").Int() // before x: what y depends on may arrive in between, never after
		if x := watcher.Must("GET", "x").Int(); x < y {
			t.Fatalf("C shows y=%d, but x=%d", y, x)
		}
		return int(y)
	}
	for round := 1; round <= rounds; round++ {
		held := round%10 == 5
		if held {
			p.Regions[2].CRDT("PAUSE", "A") // B's answer reaches C long before A's question
		}
		do(p.a, "SET x "+strconv.Itoa(round))
		wantSoon(t, b, "GET y", strconv.Quote(strconv.Itoa(round)), 10*time.Second)
		if held {
			time.Sleep(100 * time.Millisecond)
			look()
			p.Regions[2].CRDT("RESUME", "A")
		}
		for deadline := time.Now().Add(10 * time.Second); look() < round; {
			if time.Now().After(deadline) {
				t.Fatalf("the answer of round %d does not arrive", round)
			}
		}
	}
	if err := <-answers; err != nil {
		t.Fatal(err)
	}
}

func answer(c *redistest.Conn, rounds int) error {
	for last := int64(0); last < int64(rounds); {
		x, err := c.Try("GET", "x")
		if err != nil {
			return err
		}
		if x.Int() <= last {
			continue
		}
		last = x.Int()
		if _, err := c.Try("SET", "y", x.Text); err != nil {
			return err
		}
	}
	return nil
}

// One command on several keys becomes visible in pieces in another region.
func TestACommandOnSeveralKeysArrivesInOnePiece(t *testing.T) {
	p := start(t, 2)
	done := make(chan error, 1)
	go func() { // ends after its writes
		for i := range 400 {
			n := strconv.Itoa(i)
			if _, err := p.a.Try("MSET", "one", n, "two", n, "three", n); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	watcher := p.Regions[1].Dial()
	for looks := 0; ; looks++ {
		got := do(watcher, "MGET one two three").Strings()
		if got[0] != got[1] || got[1] != got[2] {
			t.Fatalf("after %d looks B shows %q", looks, got)
		}
		if got[0] == "399" {
			break
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A session does not see its own write, because its read took another connection.
func TestASessionSeesItsOwnWrites(t *testing.T) {
	p := start(t, 1)
	var commands [][]string
	for i := range 2000 {
		n := strconv.Itoa(i)
		commands = append(commands, []string{"SET", "k" + strconv.Itoa(i%5), n}, []string{"GET", "k" + strconv.Itoa(i%5)})
	}
	replies, err := p.a.Pipeline(commands)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(replies); i += 2 {
		if want := strconv.Itoa(i / 2); replies[i].Text != want {
			t.Fatalf("GET right after SET %s answers %s", want, replies[i])
		}
	}
}
