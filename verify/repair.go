package verify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// mostRepairs is how often a key is repaired that is different again afterwards.
const mostRepairs = 3

// Repaired is a key that differed and is equal in all regions now.
type Repaired struct {
	DB     int
	Key    string
	Region string        // whose value it is
	Took   time.Duration // from the repair until the regions were seen to be equal
}

// Unrepaired is a key that differs still, and why.
type Unrepaired struct {
	DB  int
	Key string
	Why string
}

var errNoChoice = errors.New("it cannot be told which region is right; --prefer says which one to take")

// rightful lists the regions (positions in looks) of which any one may give its value to the others:
//
//  1. Where Redis and metadata do not fit in some regions, because something was written or evicted past Anabranch there, and all
//     other regions agree: those.
//  2. Else those that show what most regions show, first the ones where Redis and metadata fit.
//  3. Else the preferred one. Its position is negative when there is none.
func rightful(looks []look, preferred int) ([]int, error) {
	var fit, odd []int
	for i := range looks {
		if r := looks[i].remark; r == evicted || r == stranger || r == deadline {
			odd = append(odd, i)
		} else {
			fit = append(fit, i)
		}
	}
	if len(odd) > 0 && len(fit) > 0 && !slices.ContainsFunc(fit, func(i int) bool { return looks[i].value() != looks[fit[0]].value() }) {
		return fit, nil
	}
	order := slices.Concat(fit, odd)
	for _, i := range order {
		alike := slices.DeleteFunc(slices.Clone(order), func(j int) bool { return looks[j].value() != looks[i].value() })
		if 2*len(alike) > len(looks) {
			return alike, nil
		}
	}
	if preferred >= 0 {
		return []int{preferred}, nil
	}
	return nil, errNoChoice
}

// repair has the region that is right write the key anew. It says whether the suspect is done with; else it is looked at until it
// is equal. A region that refuses is named, unless another one with the same value takes its place.
func (r *run) repair(ctx context.Context, s *suspect, looks []look) (done bool) {
	if s.repairs == mostRepairs {
		r.unrepaired(s, "it is different again after each repair")
		return true
	}
	right, err := rightful(looks, slices.IndexFunc(r.regions, func(region *region) bool { return region.Name == r.cfg.Prefer }))
	if err != nil {
		r.unrepaired(s, err.Error())
		return true
	}
	var refusals []string
	for _, i := range right {
		if _, err := r.regions[i].do(ctx, s.db, "CRDT", "REPAIR", s.name); err != nil {
			refusals = append(refusals, err.Error())
			continue
		}
		now := time.Now()
		s.repairs, s.healer = s.repairs+1, r.regions[i].Name
		s.first, s.since, s.next, s.delay = nil, now, now.Add(firstDelay), firstDelay
		return false
	}
	if ctx.Err() == nil {
		r.unrepaired(s, strings.Join(refusals, "; "))
	}
	return true
}

func (r *run) repaired(s *suspect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Repaired++
	delete(r.reported, s.note("differs")) // news, should it differ once more
	r.report.Repaired(Repaired{DB: s.db, Key: s.name, Region: s.healer, Took: time.Since(s.since)})
}

func (r *run) unrepaired(s *suspect, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.news {
		r.report.Unrepaired(Unrepaired{DB: s.db, Key: s.name, Why: why})
	}
}
