package syncer

import "strconv"

// parseCount reads a decimal number that is not negative.
func parseCount(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err
}

// isNumber says whether a region is given by its id.
func isNumber(text string) bool {
	_, err := parseCount(text)
	return err == nil
}
