package verify

import (
	"context"
	"slices"
	"time"
)

func newSuspect(db int, name string) *suspect {
	now := time.Now()
	return &suspect{db: db, name: name, since: now, next: now.Add(firstDelay), delay: firstDelay, why: "there was no time to look"}
}

// lane looks at suspects again until they are decided. It takes no more of them while pendingKeys wait, and ends when in is
// closed and all are decided.
func (r *run) lane(ctx context.Context, in <-chan []*suspect, look func(context.Context, []*suspect) ([][]look, error)) error {
	var pending []*suspect
	for in != nil || len(pending) > 0 {
		source := in
		if len(pending) >= pendingKeys {
			source = nil
		}
		select {
		case more, is := <-source:
			if !is {
				in = nil
			}
			pending = append(pending, more...)
			continue
		case <-untilDue(pending):
		case <-ctx.Done():
			return ctx.Err()
		}
		var err error
		if pending, err = r.again(ctx, pending, look); err != nil {
			return err
		}
	}
	return nil
}

// untilDue fires when the first suspect is due, and never without one.
func untilDue(pending []*suspect) <-chan time.Time {
	if len(pending) == 0 {
		return nil
	}
	next := pending[0].next
	for _, s := range pending {
		if s.next.Before(next) {
			next = s.next
		}
	}
	return time.After(time.Until(next))
}

// again looks at suspects that are due, and returns those that are still not decided.
func (r *run) again(ctx context.Context, pending []*suspect, look func(context.Context, []*suspect) ([][]look, error)) ([]*suspect, error) {
	now, kept := time.Now(), pending[:0]
	due := map[int][]*suspect{} // by database
	for _, s := range pending {
		if s.next.After(now) {
			kept = append(kept, s)
		} else {
			due[s.db] = append(due[s.db], s)
		}
	}
	for _, suspects := range due {
		for len(suspects) > 0 {
			looks, err := look(ctx, suspects[:min(len(suspects), lookKeys)])
			if err != nil {
				return nil, err
			}
			for i, of := range looks {
				if !r.decide(ctx, suspects[i], of) {
					kept = append(kept, suspects[i])
				}
			}
			suspects = suspects[len(looks):]
		}
	}
	return kept, nil
}

// decide says whether a suspect is done with. With repairs, one that is different begins anew until it is equal.
func (r *run) decide(ctx context.Context, s *suspect, looks []look) bool {
	switch s.judge(looks) {
	case equal:
		if s.repairs > 0 {
			r.repaired(s)
		}
		return true
	case different:
		if s.repairs == 0 && !r.settle(s, looks) || !r.cfg.Repair {
			return true
		}
		return r.repair(ctx, s, looks)
	}
	if time.Since(s.since) > r.cfg.Patience {
		if s.repairs > 0 {
			r.unrepaired(s, "region "+s.healer+" has written it anew, but it is not equal yet: "+s.undecided(r.regions))
		} else {
			r.giveUp(s)
		}
		return true
	}
	s.next = time.Now().Add(s.delay)
	s.delay = min(2*s.delay, mostDelay)
	return false
}

// lookAll looks at suspects of one database.
func (r *run) lookAll(ctx context.Context, suspects []*suspect) ([][]look, error) {
	list := make([]string, len(suspects))
	for i, s := range suspects {
		list[i] = s.name
	}
	looks, err := r.ask(ctx, suspects[0].db, list)
	if err != nil {
		return nil, err
	}
	for i := range looks {
		if needsParts(looks[i]) { // it has grown
			deep, err := r.lookDeep(ctx, suspects[i:i+1])
			if err != nil {
				return nil, err
			}
			looks[i] = deep[0]
		}
	}
	return looks, nil
}

// lookDeep reads the first suspect's large value in all regions at the same time.
func (r *run) lookDeep(ctx context.Context, suspects []*suspect) ([][]look, error) {
	s := suspects[0]
	looks, err := everywhere(ctx, r, func(ctx context.Context, region *region) (look, error) {
		return region.deepLook(ctx, s.db, s.name)
	})
	return [][]look{looks}, err
}

// needsParts says that a region has shown no more than the size of a value.
func needsParts(looks []look) bool {
	return slices.ContainsFunc(looks, func(l look) bool { return l.state == large })
}
