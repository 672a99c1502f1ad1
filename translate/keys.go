package translate

// EachKey calls visit with the position and access of every key argument, in the order of the command's key
// specifications, until visit returns false. c is the row that the arguments belong to: of a subcommand, its own row.
// Arguments that do not fit the command visit fewer keys or none; nothing is assumed about their number.
func (c *Command) EachKey(args [][]byte, visit func(position int, access Access) bool) {
	if len(c.keys) > 1 && !c.countsFit(args) {
		return
	}
	for i := range c.keys {
		spec := &c.keys[i]
		if spec.access&AccessChannel != 0 {
			continue
		}
		if spec.next != nil {
			for pos := spec.next(args, spec.start); pos > 0; pos = spec.next(args, pos+1) {
				if !visit(pos, spec.access) {
					return
				}
			}
			continue
		}
		found := spec.locate(args)
		if found.step == 0 {
			continue
		}
		access := spec.access
		if spec.vary != nil {
			access = spec.vary(args)
		}
		for pos := found.first; pos <= found.last; pos += found.step {
			if !visit(pos, access) {
				return
			}
		}
	}
}

// countsFit reports whether every number of keys that the arguments give is one. Where one is not, Redis knows none of the keys and
// refuses the command.
func (c *Command) countsFit(args [][]byte) bool {
	for i := range c.keys {
		if spec := &c.keys[i]; spec.counted {
			if found := spec.locate(args); found.last < found.first || found.step == 0 {
				return false
			}
		}
	}
	return true
}

// Keys appends the positions of all key arguments to dst. Patterns of SORT are not among them.
func (c *Command) Keys(dst []int, args [][]byte) []int {
	c.EachKey(args, func(position int, access Access) bool {
		if access&AccessPattern == 0 {
			dst = append(dst, position)
		}
		return true
	})
	return dst
}

// HasKeys says whether the command can have key arguments at all.
func (c *Command) HasKeys() bool {
	return len(c.keys) > 0 && c.keys[0].access&AccessChannel == 0
}

// The places and accesses that only a command's own grammar tells.
var (
	sortPatterns        = keySpec{start: 2, next: nextPattern, access: AccessPattern | AccessRead}
	sortStore           = keySpec{find: findSortStore, access: writes}
	radiusStore         = keySpec{start: radiusOptions, next: nextDestination, access: writes}
	radiusByMemberStore = keySpec{start: radiusByMemberOptions, next: nextDestination, access: writes}
	setKey              = keySpec{start: 1, step: 1, vary: setAccess}
	bitfieldKey         = keySpec{start: 1, step: 1, vary: bitfieldAccess}
)

func setAccess(args [][]byte) Access {
	for i := 3; i < len(args); i++ {
		if is(args[i], "GET") {
			return reads | writes
		}
	}
	return writes
}

func bitfieldAccess(args [][]byte) Access {
	if bitfieldOnlyReads(args) {
		return reads
	}
	return reads | writes
}

func findSortStore(args [][]byte) keyRange {
	store, _ := scanSort(args)
	if store == 0 {
		return keyRange{}
	}
	return keyRange{store, store, 1}
}
