package translate

// Access says what a command does with a key, as an ACL rule sees it.
type Access uint8

// A key of which a command tells only that it exists, its type or its length needs neither right.
const (
	reads   = AccessRead
	writes  = AccessWrite
	channel = AccessChannel

	nameOnly      Access = 0
	AccessRead    Access = 1 << 0 // uses, copies or returns the value
	AccessWrite   Access = 1 << 1 // inserts, changes or deletes
	AccessPattern Access = 1 << 2 // no key but a pattern that data turns into names (SORT BY, GET): needs the right to read all keys
	AccessChannel Access = 1 << 3 // no key but a shard channel; never visited by EachKey
)

// keySpec finds some of a command's keys among its arguments: where they begin, then how many there are. The forms are
// those of Redis's key specifications, and a few that Redis computes in code.
type keySpec struct {
	keyword string // begin after this word, where set
	start   int    // begin here, or look for the keyword from here on (backwards when negative)
	counted bool   // the argument at the beginning says how many keys follow it
	last    int    // last key relative to the beginning; negative: relative to the end
	step    int    // distance of neighbours
	half    bool   // keys fill the first half of the rest (XREAD)
	access  Access

	vary func(args [][]byte) Access   // the access, where arguments decide it
	find func(args [][]byte) keyRange // the place, where only the command's own grammar tells it

	// next answers the first place at or after an option's position, or 0, where places are scattered over the options.
	next func(args [][]byte, from int) int
}

// keyRange is positions first, first+step … up to last. The zero value is empty.
type keyRange struct{ first, last, step int }

func keys(specs ...keySpec) []keySpec { return specs }

func at(start int, access Access) keySpec { return span(start, 0, access) }

func span(start, last int, access Access) keySpec { return spanStep(start, last, 1, access) }

func spanStep(start, last, step int, access Access) keySpec {
	return keySpec{start: start, last: last, step: step, access: access}
}

func counted(start int, access Access) keySpec {
	return keySpec{start: start, counted: true, step: 1, access: access}
}

func after(keyword string, start, last int, access Access) keySpec {
	return keySpec{keyword: keyword, start: start, last: last, step: 1, access: access}
}

func halfAfter(keyword string, start int, access Access) keySpec {
	return keySpec{keyword: keyword, start: start, last: -1, step: 1, half: true, access: access}
}

// locate answers where the keys are. Arguments that do not fit give an empty range: Redis refuses such a command itself.
func (s *keySpec) locate(args [][]byte) keyRange {
	if s.find != nil {
		return s.find(args)
	}
	begin := s.start
	if s.keyword != "" {
		begin = s.afterKeyword(args)
	}
	if begin <= 0 || begin >= len(args) {
		return keyRange{}
	}
	if s.counted {
		count, ok := parseCount(args[begin])
		if !ok || count > len(args)-begin-1 {
			return keyRange{}
		}
		return keyRange{begin + 1, begin + count, 1}
	}
	last := begin + s.last
	switch {
	case s.half:
		last = begin + (len(args)-begin)/2 - 1
	case s.last < 0:
		last = len(args) + s.last
	}
	if last >= len(args) {
		return keyRange{}
	}
	return keyRange{begin, last, s.step}
}

func (s *keySpec) afterKeyword(args [][]byte) int {
	if s.start < 0 {
		for i := len(args) + s.start; i > 0; i-- {
			if is(args[i], s.keyword) {
				return i + 1
			}
		}
		return 0
	}
	for i := s.start; i < len(args); i++ {
		if is(args[i], s.keyword) {
			return i + 1
		}
	}
	return 0
}

// parseCount reads a number of keys as strictly as Redis does: digits only, no sign, no leading zero.
func parseCount(arg []byte) (int, bool) {
	if len(arg) == 0 || len(arg) > 9 || (arg[0] == '0' && len(arg) > 1) {
		return 0, false
	}
	count := 0
	for _, digit := range arg {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		count = count*10 + int(digit-'0')
	}
	return count, true
}
