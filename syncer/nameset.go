package syncer

import "hash/maphash"

// mergeNames are remembered at most in one merge, in about 40 MB.
const mergeNames = 1 << 21

// nameSet remembers keys that went over one connection of a merge, by 64 bits of each name, so that they need not go again. Those beyond mergeNames
// do, and no harm is done. That one is taken for another, and left out, happens once in a million merges of ten million keys.
type nameSet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newNameSet() nameSet {
	return nameSet{seed: maphash.MakeSeed(), hashes: map[uint64]struct{}{}}
}

func (s nameSet) hash(db, key string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(db)
	_ = h.WriteByte(':')
	_, _ = h.WriteString(key)
	return h.Sum64()
}

func (s nameSet) has(db, key string) bool {
	_, found := s.hashes[s.hash(db, key)]
	return found
}

// add says whether the key was not there.
func (s nameSet) add(db, key string) bool {
	hash := s.hash(db, key)
	_, found := s.hashes[hash]
	if !found && len(s.hashes) < mergeNames {
		s.hashes[hash] = struct{}{}
	}
	return !found
}
