package model

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Scores are kept as text like all values, always in the form in which Redis prints them.
func formatScore(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f == math.Trunc(f) && math.Abs(f) < 1e15:
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func score(text string) float64 {
	f, _ := strconv.ParseFloat(text, 64)
	return f
}

func (c *call) scores(key string) (map[string]string, error) {
	k, right := c.typed(key, ZSet)
	if !right {
		return nil, wrongType
	}
	return k.elements(ZSet), nil
}

// zadd writes members whose score stays the same too, unless an option forbids it: like a member added again, such a
// member survives a concurrent removal.
func zadd(c *call, args []string) any {
	key, args := args[0], args[1:]
	options := map[string]bool{}
	for len(args) > 0 {
		option := strings.ToUpper(args[0])
		if !slices.Contains([]string{"NX", "XX", "GT", "LT", "CH", "INCR"}, option) {
			break
		}
		options[option], args = true, args[1:]
	}
	if len(args)%2 != 0 || len(args) == 0 {
		return syntaxError
	}
	for i := 0; i < len(args); i += 2 {
		if _, err := strconv.ParseFloat(args[i], 64); err != nil {
			return notAFloat
		}
	}
	scores, failure := c.scores(key)
	if failure != nil {
		return failure
	}
	if options["INCR"] {
		return c.addScore(key, scores, args[1], args[0], options)
	}
	written, added, changed := map[string]string{}, 0, 0
	for i := 0; i < len(args); i += 2 {
		member, now := args[i+1], formatScore(score(args[i]))
		old, exists := scores[member]
		if !allowed(options, exists, score(old), score(now)) {
			continue
		}
		if !exists {
			added++
		} else if old != now {
			changed++
		}
		scores[member], written[member] = now, now
	}
	if len(written) > 0 {
		c.create(Effect{Kind: Add, Key: key, Type: ZSet, Elements: elementList(written)})
	}
	if options["CH"] {
		return int64(added + changed)
	}
	return int64(added)
}

func allowed(options map[string]bool, exists bool, old, now float64) bool {
	switch {
	case options["NX"] && exists, options["XX"] && !exists:
		return false
	case options["GT"] && exists && now <= old, options["LT"] && exists && now >= old:
		return false
	}
	return true
}

func zincrby(c *call, args []string) any {
	if _, err := strconv.ParseFloat(args[1], 64); err != nil {
		return notAFloat
	}
	scores, failure := c.scores(args[0])
	if failure != nil {
		return failure
	}
	return c.addScore(args[0], scores, args[2], args[1], nil)
}

func (c *call) addScore(key string, scores map[string]string, member, delta string, options map[string]bool) any {
	old, exists := scores[member]
	now := score(old) + score(delta)
	if !allowed(options, exists, score(old), now) {
		return nil
	}
	d, _ := new(big.Rat).SetString(delta)
	c.increment(ZSet, key, member, d, true, "")
	return formatScore(now)
}

func zrem(c *call, args []string) any {
	scores, failure := c.scores(args[0])
	if failure != nil {
		return failure
	}
	return c.remove(ZSet, args[0], scores, args[1:])
}

// ranked lists members by score, then by name.
func ranked(scores map[string]string) []string {
	return slices.SortedFunc(slices.Values(sortedNames(scores)), func(a, b string) int {
		return cmp.Or(cmp.Compare(score(scores[a]), score(scores[b])), strings.Compare(a, b))
	})
}

func zpopmin(c *call, args []string) any { return zpop(c, args, false) }
func zpopmax(c *call, args []string) any { return zpop(c, args, true) }

func zpop(c *call, args []string, highest bool) any {
	scores, failure := c.scores(args[0])
	if failure != nil {
		return failure
	}
	order, count := ranked(scores), 1
	if highest {
		slices.Reverse(order)
	}
	if len(args) > 1 {
		count, _ = strconv.Atoi(args[1])
	}
	order = order[:min(count, len(order))]
	reply := []any{}
	for _, member := range order {
		reply = append(reply, member, scores[member])
	}
	c.remove(ZSet, args[0], scores, order)
	return reply
}

// span resolves Redis's inclusive ranks, which count from the end when negative.
func span(order []string, first, last string) []string {
	from, _ := strconv.Atoi(first)
	to, _ := strconv.Atoi(last)
	if from < 0 {
		from = max(0, from+len(order))
	}
	if to < 0 {
		to += len(order)
	}
	to = min(to, len(order)-1)
	if from > to {
		return nil
	}
	return order[from : to+1]
}

func zremrangebyrank(c *call, args []string) any {
	scores, failure := c.scores(args[0])
	if failure != nil {
		return failure
	}
	return c.remove(ZSet, args[0], scores, span(ranked(scores), args[1], args[2]))
}

func zrangestore(c *call, args []string) any {
	scores, failure := c.scores(args[1])
	if failure != nil {
		return failure
	}
	result := map[string]string{}
	for _, member := range span(ranked(scores), args[2], args[3]) {
		result[member] = scores[member]
	}
	return c.store(args[0], Value{Type: ZSet, Elements: result})
}

func zunionstore(c *call, args []string) any { return zsetStore(c, args, 1) }

func zinterstore(c *call, args []string) any {
	sources, _ := strconv.Atoi(args[1])
	return zsetStore(c, args, sources)
}

// zsetStore keeps the members that are in at least so many sources, with the sum of their scores. Sets count as
// sorted sets with scores of 1, as in Redis.
func zsetStore(c *call, args []string, least int) any {
	sums, hits := map[string]float64{}, map[string]int{}
	for _, key := range args[2:] {
		k := c.region.key(c.db, key)
		t := k.shown()
		if t != None && t != Set && t != ZSet {
			return wrongType
		}
		for member, value := range k.elements(t) {
			if t == Set {
				value = "1"
			}
			sums[member] += score(value)
			if math.IsNaN(sums[member]) {
				sums[member] = 0
			}
			hits[member]++
		}
	}
	result := map[string]string{}
	for member, sum := range sums {
		if hits[member] >= least {
			result[member] = formatScore(sum)
		}
	}
	return c.store(args[0], Value{Type: ZSet, Elements: result})
}
