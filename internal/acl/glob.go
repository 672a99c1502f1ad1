package acl

// match reports whether name fits a glob-style pattern, with all the habits of Redis's own matching. The one that surprises: no
// pattern but the empty one fits an empty name.
func match(pattern, name string) bool {
	fits, _ := matchFrom(pattern, name)
	return fits
}

// matchFrom is match for the rest of a pattern. hopeless says that a longer match of an earlier star would not help, since what
// follows the later star fits nowhere; this keeps a pattern of many stars from taking exponential time.
func matchFrom(pattern, name string) (fits, hopeless bool) {
	for pattern != "" && name != "" {
		switch pattern[0] {
		case '*':
			for len(pattern) > 1 && pattern[1] == '*' {
				pattern = pattern[1:]
			}
			if len(pattern) == 1 {
				return true, false
			}
			for ; name != ""; name = name[1:] {
				if fits, hopeless := matchFrom(pattern[1:], name); fits || hopeless {
					return fits, hopeless
				}
			}
			return false, true
		case '[':
			in, rest := matchClass(pattern[1:], name[0])
			if !in {
				return false, false
			}
			pattern = rest
		case '?':
			pattern = pattern[1:]
		default:
			if pattern[0] == '\\' && len(pattern) > 1 {
				pattern = pattern[1:]
			}
			if pattern[0] != name[0] {
				return false, false
			}
			pattern = pattern[1:]
		}
		name = name[1:]
		if name == "" {
			for pattern != "" && pattern[0] == '*' {
				pattern = pattern[1:]
			}
		}
	}
	return pattern == "" && name == "", false
}

// matchClass looks for a byte in a class, of which the opening bracket has been read. rest is what follows the class; one that is
// never closed ends with the pattern.
func matchClass(class string, c byte) (in bool, rest string) {
	negated := class != "" && class[0] == '^'
	if negated {
		class = class[1:]
	}
	for class != "" && class[0] != ']' {
		switch {
		case class[0] == '\\' && len(class) > 1:
			in = in || class[1] == c
			class = class[2:]
		case len(class) >= 3 && class[1] == '-':
			// Redis compares signed bytes.
			low, high, at := int8(class[0]), int8(class[2]), int8(c)
			if low > high {
				low, high = high, low
			}
			in = in || low <= at && at <= high
			class = class[3:]
		default:
			in = in || class[0] == c
			class = class[1:]
		}
	}
	if class != "" {
		class = class[1:]
	}
	return in != negated, class
}
