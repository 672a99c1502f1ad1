package model

// merge takes one effect into the state. It is the only place that changes data, for local and remote effects alike.
func (r *Region) merge(ctx context, e Effect) {
	if e.Kind == Flush {
		for db := range r.databases {
			if e.DB == AllDatabases || e.DB == db {
				for _, k := range r.databases[db] {
					k.removeSeen(ctx, types)
					k.removeSeenTTL(ctx)
				}
			}
		}
		r.mergeOffsets(e)
		return
	}
	k := r.key(e.DB, e.Key)
	switch e.Kind {
	case Overwrite:
		k.removeSeen(ctx, types)
		k.removeSeenTTL(ctx)
		k.candidates = append(k.candidates, candidate{ctx.self, Persist})
		k.cell(String, "").add(ctx.self, e.Value)
	case Edit:
		k.removeSeen(ctx, types)
		k.cell(String, "").add(ctx.self, e.Value)
	case Add:
		k.removeSeen(ctx, otherTypes(e.Type))
		for _, el := range e.Elements {
			c := k.cell(e.Type, el.Name)
			c.removeSeen(ctx)
			c.add(ctx.self, el.Value)
		}
	case Remove:
		k.removeSeen(ctx, otherTypes(e.Type))
		for _, el := range e.Elements {
			k.cell(e.Type, el.Name).removeSeen(ctx)
		}
	case Increment:
		k.removeSeen(ctx, otherTypes(e.Type))
		start := e.start
		if start == (instant{}) {
			start = ctx.self.instant()
		}
		k.cell(e.Type, e.Elements[0].Name).setShare(ctx.self.Origin, start, ctx.self.instant(), e.sum, e.float)
	case Delete:
		k.removeSeen(ctx, types)
		k.removeSeenTTL(ctx)
	case Insert:
		k.removeSeen(ctx, otherTypes(List))
		k.mergeInsert(ctx, e)
	case TakeOut:
		k.removeSeen(ctx, otherTypes(List))
		k.mergeTakeOut(e)
	case SetElement:
		k.removeSeen(ctx, otherTypes(List))
		k.mergeSet(ctx, e)
	case Expire:
		k.removeSeenTTL(ctx)
		if e.Deadline != Void {
			k.candidates = append(k.candidates, candidate{ctx.self, e.Deadline})
		}
	}
	r.mergeOffsets(e)
}

func (r *Region) mergeOffsets(e Effect) {
	for _, o := range e.Offsets {
		r.key(o.DB, o.Key).cell(o.Type, o.Element).offset(o)
	}
}

// offsets lists the live shares that effect e is about to reset: those of the cells that it writes or removes, and of
// all cells of the types that it clears. It is for the effect's own region, which sees all that it holds.
func (r *Region) offsets(e Effect) []Offset {
	var list []Offset
	reset := func(db int, key string, of []Type, elements []Element) {
		k := r.key(db, key)
		for _, t := range of {
			for _, name := range sortedNames(k.cells[t]) {
				list = append(list, k.cells[t][name].offsets(Offset{DB: db, Key: key, Type: t, Element: name})...)
			}
		}
		for _, el := range elements {
			list = append(list, k.cell(e.Type, el.Name).offsets(Offset{DB: db, Key: key, Type: e.Type, Element: el.Name})...)
		}
	}
	switch e.Kind {
	case Overwrite, Edit, Delete:
		reset(e.DB, e.Key, types, nil)
	case Add, Remove:
		reset(e.DB, e.Key, otherTypes(e.Type), e.Elements)
	case Increment, Insert, TakeOut, SetElement:
		reset(e.DB, e.Key, otherTypes(e.Type), nil)
	case Flush:
		for db := range r.databases {
			if e.DB == AllDatabases || e.DB == db {
				for key := range r.databases[db] {
					reset(db, key, types, nil)
				}
			}
		}
	}
	return list
}

// offsets returns one offset for each live share, at the address given.
func (c *Cell) offsets(at Offset) []Offset {
	var list []Offset
	for _, origin := range c.origins() {
		if s := c.shares[origin]; s.live() {
			o := at
			o.Origin, o.start, o.last, o.sum = origin, s.start, s.last, s.sum
			list = append(list, o)
		}
	}
	return list
}
