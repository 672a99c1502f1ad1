package resp

// splitWords splits an inline command as Redis's sdssplitargs does: double quotes know \xHH, \n, \r, \t, \b, \a and an
// escaped character, single quotes know \' only, and a closing quote must be followed by a space or the end. It
// allocates; inline commands come from people and health checks.
func splitWords(line []byte) (words [][]byte, ok bool) {
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i >= len(line) || line[i] == 0 {
			return words, true
		}
		var word []byte
		word, i, ok = nextWord(line, i)
		if !ok {
			return nil, false
		}
		words = append(words, word)
	}
}

func nextWord(line []byte, i int) (word []byte, next int, ok bool) {
	word = []byte{}
	for i < len(line) && !isSpace(line[i]) && line[i] != 0 {
		switch line[i] {
		case '"':
			word, i, ok = doubleQuoted(word, line, i+1)
		case '\'':
			word, i, ok = singleQuoted(word, line, i+1)
		default:
			word, i, ok = append(word, line[i]), i+1, true
			continue
		}
		if !ok || (i < len(line) && !isSpace(line[i])) {
			return nil, 0, false
		}
		return word, i, true
	}
	return word, i, true
}

func doubleQuoted(word, line []byte, i int) ([]byte, int, bool) {
	for i < len(line) && line[i] != 0 {
		c := line[i]
		switch {
		case c == '"':
			return word, i + 1, true
		case c == '\\' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			word = append(word, unhex(line[i+2])<<4|unhex(line[i+3]))
			i += 4
		case c == '\\' && i+1 < len(line):
			word = append(word, unescape(line[i+1]))
			i += 2
		default:
			word = append(word, c)
			i++
		}
	}
	return nil, 0, false
}

func singleQuoted(word, line []byte, i int) ([]byte, int, bool) {
	for i < len(line) && line[i] != 0 {
		c := line[i]
		switch {
		case c == '\'':
			return word, i + 1, true
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			word = append(word, '\'')
			i += 2
		default:
			word = append(word, c)
			i++
		}
	}
	return nil, 0, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool {
	return c == ' ' || (c >= '\t' && c <= '\r')
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
