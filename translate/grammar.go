package translate

// The option grammars of the commands whose direction or keys hide among their options. Each scan reads options as Redis
// does, and says whether it understood all of them: only what is certainly a read may be treated as one, so a command that
// was not understood goes to the engine, where Redis itself finds the error.

// scanSort answers where SORT's destination is (0 when there is none; the last STORE counts) and whether all options
// were understood.
func scanSort(args [][]byte) (store int, ok bool) {
	for i := 2; i < len(args); {
		width := sortOption(args, i)
		if width == 0 {
			return store, false
		}
		if is(args[i], "STORE") {
			store = i + 1
		}
		i += width
	}
	return store, true
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

// scanRadius answers where the destination of GEORADIUS or GEORADIUSBYMEMBER is. The options start at from.
func scanRadius(args [][]byte, from int) (store int, ok bool) {
	for i := from; i < len(args); i++ {
		more := i+1 < len(args)
		switch arg := args[i]; {
		case is(arg, "WITHDIST"), is(arg, "WITHHASH"), is(arg, "WITHCOORD"), is(arg, "ANY"), is(arg, "ASC"), is(arg, "DESC"):
		case more && is(arg, "COUNT"):
			i++
		case more && (is(arg, "STORE") || is(arg, "STOREDIST")):
			i++
			store = i
		default:
			return store, false
		}
	}
	return store, true
}

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
