package syncer

import (
	"cmp"
	"slices"

	"anabranch/crdtmeta"
)

// history is what a region's log can still tell.
type history struct {
	origin crdtmeta.Origin          // in force; zero before the region was armed for the first time
	epochs map[string]crdtmeta.Time // own epoch → time at which it began: its entries are at or above
	first  crdtmeta.Time            // oldest entry that is kept; 0 when the log is empty
	last   crdtmeta.Time            // newest entry that ever was
	whole  bool                     // the oldest entry that is kept is the first that ever was
}

// chooseStart finds the time after which a puller with these positions lacks everything in the log. Positions are the
// puller's frontier entries for this region and shard.
//
// The log is one stream over all epochs. When an epoch ended in a fail-over, the puller may have entries of it that this
// log lost (orphans): they may lie above the beginning of the next epoch, so times of different epochs are compared
// only through the epochs' beginnings.
func chooseStart(positions crdtmeta.Frontier, h history) (after crdtmeta.Time, err error) {
	if h.origin.IsZero() {
		return 0, refuse(codeNotReady, "the region has no epoch yet")
	}
	known, at := newestKnown(positions, h)
	if known.IsZero() {
		if !h.whole {
			return 0, refuse(codeBehind, "nothing of this log is known there and its beginning was trimmed: this needs a merge")
		}
		return 0, nil
	}
	after = at
	if began, found := nextEpoch(known.Epoch, h.epochs); found && began <= at {
		after = began - 1
	} else if known == h.origin && at > h.last {
		return 0, refuse(codeAhead, "%s is known there up to %d, but its log ends at %d", known, at, h.last)
	}
	if !h.whole && after+1 < h.first {
		return 0, refuse(codeBehind, "%s is known there up to %d, but the log begins at %d: behind the backlog, this needs a merge", known, at, h.first)
	}
	return after, nil
}

// newestKnown is the newest epoch that both sides know, and how far the puller has it.
func newestKnown(positions crdtmeta.Frontier, h history) (known crdtmeta.Origin, at crdtmeta.Time) {
	for origin, t := range positions {
		began, ours := h.epochs[origin.Epoch]
		if !ours || origin.Region != h.origin.Region || origin.Shard != h.origin.Shard {
			continue
		}
		if known.IsZero() || began > h.epochs[known.Epoch] {
			known, at = origin, t
		}
	}
	return known, at
}

// nextEpoch is when the epoch began that came next after the given one.
func nextEpoch(epoch string, epochs map[string]crdtmeta.Time) (began crdtmeta.Time, found bool) {
	for _, e := range sortedEpochs(epochs) {
		if epochs[e] > epochs[epoch] {
			return epochs[e], true
		}
	}
	return 0, false
}

// sortedEpochs lists epochs in the order in which they began.
func sortedEpochs(epochs map[string]crdtmeta.Time) []string {
	list := make([]string, 0, len(epochs))
	for e := range epochs {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(epochs[a], epochs[b]), cmp.Compare(a, b))
	})
	return list
}
