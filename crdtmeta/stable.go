package crdtmeta

// Stable is the part of all effects that every region is known to have seen, at region own: an effect is in it when own has
// applied it, and has applied from each of the others' own logs a frontier record that covers it, so that nothing which still
// arrives can be concurrent with it. Acknowledgements do not count: they do not say that what a region did before has arrived.
//
// frontier is what own has applied; contexts has the newest frontier record of each origin that was applied; others are the
// ids of all other members. Of own's own effects all count as applied. A member of which nothing was applied, or that has
// begun an epoch and not said yet what it has, holds everything back.
func Stable(own Origin, others []int, frontier Frontier, contexts map[Origin]Frontier) Frontier {
	origins := frontier.Clone()
	origins[own] = maxTime
	for _, member := range others {
		current := newestOf(member, frontier)
		for origin, t := range origins {
			seen := contexts[current][origin]
			if origin == current {
				seen = frontier[origin]
			}
			origins[origin] = min(t, seen)
		}
	}
	return origins
}

// newestOf is the epoch in which a region was last heard of; zero for one that was never.
func newestOf(region int, frontier Frontier) Origin {
	var newest Origin
	for origin := range frontier {
		if origin.Region == region && (newest.IsZero() || origin.Compare(newest) > 0) {
			newest = origin
		}
	}
	return newest
}
