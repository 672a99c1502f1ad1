package resp

import "strconv"

// The protocol versions that a connection can speak.
const (
	RESP2 = 2
	RESP3 = 3
)

// AppendCommand appends a command as an array of bulk strings.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = AppendArray(dst, len(args))
	for _, arg := range args {
		dst = AppendBulk(dst, arg)
	}
	return dst
}

// AppendCommandStrings is AppendCommand for words known at compile time.
func AppendCommandStrings(dst []byte, args ...string) []byte {
	dst = AppendArray(dst, len(args))
	for _, arg := range args {
		dst = AppendBulkString(dst, arg)
	}
	return dst
}

// AppendArray appends the header of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return appendHeader(dst, '*', n) }

// AppendSet appends the header of a set of n elements: an array in RESP2.
func AppendSet(dst []byte, n, proto int) []byte {
	if proto == RESP3 {
		return appendHeader(dst, '~', n)
	}
	return appendHeader(dst, '*', n)
}

// AppendMap appends the header of a map of n pairs: an array of 2n elements in RESP2.
func AppendMap(dst []byte, n, proto int) []byte {
	if proto == RESP3 {
		return appendHeader(dst, '%', n)
	}
	return appendHeader(dst, '*', 2*n)
}

// AppendPush appends the header of an out-of-band message of n elements: an array in RESP2.
func AppendPush(dst []byte, n, proto int) []byte {
	if proto == RESP3 {
		return appendHeader(dst, '>', n)
	}
	return appendHeader(dst, '*', n)
}

// AppendBulk appends a bulk string.
func AppendBulk(dst, value []byte) []byte {
	dst = appendHeader(dst, '$', len(value))
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// AppendBulkParts appends a bulk string that lies in two places.
func AppendBulkParts(dst, one, two []byte) []byte {
	dst = appendHeader(dst, '$', len(one)+len(two))
	dst = append(dst, one...)
	dst = append(dst, two...)
	return append(dst, '\r', '\n')
}

// AppendBulkString appends a bulk string.
func AppendBulkString(dst []byte, value string) []byte {
	dst = appendHeader(dst, '$', len(value))
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// AppendVerbatim appends a text for people: a bulk string in RESP2.
func AppendVerbatim(dst []byte, text string, proto int) []byte {
	if proto != RESP3 {
		return AppendBulkString(dst, text)
	}
	dst = appendHeader(dst, '=', len(text)+4)
	dst = append(dst, "txt:"...)
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// AppendInt appends an integer.
func AppendInt(dst []byte, value int64) []byte {
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, '\r', '\n')
}

// AppendSimple appends a simple string, which must not contain CR or LF.
func AppendSimple(dst []byte, text string) []byte {
	dst = append(dst, '+')
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// AppendError appends an error. The text begins with its code ("ERR …"). Line breaks become spaces, as in Redis:
// the text may quote what a client sent.
func AppendError(dst []byte, text string) []byte {
	dst = append(dst, '-')
	start := len(dst)
	dst = append(dst, text...)
	for i := start; i < len(dst); i++ {
		if dst[i] == '\r' || dst[i] == '\n' {
			dst[i] = ' '
		}
	}
	return append(dst, '\r', '\n')
}

// AppendDouble appends a number with the 17 digits that Redis shows, a bulk string in RESP2.
func AppendDouble(dst []byte, value float64, proto int) []byte {
	if proto == RESP3 {
		dst = append(dst, ',')
		dst = strconv.AppendFloat(dst, value, 'g', 17, 64)
		return append(dst, '\r', '\n')
	}
	var digits [32]byte
	return AppendBulk(dst, strconv.AppendFloat(digits[:0], value, 'g', 17, 64))
}

// AppendNull appends a null: a null bulk in RESP2.
func AppendNull(dst []byte, proto int) []byte {
	if proto == RESP3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "$-1\r\n"...)
}

// AppendNullArray appends a null where RESP2 has a null array.
func AppendNullArray(dst []byte, proto int) []byte {
	if proto == RESP3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "*-1\r\n"...)
}

func appendHeader(dst []byte, kind byte, n int) []byte {
	if n >= 0 && n < 10 {
		return append(dst, kind, byte('0'+n), '\r', '\n')
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}
