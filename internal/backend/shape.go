package backend

import (
	"bytes"

	"anabranch/internal/resp"
	"anabranch/translate"
)

// appendShaped appends a whole reply in the form in which Redis would have sent it. An error, or a reply of another form
// than the shape expects, is passed on unchanged.
func appendShaped(dst, reply []byte, shape translate.Shape, proto int, prefix string) []byte {
	three := proto == resp.RESP3
	switch shape {
	case translate.ShapeInteger:
		return appendInteger(dst, reply)
	case translate.ShapeIntegers:
		return appendElements(dst, reply, '*', appendInteger)
	case translate.ShapeDouble:
		if three {
			return appendDouble(dst, reply)
		}
	case translate.ShapeSet:
		if three {
			return appendElements(dst, reply, '~', appendAsIs)
		}
	case translate.ShapeNullArray:
		return appendNullable(dst, reply, proto)
	case translate.ShapeScorePair:
		if three {
			return appendScores(dst, reply, false)
		}
	case translate.ShapeScorePairs:
		if three {
			return appendScores(dst, reply, true)
		}
	case translate.ShapePopScore:
		if !three || !isArray(reply) {
			return appendNullable(dst, reply, proto)
		}
		return appendPoppedOne(dst, reply)
	case translate.ShapePopScorePairs:
		if !three || !isArray(reply) {
			return appendNullable(dst, reply, proto)
		}
		return appendPopped(dst, reply)
	case translate.ShapeStreams:
		if three {
			return appendMap(dst, reply)
		}
		if bytes.Contains(reply, nullBulk) {
			return appendNullArrays(dst, reply)
		}
	case translate.ShapeKeys:
		return appendVisible(dst, reply, prefix)
	case translate.ShapeLibraries:
		return appendKept(dst, reply, func(library []byte) bool { return !isOwnLibrary(library) })
	case translate.ShapeScan:
		return appendScan(dst, reply, prefix)
	}
	return append(dst, reply...)
}

// nullBulk is how the engine says null in RESP2.
var nullBulk = []byte("$-1\r\n")

func appendAsIs(dst, reply []byte) []byte { return append(dst, reply...) }

// appendInteger turns a bulk of digits, which carries an integer that a Lua number cannot, into an integer.
func appendInteger(dst, reply []byte) []byte { return appendBulkAs(dst, reply, ':') }

func appendDouble(dst, reply []byte) []byte { return appendBulkAs(dst, reply, ',') }

func appendBulkAs(dst, reply []byte, kind byte) []byte {
	text, ok := bulk(reply)
	if !ok {
		return append(dst, reply...)
	}
	dst = append(dst, kind)
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

func appendNullable(dst, reply []byte, proto int) []byte {
	if bytes.Equal(reply, nullBulk) {
		return resp.AppendNullArray(dst, proto)
	}
	return append(dst, reply...)
}

// appendElements gives an array another header and its elements another form.
func appendElements(dst, reply []byte, kind byte, appendOne func(dst, reply []byte) []byte) []byte {
	count, pos := header(reply)
	if pos == 0 {
		return append(dst, reply...)
	}
	dst = append(dst, kind)
	dst = append(dst, reply[1:pos]...)
	for range count {
		end := element(reply, pos)
		dst = appendOne(dst, reply[pos:end])
		pos = end
	}
	return dst
}

// appendScores turns every second element into a double and, when nested, each two into a pair.
func appendScores(dst, reply []byte, nested bool) []byte {
	count, pos := header(reply)
	if pos == 0 || count%2 != 0 {
		return append(dst, reply...)
	}
	if nested {
		dst = resp.AppendArray(dst, count/2)
	} else {
		dst = resp.AppendArray(dst, count)
	}
	for range count / 2 {
		if nested {
			dst = resp.AppendArray(dst, 2)
		}
		member := element(reply, pos)
		score := element(reply, member)
		dst = append(dst, reply[pos:member]...)
		dst = appendDouble(dst, reply[member:score])
		pos = score
	}
	return dst
}

// appendPoppedOne gives a double to [key, member, score].
func appendPoppedOne(dst, reply []byte) []byte {
	count, pos := header(reply)
	if count != 3 {
		return append(dst, reply...)
	}
	score := element(reply, element(reply, pos))
	dst = append(dst, reply[:score]...)
	return appendDouble(dst, reply[score:])
}

// appendPopped gives doubles to [key, [[member, score]…]].
func appendPopped(dst, reply []byte) []byte {
	count, pos := header(reply)
	if count != 2 {
		return append(dst, reply...)
	}
	key := element(reply, pos)
	dst = append(dst, reply[:key]...)
	return appendElements(dst, reply[key:], '*', func(dst, pair []byte) []byte { return appendScores(dst, pair, false) })
}

// appendNullArrays makes every null a null array, at any depth: the fields of an entry that was deleted are one too.
func appendNullArrays(dst, reply []byte) []byte {
	if isArray(reply) {
		return appendElements(dst, reply, '*', appendNullArrays)
	}
	return appendNullable(dst, reply, resp.RESP2)
}

// appendMap turns an array of pairs into a map.
func appendMap(dst, reply []byte) []byte {
	count, pos := header(reply)
	for range count {
		end := element(reply, pos)
		if two, _ := header(reply[pos:end]); two != 2 {
			return append(dst, reply...)
		}
		pos = end
	}
	return appendElements(dst, reply, '%', func(dst, pair []byte) []byte {
		_, pos := header(pair)
		return append(dst, pair[pos:]...)
	})
}

// appendVisible leaves out the names of an array that belong to Anabranch.
func appendVisible(dst, reply []byte, prefix string) []byte {
	return appendKept(dst, reply, func(name []byte) bool { return !isHidden(name, prefix) })
}

// appendKept leaves out the elements of an array that are not kept.
func appendKept(dst, reply []byte, keep func(element []byte) bool) []byte {
	count, pos := header(reply)
	if pos == 0 {
		return append(dst, reply...)
	}
	kept := 0
	for range count {
		end := element(reply, pos)
		if keep(reply[pos:end]) {
			kept++
		}
		pos = end
	}
	dst = resp.AppendArray(dst, kept)
	_, pos = header(reply)
	for range count {
		end := element(reply, pos)
		if keep(reply[pos:end]) {
			dst = append(dst, reply[pos:end]...)
		}
		pos = end
	}
	return dst
}

// isOwnLibrary looks at an entry of FUNCTION LIST, a map that begins with library_name.
func isOwnLibrary(entry []byte) bool {
	_, pos := resp.Length(entry, 1)
	if pos <= 0 {
		return false
	}
	pos = element(entry, pos)
	name, ok := bulk(entry[pos:element(entry, pos)])
	return ok && OwnLibrary(string(name))
}

func isHidden(reply []byte, prefix string) bool {
	name, ok := bulk(reply)
	return ok && len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// appendScan does the same for [cursor, names].
func appendScan(dst, reply []byte, prefix string) []byte {
	count, pos := header(reply)
	if count != 2 {
		return append(dst, reply...)
	}
	names := element(reply, pos)
	dst = append(dst, reply[:names]...)
	return appendVisible(dst, reply[names:], prefix)
}

func isArray(reply []byte) bool { return len(reply) > 0 && reply[0] == '*' }

// header reads an array's length. pos is 0 when the reply is no array, or a null.
func header(reply []byte) (count, pos int) {
	if !isArray(reply) {
		return 0, 0
	}
	count, pos = resp.Length(reply, 1)
	if pos <= 0 || count < 0 {
		return 0, 0
	}
	return count, pos
}

// element returns where the element at reply[pos] ends. The reply is complete, so it always does.
func element(reply []byte, pos int) int {
	var scan resp.ReplyScanner
	end, _, _ := scan.Scan(reply, pos, 1)
	return end
}

// bulk returns the text of a bulk string that is not null.
func bulk(reply []byte) (text []byte, ok bool) {
	if len(reply) == 0 || reply[0] != '$' {
		return nil, false
	}
	size, pos := resp.Length(reply, 1)
	if pos <= 0 || size < 0 {
		return nil, false
	}
	return reply[pos : pos+size], true
}
