package verify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Summary is what one comparison of everything came to.
type Summary struct {
	Keys      int64 // of the first region, and those that only others have
	Different map[Reason]int64
	Undecided int64
	Repaired  int64 // of those that differed
	Took      time.Duration
}

// Differences counts them all.
func (s *Summary) Differences() (n int64) {
	for _, count := range s.Different {
		n += count
	}
	return n
}

// Report takes what is found, as it is found. Its methods are not called at the same time.
type Report interface {
	Differs(Difference)
	Undecided(Undecided)
	// Repaired and Unrepaired follow Differs when differences are to be repaired.
	Repaired(Repaired)
	Unrepaired(Unrepaired)
}

// Verifier compares regions. Run may be called again and again, but not at the same time.
type Verifier struct {
	cfg     Config
	regions []*region
	// What was reported, and in which run it was last seen; at most rememberKeys.
	reported map[string]int
	runs     int
}

// New returns a verifier, which dials nothing until Run.
func New(cfg Config) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, reported: map[string]int{}}
	for _, r := range cfg.Regions {
		v.regions = append(v.regions, &region{Region: r})
	}
	return v, nil
}

// Close ends the connections.
func (v *Verifier) Close() {
	for _, r := range v.regions {
		r.close()
	}
}

// run is one comparison of everything.
type run struct {
	*Verifier
	report Report
	small  chan []*suspect
	large  chan []*suspect
	pace   pacer

	mu      sync.Mutex
	summary Summary // guarded by mu, with the report and what was reported
}

// Run compares all keys of all databases once. Of keys that come or go meanwhile some are compared and some are not. A key that
// was reported in an earlier run and still differs is counted, but not reported again. An error means that the comparison is
// not complete.
func (v *Verifier) Run(ctx context.Context, report Report) (Summary, error) {
	begun := time.Now()
	v.runs++
	r := &run{
		Verifier: v, report: report, small: make(chan []*suspect), large: make(chan []*suspect), pace: pacer{rate: v.cfg.Rate},
		summary: Summary{Different: map[Reason]int64{}},
	}
	err := r.everything(ctx)
	for name, seen := range v.reported {
		if seen != v.runs && err == nil {
			delete(v.reported, name) // equal again: news, should it differ once more
		}
	}
	r.summary.Took = time.Since(begun)
	return r.summary, err
}

// everything ends when the names have been read, all pages compared and all suspects decided, or with the first error.
func (r *run) everything(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	pages := make(chan names)
	group.Go(func() error {
		defer close(pages)
		return r.read(ctx, pages)
	})
	group.Go(func() error {
		// The lanes get no more suspects when all pages are compared.
		defer close(r.small)
		defer close(r.large)
		comparing, ctx := errgroup.WithContext(ctx)
		for range workers {
			comparing.Go(func() error {
				for page := range pages {
					if err := r.compare(ctx, page); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return comparing.Wait()
	})
	group.Go(func() error { return r.lane(ctx, r.small, r.lookAll) })
	group.Go(func() error { return r.lane(ctx, r.large, r.lookDeep) })
	return group.Wait()
}

// settle counts a key that is different, and reports it unless that was done before. It answers false when this run has met it
// already.
func (r *run) settle(s *suspect, looks []look) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	reason, detail := explain(looks, r.regions)
	seen, news := r.note(s, "differs")
	if seen {
		return false
	}
	s.news = news
	r.summary.Different[reason]++
	if news {
		r.report.Differs(Difference{DB: s.db, Key: s.name, Reason: reason, Detail: detail, Regions: shown(looks, r.regions)})
	}
	return true
}

func (r *run) giveUp(s *suspect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, news := r.note(s, "undecided")
	if seen {
		return
	}
	r.summary.Undecided++
	if !news {
		return
	}
	r.report.Undecided(Undecided{DB: s.db, Key: s.name, Why: s.undecided(r.regions)})
}

// note remembers a key that is reported: whether it was counted in this run, since SCAN may name one twice, and whether it is news.
func (r *run) note(s *suspect, how string) (seen, news bool) {
	name := s.note(how)
	last, known := r.reported[name]
	if known || len(r.reported) < rememberKeys {
		r.reported[name] = r.runs
	}
	return known && last == r.runs, !known
}

// note is the name under which a suspect is remembered.
func (s *suspect) note(how string) string { return fmt.Sprintf("%s %d:%s", how, s.db, s.name) }

func (r *run) count(keys int) {
	r.mu.Lock()
	r.summary.Keys += int64(keys)
	r.mu.Unlock()
}

// pacer keeps to a number of keys a second. One goroutine uses it.
type pacer struct {
	rate int
	due  time.Time
}

func (p *pacer) wait(ctx context.Context, keys int) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.due.Before(now) {
		p.due = now
	}
	wait := p.due.Sub(now)
	p.due = p.due.Add(time.Duration(keys) * time.Second / time.Duration(p.rate))
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
