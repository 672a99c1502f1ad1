package model

import (
	"math/big"
	"strconv"
	"strings"
)

// text returns what a string key shows.
func (c *call) text(key string) (value string, exists bool, failure error) {
	k, right := c.typed(key, String)
	if k.shown() == HLL {
		// A string to Redis, of which all that the model tells is that it is no number.
		return "HYLL", true, nil
	}
	if !right {
		return "", true, wrongType
	}
	return k.cell(String, "").value(), k.shown() == String, nil
}

func bulk(value string, exists bool) any {
	if !exists {
		return nil
	}
	return value
}

func set(c *call, args []string) any {
	key, value := args[0], args[1]
	var nx, xx, get, keep bool
	var deadline int64
	for i := 2; i < len(args); i++ {
		switch option := strings.ToUpper(args[i]); {
		case option == "NX":
			nx = true
		case option == "XX":
			xx = true
		case option == "GET":
			get = true
		case option == "KEEPTTL":
			keep = true
		case option == "PXAT" && i+1 < len(args):
			i++
			deadline, _ = strconv.ParseInt(args[i], 10, 64)
		default:
			return syntaxError
		}
	}
	old, existed := any(nil), c.exists(key)
	if get {
		text, exists, failure := c.text(key)
		if failure != nil {
			return failure
		}
		old = bulk(text, exists)
	}
	if nx && existed || xx && !existed {
		return old
	}
	if keep {
		c.create(Effect{Kind: Edit, Key: key, Value: value})
	} else {
		c.replace(key, Value{Type: String, String: value, Deadline: deadline})
	}
	if get {
		return old
	}
	return ok
}

func setnx(c *call, args []string) any {
	if c.exists(args[0]) {
		return int64(0)
	}
	c.replace(args[0], Value{Type: String, String: args[1]})
	return int64(1)
}

func getset(c *call, args []string) any { return set(c, []string{args[0], args[1], "GET"}) }

func getdel(c *call, args []string) any {
	text, exists, failure := c.text(args[0])
	if failure != nil {
		return failure
	}
	if exists {
		c.emit(Effect{Kind: Delete, Key: args[0]})
	}
	return bulk(text, exists)
}

func getex(c *call, args []string) any {
	text, exists, failure := c.text(args[0])
	if failure != nil {
		return failure
	}
	if exists && len(args) > 1 {
		if strings.EqualFold(args[1], "PERSIST") {
			persist(c, args[:1])
		} else {
			pexpireat(c, []string{args[0], args[2]})
		}
	}
	return bulk(text, exists)
}

func appendString(c *call, args []string) any {
	text, _, failure := c.text(args[0])
	if failure != nil {
		return failure
	}
	c.create(Effect{Kind: Edit, Key: args[0], Value: text + args[1]})
	return int64(len(text) + len(args[1]))
}

func setrange(c *call, args []string) any {
	text, _, failure := c.text(args[0])
	if failure != nil {
		return failure
	}
	at, _ := strconv.Atoi(args[1])
	if args[2] == "" {
		return int64(len(text))
	}
	buf := make([]byte, max(len(text), at+len(args[2])))
	copy(buf, text)
	copy(buf[at:], args[2])
	c.create(Effect{Kind: Edit, Key: args[0], Value: string(buf)})
	return int64(len(buf))
}

func mset(c *call, args []string) any {
	for i := 0; i+1 < len(args); i += 2 {
		c.replace(args[i], Value{Type: String, String: args[i+1]})
	}
	return ok
}

func msetnx(c *call, args []string) any {
	for i := 0; i < len(args); i += 2 {
		if c.exists(args[i]) {
			return int64(0)
		}
	}
	mset(c, args)
	return int64(1)
}

func incr(c *call, args []string) any { return incrby(c, []string{args[0], "1"}) }
func decr(c *call, args []string) any { return incrby(c, []string{args[0], "-1"}) }

func decrby(c *call, args []string) any {
	delta, valid := parseInteger(args[1])
	if !valid {
		return notAnInteger
	}
	return incrby(c, []string{args[0], strconv.FormatInt(-delta, 10)})
}

func incrby(c *call, args []string) any {
	text, exists, failure := c.text(args[0])
	if failure != nil {
		return failure
	}
	delta, valid := parseInteger(args[1])
	if !valid {
		return notAnInteger
	}
	return c.addInteger(String, args[0], "", text, exists, delta, notAnInteger)
}

// addInteger judges and answers as Redis does, from the value that is shown, and emits the share. Where the sum of all
// regions has left 64 bits, another number is shown afterwards than the answer.
func (c *call) addInteger(t Type, key, element, text string, exists bool, delta int64, invalid Failure) any {
	value, valid := int64(0), true
	if exists {
		value, valid = parseInteger(text)
	}
	sum := value + delta
	switch {
	case !valid:
		return invalid
	case delta > 0 && sum < value || delta < 0 && sum > value:
		return wouldOverflow
	}
	c.increment(t, key, element, new(big.Rat).SetInt64(delta), false, strconv.FormatInt(sum, 10))
	return sum
}

func incrbyfloat(c *call, args []string) any {
	text, exists, failure := c.text(args[0])
	if failure != nil {
		return failure
	}
	return c.addFloat(String, args[0], "", text, exists, args[1], notAFloat)
}

func (c *call) addFloat(t Type, key, element, text string, exists bool, delta string, invalid Failure) any {
	value, valid := new(big.Rat), true
	if exists {
		value, valid = parseNumber(text)
	}
	if !valid {
		return invalid
	}
	d, valid := parseNumber(delta)
	if !valid {
		return notAFloat
	}
	result := formatNumber(new(big.Rat).Add(value, d))
	c.increment(t, key, element, d, true, result)
	return result
}
