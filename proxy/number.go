package proxy

import "strconv"

// integer reads a number as Redis does: decimal digits, no plus sign, no leading zero, no space.
func integer(arg []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(arg) {
		return 0, false
	}
	return n, true
}

// integer32 is integer for what has to fit into a C int. refusal is Redis's error, empty when there is none.
func integer32(arg []byte) (n int, refusal string) {
	wide, ok := integer(arg)
	switch {
	case !ok:
		return 0, errNotInteger
	case wide != int64(int32(wide)):
		return 0, errInt32Range
	}
	return int(wide), ""
}
