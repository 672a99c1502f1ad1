package sentinel

import (
	"fmt"
	"slices"
	"time"
)

// council decides by the answers of all Sentinels. It is pure: it reads no clock and no socket.
type council struct {
	configured []string // addresses
	answerLife time.Duration

	answers  map[string]answer // the newest by address; also of those that are silent by now, as they tell who is who
	followed verdict           // the last one with a majority
}

// verdict is what a majority says.
type verdict struct {
	primary   string
	epoch     uint64
	confirmed time.Time // when a majority had said so
	replicas  []string  // that could be promoted in its place, as far as any of them knows
}

func newCouncil(configured []string, answerLife time.Duration) *council {
	return &council{configured: configured, answerLife: answerLife, answers: map[string]answer{}}
}

// hear takes an answer of the Sentinel at an address.
func (c *council) hear(addr string, a answer) { c.answers[addr] = a }

// forget drops a Sentinel that nobody names any more.
func (c *council) forget(addr string) { delete(c.answers, addr) }

// voices are the answers that count now, one of each Sentinel under however many addresses, the newest first.
func (c *council) voices(now time.Time) []answer {
	newest := map[string]answer{}
	for _, a := range c.answers {
		if now.Sub(a.at) < c.answerLife && !a.at.Before(newest[a.id].at) {
			newest[a.id] = a
		}
	}
	var voices []answer
	for _, a := range newest {
		voices = append(voices, a)
	}
	slices.SortFunc(voices, func(x, y answer) int { return y.at.Compare(x.at) })
	return voices
}

// size is how many Sentinels there are: as many as are configured, or as any of them says. A Sentinel that has lost its memory knows no
// others, and must not be a majority of one.
func (c *council) size(voices []answer) int {
	distinct := map[string]bool{}
	for _, addr := range c.configured {
		id := addr
		if a, known := c.answers[addr]; known {
			id = a.id
		}
		distinct[id] = true
	}
	size := len(distinct)
	for _, a := range voices {
		size = max(size, len(a.others)+1)
	}
	return size
}

// decide is the verdict of now, and what is in its way, if anything: then it is the last verdict there was.
func (c *council) decide(now time.Time) (verdict, error) {
	voices := c.voices(now)
	size := c.size(voices)
	majority := size/2 + 1
	if len(voices) < majority {
		return c.followed, fmt.Errorf("%d of %d Sentinels answer, and a majority is needed", len(voices), size)
	}
	newest, agree := c.newest(voices)
	if newest == "" {
		return c.followed, fmt.Errorf("the Sentinels do not agree on the primary")
	}
	v := verdict{primary: newest, confirmed: voices[majority-1].at}
	for _, a := range voices {
		v.epoch = max(v.epoch, a.epoch)
		v.replicas = append(v.replicas, a.replicas...)
	}
	// Epochs begin anew when an operator has the Sentinels forget the primary; but a few that have lost their memory must not lead
	// back to an old one.
	if v.epoch < c.followed.epoch && newest != c.followed.primary && agree < majority {
		return c.followed, fmt.Errorf("%d of %d Sentinels name an older configuration, and a majority is needed", agree, size)
	}
	slices.Sort(v.replicas)
	v.replicas = slices.Compact(v.replicas)
	c.followed = v
	return v, nil
}

// newest is the primary of the newest configuration, and how many name it; "" when it has several.
func (c *council) newest(voices []answer) (primary string, agree int) {
	epoch := uint64(0)
	for _, a := range voices {
		epoch = max(epoch, a.epoch)
	}
	count := map[string]int{}
	for _, a := range voices {
		if a.epoch == epoch {
			count[a.primary]++
		}
	}
	for addr, n := range count {
		switch {
		case n > agree:
			primary, agree = addr, n
		case n == agree:
			primary = ""
		}
	}
	return primary, agree
}
