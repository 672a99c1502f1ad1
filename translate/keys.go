package translate

// EachKey calls visit with the position and access of every key argument, in the order of the command's key
// specifications, until visit returns false. c is the row that the arguments belong to: of a subcommand, its own row.
// Arguments that do not fit the command visit fewer keys or none; nothing is assumed about their number.
func (c *Command) EachKey(args [][]byte, visit func(position int, access Access) bool) {
	for i := range c.keys {
		spec := &c.keys[i]
		if spec.access&AccessChannel != 0 {
			continue
		}
		if spec.patterns {
			for pos := nextPattern(args, 2); pos > 0; pos = nextPattern(args, pos+1) {
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
	sortPatterns        = keySpec{patterns: true, access: AccessPattern | AccessRead}
	sortStore           = keySpec{find: findSortStore, access: writes}
	radiusStore         = keySpec{find: findRadiusStore, access: writes}
	radiusByMemberStore = keySpec{find: findRadiusByMemberStore, access: writes}
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

// nextPattern answers where the next BY or GET pattern of a SORT is, from an option's position on, or 0.
func nextPattern(args [][]byte, from int) int {
	for i := from; i < len(args); {
		if (is(args[i], "BY") || is(args[i], "GET")) && i+1 < len(args) {
			return i + 1
		}
		width := sortOption(args, i)
		if width == 0 {
			return 0
		}
		i += width
	}
	return 0
}

func findSortStore(args [][]byte) keyRange {
	store, _ := scanSort(args)
	return single(store)
}

func findRadiusStore(args [][]byte) keyRange {
	store, _ := scanRadius(args, 6)
	return single(store)
}

func findRadiusByMemberStore(args [][]byte) keyRange {
	store, _ := scanRadius(args, 5)
	return single(store)
}

func single(position int) keyRange {
	if position == 0 {
		return keyRange{}
	}
	return keyRange{position, position, 1}
}
