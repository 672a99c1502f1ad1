package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// strike is one fault at one place.
type strike struct {
	fault  *fault
	at     time.Duration // since the load began
	lasts  time.Duration
	region int
	other  int    // another region, for faults between two
	proxy  int    // of the region
	amount uint64 // whatever else the fault needs to decide
}

// end is when the fault is over.
func (s strike) end() time.Duration { return s.at + s.lasts }

func (s strike) String() string {
	where := fmt.Sprintf("region %s", regionNames[s.region])
	if s.fault.between {
		where += fmt.Sprintf(" and %s", regionNames[s.other])
	}
	text := fmt.Sprintf("%-14s %s", s.fault.name, where)
	if s.fault.detail != nil {
		text += ", " + s.fault.detail(s)
	}
	return text
}

// bounds of a plan.
const (
	firstStrike = 1500 * time.Millisecond
	quietEnd    = time.Second            // nothing is under way in the end
	margin      = 300 * time.Millisecond // between two strikes at one place
)

// makePlan draws the faults like cards: each comes up before any comes up again, later than others if its places are taken. Two strikes at one place never overlap; at
// different places they may, and do. The plan depends on its arguments alone.
func makePlan(seed uint64, length time.Duration, faults []*fault) []strike {
	random := rand.New(rand.NewPCG(seed, 1))
	longest := min(5*time.Second+length/20, 20*time.Second)
	var plan []strike
	var deck []*fault
	for at := firstStrike; at < length-quietEnd; at += time.Duration(200+random.IntN(1400)) * time.Millisecond {
		placed := -1
		for i := 0; placed < 0 && i <= len(deck); i++ {
			if i == len(deck) {
				if len(deck) >= len(faults) {
					break
				}
				fresh := slices.Clone(faults)
				random.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
				deck = append(deck, fresh...)
			}
			for range 4 { // places may be taken
				s := draw(random, deck[i], at, longest)
				if s.end() <= length-quietEnd && !taken(plan, s) {
					plan, placed = append(plan, s), i
					break
				}
			}
		}
		if placed >= 0 {
			deck = slices.Delete(deck, placed, placed+1)
		}
	}
	return plan
}

func draw(random *rand.Rand, f *fault, at, longest time.Duration) strike {
	s := strike{fault: f, at: at, region: random.IntN(len(regionNames)), amount: random.Uint64()}
	s.lasts = 300*time.Millisecond + time.Duration(random.Int64N(int64(longest)))
	if random.IntN(2) == 0 {
		s.lasts /= 4 // many short ones
	}
	s.lasts = max(s.lasts, f.least)
	s.other = (s.region + 1 + random.IntN(len(regionNames)-1)) % len(regionNames)
	s.proxy = random.IntN(proxiesOf(s.region))
	return s
}

// taken says whether something else strikes at one of the strike's places meanwhile.
func taken(plan []strike, s strike) bool {
	places := s.fault.places(s)
	return slices.ContainsFunc(plan, func(earlier strike) bool {
		return earlier.end()+earlier.fault.after+margin > s.at && slices.ContainsFunc(earlier.fault.places(earlier), func(place string) bool {
			return slices.Contains(places, place)
		})
	})
}

// moment is the beginning or the end of a strike.
type moment struct {
	strike
	begins bool
}

func (m moment) at() time.Duration {
	if m.begins {
		return m.strike.at
	}
	return m.end()
}

// moments brings a plan into the order in which it is carried out.
func moments(plan []strike) []moment {
	var all []moment
	for _, s := range plan {
		all = append(all, moment{s, true}, moment{s, false})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return int(a.at() - b.at()) })
	return all
}

func describe(plan []strike) string {
	var text strings.Builder
	for _, s := range plan {
		fmt.Fprintf(&text, "\n  %6.1fs – %6.1fs  %s", s.at.Seconds(), s.end().Seconds(), s)
	}
	return text.String()
}
