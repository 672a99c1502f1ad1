package model

func (c *call) members(key string) (map[string]string, error) {
	k, right := c.typed(key, Set)
	if !right {
		return nil, wrongType
	}
	return k.elements(Set), nil
}

// sadd writes the members that exist already too: a member added again survives a concurrent removal.
func sadd(c *call, args []string) any {
	members, failure := c.members(args[0])
	if failure != nil {
		return failure
	}
	written, added := map[string]string{}, 0
	for _, m := range args[1:] {
		if _, exists := members[m]; !exists {
			added++
			members[m] = ""
		}
		written[m] = ""
	}
	c.create(Effect{Kind: Add, Key: args[0], Type: Set, Elements: elementList(written)})
	return int64(added)
}

func srem(c *call, args []string) any {
	members, failure := c.members(args[0])
	if failure != nil {
		return failure
	}
	return c.remove(Set, args[0], members, args[1:])
}

// spop only refuses: which members are taken is random, so the driver of the model sends an SREM of those that Redis took.
func spop(c *call, args []string) any {
	if _, failure := c.members(args[0]); failure != nil {
		return failure
	}
	return unknown
}

func smove(c *call, args []string) any {
	from, to, member := args[0], args[1], args[2]
	if !c.exists(from) {
		return int64(0)
	}
	source, failure := c.members(from)
	if failure != nil {
		return failure
	}
	if _, failure := c.members(to); failure != nil {
		return failure
	}
	_, exists := source[member]
	switch {
	case !exists:
		return int64(0)
	case from == to:
		return int64(1)
	}
	c.remove(Set, from, source, []string{member})
	c.create(Effect{Kind: Add, Key: to, Type: Set, Elements: []Element{{Name: member}}})
	return int64(1)
}

// keep decides whether a member that is in some of the sources goes into the result.
type keep func(member string, in []bool) bool

func sinterstore(c *call, args []string) any {
	return setStore(c, args, func(_ string, in []bool) bool { return all(in) })
}

func sunionstore(c *call, args []string) any {
	return setStore(c, args, func(string, []bool) bool { return true })
}

func sdiffstore(c *call, args []string) any {
	return setStore(c, args, func(_ string, in []bool) bool { return in[0] && none(in[1:]) })
}

func setStore(c *call, args []string, keep keep) any {
	sources, universe := make([]map[string]string, len(args)-1), map[string]string{}
	for i, key := range args[1:] {
		members, failure := c.members(key)
		if failure != nil {
			return failure
		}
		sources[i] = members
		for m := range members {
			universe[m] = ""
		}
	}
	result := map[string]string{}
	for m := range universe {
		in := make([]bool, len(sources))
		for i, s := range sources {
			_, in[i] = s[m]
		}
		if keep(m, in) {
			result[m] = ""
		}
	}
	return c.store(args[0], Value{Type: Set, Elements: result})
}

// store overwrites the destination with the result, or deletes it when there is none.
func (c *call) store(key string, v Value) any {
	if len(v.Elements) > 0 || c.exists(key) {
		c.replace(key, v)
	}
	return int64(len(v.Elements))
}

func all(in []bool) bool {
	for _, b := range in {
		if !b {
			return false
		}
	}
	return true
}

func none(in []bool) bool {
	for _, b := range in {
		if b {
			return false
		}
	}
	return true
}
