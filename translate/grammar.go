package translate

// The option grammars of the commands whose direction or keys hide among their options. Each scan reads options as Redis
// does, and says whether it understood all of them: only what is certainly a read may be treated as one, so a command that
// was not understood goes to the engine, where Redis itself finds the error.

// scanSort answers where SORT's destination is (0 when there is none; the last STORE counts) and whether all options
// were understood. Words that are no options are stepped over, as Redis does when it looks for keys.
func scanSort(args [][]byte) (store int, ok bool) {
	ok = true
	for i := 2; i < len(args); {
		width := sortOption(args, i)
		switch {
		case width == 0:
			ok, width = false, 1
		case is(args[i], "STORE"):
			store = i + 1
		}
		i += width
	}
	return store, ok
}

// nextPattern answers where the next BY or GET pattern of a SORT is, from an option's position on, or 0.
func nextPattern(args [][]byte, from int) int {
	for i := from; i < len(args); {
		width := sortOption(args, i)
		if width == 2 && !is(args[i], "STORE") {
			return i + 1
		}
		i += max(width, 1)
	}
	return 0
}

// sortOption answers how many arguments the option of SORT at position i takes, its name included, or 0.
func sortOption(args [][]byte, i int) int {
	rest := len(args) - i
	switch arg := args[i]; {
	case is(arg, "ASC"), is(arg, "DESC"), is(arg, "ALPHA"):
		return 1
	case rest >= 2 && (is(arg, "BY") || is(arg, "GET") || is(arg, "STORE")):
		return 2
	case rest >= 3 && is(arg, "LIMIT"):
		return 3
	}
	return 0
}

// Where the options of GEORADIUS and GEORADIUSBYMEMBER start.
const (
	radiusOptions         = 6
	radiusByMemberOptions = 5
)

// radiusOnlyReads is true when a GEORADIUS or GEORADIUSBYMEMBER certainly stores nothing.
func radiusOnlyReads(args [][]byte, from int) bool {
	for i := from; i < len(args); {
		width := radiusOption(args, i)
		if width == 0 || isDestination(args[i]) {
			return false
		}
		i += width
	}
	return true
}

// nextDestination answers where the next destination of a GEORADIUS is, from an option's position on, or 0. Redis uses the
// last one; the others count as keys all the same.
func nextDestination(args [][]byte, from int) int {
	for i := from; i < len(args); {
		width := radiusOption(args, i)
		if width == 2 && isDestination(args[i]) {
			return i + 1
		}
		i += max(width, 1)
	}
	return 0
}

// radiusOption answers how many arguments the option at position i takes, its name included, or 0.
func radiusOption(args [][]byte, i int) int {
	more := i+1 < len(args)
	switch arg := args[i]; {
	case is(arg, "WITHDIST"), is(arg, "WITHHASH"), is(arg, "WITHCOORD"), is(arg, "ANY"), is(arg, "ASC"), is(arg, "DESC"):
		return 1
	case more && (is(arg, "COUNT") || isDestination(arg)):
		return 2
	}
	return 0
}

func isDestination(arg []byte) bool { return is(arg, "STORE") || is(arg, "STOREDIST") }

// bitfieldOnlyReads is true when every operation of a BITFIELD is a GET.
func bitfieldOnlyReads(args [][]byte) bool {
	for i := 2; i < len(args); {
		rest := len(args) - i
		switch {
		case rest >= 3 && is(args[i], "GET"):
			i += 3
		case rest >= 2 && is(args[i], "OVERFLOW"):
			i += 2
		default:
			return false
		}
	}
	return true
}

// zaddIncrements is true when INCR is among the options of a ZADD.
func zaddIncrements(args [][]byte) bool {
	for i := 2; i < len(args); i++ {
		switch arg := args[i]; {
		case is(arg, "INCR"):
			return true
		case is(arg, "NX"), is(arg, "XX"), is(arg, "GT"), is(arg, "LT"), is(arg, "CH"):
		default:
			return false
		}
	}
	return false
}

// xreadWaits is true when BLOCK is among the options of an XREAD.
func xreadWaits(args [][]byte) bool {
	for i := 1; i+1 < len(args); i += 2 {
		if is(args[i], "BLOCK") {
			return true
		}
		if !is(args[i], "COUNT") {
			return false
		}
	}
	return false
}

// xreadgroupWaits does the same for XREADGROUP, whose options follow the group and the consumer.
func xreadgroupWaits(args [][]byte) bool {
	for i := 4; i+1 < len(args); i++ {
		switch {
		case is(args[i], "BLOCK"):
			return true
		case is(args[i], "COUNT"):
			i++
		case !is(args[i], "NOACK"):
			return false
		}
	}
	return false
}
