package model

// fields returns what a hash shows.
func (c *call) fields(key string) (map[string]string, error) {
	k, right := c.typed(key, Hash)
	if !right {
		return nil, wrongType
	}
	return k.elements(Hash), nil
}

func hset(c *call, args []string) any {
	fields, failure := c.fields(args[0])
	if failure != nil {
		return failure
	}
	added := map[string]string{}
	written := map[string]string{}
	for i := 1; i+1 < len(args); i += 2 {
		written[args[i]] = args[i+1]
		if _, exists := fields[args[i]]; !exists {
			added[args[i]] = args[i+1]
		}
	}
	c.create(Effect{Kind: Add, Key: args[0], Type: Hash, Elements: elementList(written)})
	return int64(len(added))
}

func hmset(c *call, args []string) any {
	if failure, failed := hset(c, args).(error); failed {
		return failure
	}
	return ok
}

func hsetnx(c *call, args []string) any {
	fields, failure := c.fields(args[0])
	if failure != nil {
		return failure
	}
	if _, exists := fields[args[1]]; exists {
		return int64(0)
	}
	return hset(c, args)
}

func hdel(c *call, args []string) any {
	fields, failure := c.fields(args[0])
	if failure != nil {
		return failure
	}
	return c.remove(Hash, args[0], fields, args[1:])
}

// remove takes out those names that exist, and answers how many they were.
func (c *call) remove(t Type, key string, existing map[string]string, names []string) any {
	removed := map[string]string{}
	for _, name := range names {
		if _, exists := existing[name]; exists {
			removed[name] = ""
		}
	}
	if len(removed) > 0 {
		c.emit(Effect{Kind: Remove, Key: key, Type: t, Elements: elementList(removed)})
	}
	return int64(len(removed))
}

func hincrby(c *call, args []string) any {
	delta, valid := parseInteger(args[2])
	if !valid {
		return notAnInteger
	}
	fields, failure := c.fields(args[0])
	if failure != nil {
		return failure
	}
	text, exists := fields[args[1]]
	return c.addInteger(Hash, args[0], args[1], text, exists, delta, hashInteger)
}

func hincrbyfloat(c *call, args []string) any {
	if _, valid := parseNumber(args[2]); !valid {
		return notAFloat
	}
	fields, failure := c.fields(args[0])
	if failure != nil {
		return failure
	}
	text, exists := fields[args[1]]
	return c.addFloat(Hash, args[0], args[1], text, exists, args[2], hashFloat)
}
