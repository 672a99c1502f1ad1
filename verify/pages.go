package verify

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// names are keys of one database, of the first region or, with reverse, of another one.
type names struct {
	db      int
	list    []string
	reverse bool
}

// read sends the names of all keys of the first region, page by page, and then those of the others.
func (r *run) read(ctx context.Context, pages chan<- names) error {
	var lists [][]int
	for _, region := range r.regions {
		dbs, err := region.databases(ctx)
		if err != nil {
			return err
		}
		lists = append(lists, dbs)
	}
	for i, region := range r.regions {
		for _, db := range union(lists) {
			for cursor := "0"; ; {
				list, next, err := region.scan(ctx, db, cursor)
				if err != nil {
					return err
				}
				for _, part := range split(list) {
					if err := r.pace.wait(ctx, len(part)); err != nil {
						return err
					}
					select {
					case pages <- names{db, part, i > 0}:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				if cursor = next; cursor == "0" {
					break
				}
			}
		}
	}
	return nil
}

// split makes pages of names.
func split(list []string) [][]string {
	var pages [][]string
	from, bytes := 0, 0
	for i, name := range list {
		if i > from && (i-from == pageKeys || bytes+len(name) > pageBytes) {
			pages = append(pages, list[from:i])
			from, bytes = i, 0
		}
		bytes += len(name)
	}
	if from < len(list) {
		pages = append(pages, list[from:])
	}
	return pages
}

// compare asks all regions for one hash of a page. Only where these differ it looks at the keys.
func (r *run) compare(ctx context.Context, batch names) error {
	if batch.reverse {
		lacking, err := r.regions[0].lacks(ctx, batch.db, batch.list)
		if err != nil || !lacking {
			return err
		}
		return r.examine(ctx, batch.db, batch.list, true)
	}
	r.count(len(batch.list))
	for list := batch.list; len(list) > 0; {
		answers, err := everywhere(ctx, r, func(ctx context.Context, region *region) (page, error) {
			return region.page(ctx, batch.db, list)
		})
		if err != nil {
			return err
		}
		done, differ, found := answers[0].done, false, []string(nil)
		for _, answer := range answers {
			done = min(done, answer.done)
			differ = differ || answer != answers[0]
		}
		if differ {
			found = list[:done]
		} else {
			for word := range strings.FieldsSeq(answers[0].large) {
				if n, err := strconv.Atoi(word); err == nil && n >= 1 && n <= done {
					found = append(found, list[n-1])
				}
			}
		}
		if err := r.examine(ctx, batch.db, found, false); err != nil {
			return err
		}
		list = list[done:]
	}
	return nil
}

// examine looks at each of some keys, and hands on those that differ and those that must be read in parts. With missing it
// leaves out what the first region shows, as that has been compared.
func (r *run) examine(ctx context.Context, db int, list []string, missing bool) error {
	var small, deep []*suspect
	for len(list) > 0 {
		looks, err := r.ask(ctx, db, list[:min(len(list), lookKeys)])
		if err != nil {
			return err
		}
		for i, of := range looks {
			if missing && of[0].state != absent {
				continue
			}
			if missing {
				r.count(1)
			}
			s := newSuspect(db, list[i])
			switch {
			case needsParts(of):
				deep = append(deep, s)
			case s.judge(of) == open:
				small = append(small, s)
			}
		}
		list = list[len(looks):]
	}
	return firstOf(send(ctx, r.small, small), send(ctx, r.large, deep))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, lane chan<- []*suspect, suspects []*suspect) error {
	if len(suspects) == 0 {
		return nil
	}
	select {
	case lane <- suspects:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask looks at keys in all regions at the same time. It answers for the first ones, for each of them one look for each region.
func (r *run) ask(ctx context.Context, db int, list []string) ([][]look, error) {
	answers, err := everywhere(ctx, r, func(ctx context.Context, region *region) ([]look, error) {
		return region.looks(ctx, db, list)
	})
	if err != nil {
		return nil, err
	}
	done := len(list)
	for _, answer := range answers {
		done = min(done, len(answer))
	}
	looks := make([][]look, done)
	for i := range looks {
		for _, answer := range answers {
			looks[i] = append(looks[i], answer[i])
		}
	}
	return looks, nil
}

// everywhere asks all regions at the same time, and answers in their order.
func everywhere[T any](ctx context.Context, r *run, question func(context.Context, *region) (T, error)) ([]T, error) {
	answers := make([]T, len(r.regions))
	group, ctx := errgroup.WithContext(ctx)
	for i, region := range r.regions {
		group.Go(func() (err error) {
			answers[i], err = question(ctx, region)
			return err
		})
	}
	return answers, group.Wait()
}
