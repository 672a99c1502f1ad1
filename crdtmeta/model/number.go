package model

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// parseInteger accepts what Redis accepts for INCR: the canonical decimal form of a 64-bit integer and nothing else.
func parseInteger(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// parseNumber reads a decimal integer or fraction exactly. Infinity is no number here: no share can be added to it.
func parseNumber(s string) (*big.Rat, bool) {
	if s == "" || strings.ContainsAny(s, "/_ xX") {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// formatNumber writes a number as Redis does for values that binary fractions carry exactly.
func formatNumber(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimRight(r.FloatString(40), "0")
}

var (
	lowest  = big.NewRat(math.MinInt64, 1)
	highest = big.NewRat(math.MaxInt64, 1)
)

// saturate keeps a sum of integers inside 64 bits (rule 5).
func saturate(r *big.Rat) *big.Rat {
	if r.Cmp(highest) > 0 {
		return highest
	}
	if r.Cmp(lowest) < 0 {
		return lowest
	}
	return r
}

// shareLimit bounds a share to ±2^58, so that a few shares together stay far from the limits of 64 bits.
var shareLimit = big.NewRat(1<<58, 1)

func inShareRange(sum *big.Rat) bool { return new(big.Rat).Abs(sum).Cmp(shareLimit) <= 0 }
